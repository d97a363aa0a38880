"""
What the witnesses say afterwards: the clients' traces, Redis, the servers' logs.  A ticket is
followed from its making to its end: the token of each client names a user of its own, and Redis keeps
the user beside the ticket.
"""

import bisect
import collections
import hashlib
import re

HASH = re.compile(r"ticketHash: '([0-9a-f]+)\.\.\.'")
JWT = re.compile(rb"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
HEX = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
# Redis looks at its own clock, and at most once per turn of its loop.
BLUR_S = 0.05


class Attempt:
    """Times in seconds since 1970; None: it never came to that."""

    def __init__(self, begun):
        self.begun = begun
        self.asked = []  # The ticket's request; twice, when the first ticket was stale or refused.
        self.sent = []   # It has left.
        self.upgrade = self.open = None
        self.end = None


def read_trace(path):
    """When it begins, the attempts of each client, and how often each thing happened."""
    attempts, counts, first = collections.defaultdict(list), collections.Counter(), None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            at, client, event, *rest = line.rstrip("\n").split(" ", 3)
            at, client = int(at) / 1e6, int(client)
            first = first or at
            counts[event] += 1
            if event == "A":
                attempts[client].append(Attempt(at))
                continue
            last = attempts[client][-1] if attempts[client] else None
            if event == "T":
                last.asked.append(at)
            elif event == "U":
                last.upgrade = at
            elif event == "O":
                last.open = at
            elif event in ("C", "F"):
                last.end = at
                counts[event + " " + rest[0].split(" ")[1]] += 1
            elif event == "L" and rest[0].endswith("the ticket's request has left"):
                last.sent.append(at)
    return first, attempts, counts


class Ticket:
    def __init__(self, client, made):
        self.client, self.made = client, made
        self.taken = []
        self.attempt = None  # The one that used it.


class Evidence:
    def __init__(self, trace, redis, servers, life_s):
        self.life_s = life_s
        begun, self.attempts, self.counts = read_trace(trace)
        self.lives = redis.lives
        self.servers = servers
        self.tickets, self.made = {}, set()  # |made|: in the warm-up, too.
        for at, command, name, user in redis.commands():
            if command == "SET":
                self.made.add(hashlib.sha256(name.encode()).hexdigest())
            if at < begun:
                continue
            if command == "SET":
                assert name not in self.tickets, "a ticket was made twice"
                client = user.removeprefix("client-")
                self.tickets[name] = Ticket(int(client), at)
            else:
                assert name in self.tickets, "a ticket from nowhere was presented"
                self.tickets[name].taken.append(at)
        self._find_attempts()

    def _find_attempts(self):
        """A ticket was used by the attempt that asked for it before it was made."""
        for ticket in self.tickets.values():
            if not ticket.taken:
                continue
            mine = self.attempts[ticket.client]
            at = bisect.bisect_right([attempt.begun for attempt in mine], ticket.made) - 1
            if at >= 0:
                ticket.attempt = mine[at]

    def presented(self):
        return [ticket for ticket in self.tickets.values() if ticket.taken]

    def check_used_once(self):
        twice = [t for t in self.presented() if len(t.taken) > 1]
        assert self.presented() and not twice, f"{len(twice)} tickets were presented twice"
        uses = collections.Counter(id(t.attempt) for t in self.presented())
        assert max(uses.values()) == 1, "an attempt presented two tickets"

    def check_logs_agree(self):
        """What the servers handed out is what Redis was given."""
        logged = [match.group(1) for server in self.servers for line in server.log
                  if (match := HASH.search(line))]
        made = collections.Counter(digest[:len(logged[0])] for digest in self.made)
        strangers = collections.Counter(logged) - made
        assert logged and not strangers, f"{len(strangers)} tickets that Redis does not know"

    def check_age(self):
        """
        Written before 80 % of its life were over: since its request has left (the client's clock),
        and since it was made (the server's).  Returns the oldest of each, in parts of the life.
        """
        oldest_sent = oldest_made = 0.0
        for ticket in self.presented():
            attempt = ticket.attempt
            assert attempt and attempt.upgrade, "a ticket was presented that no attempt has written"
            assert ticket.made <= attempt.upgrade + BLUR_S <= ticket.taken[0] + 2 * BLUR_S
            asked = [at for at in attempt.asked if at <= ticket.made + BLUR_S]
            assert asked, "a ticket was made that nobody had asked for"
            # A busy client may note that its request has left when the ticket is made already.
            sent = min([at for at in attempt.sent if at >= asked[-1]][0], ticket.made)
            oldest_sent = max(oldest_sent, (attempt.upgrade - sent) / self.life_s)
            oldest_made = max(oldest_made, (attempt.upgrade - ticket.made) / self.life_s)
        assert oldest_made < 0.8 and oldest_sent < 0.8, (oldest_made, oldest_sent)
        return oldest_sent, oldest_made

    def check_refusals(self):
        """
        Each ticket that was refused had expired on its way, or was in a Redis that died.  Returns how
        many were, and the longest way, in seconds.
        """
        late, lost, blurred, longest = 0, 0, 0, 0.0
        for ticket in self.presented():
            age = ticket.taken[0] - ticket.made
            way = ticket.taken[0] - ticket.attempt.upgrade
            if any(ticket.made < life <= ticket.taken[0] for life in self.lives):
                lost += 1
            elif age > self.life_s + BLUR_S:
                late += 1
                longest = max(longest, way)
                assert way > 0.2 * self.life_s - 2 * BLUR_S, "expired, and not on its way"
            elif age > self.life_s - BLUR_S:
                blurred += 1
        refused = sum(server.log_count("Rejected - ticket invalid or expired")
                      for server in self.servers)
        assert refused <= late + lost + blurred, f"{refused} refused, {late} late, {lost} lost"
        assert not sum(server.log_count("Rejected - no auth ticket") for server in self.servers)
        return late, lost, longest

    def check_secrets(self, files, more):
        """No ticket, no token and none of |more| in the files."""
        names = {name.encode() for name in self.tickets}
        for path in files:
            with open(path, "rb") as content:
                data = content.read()
            found = [kind for kind, bad in (
                ("a ticket", any(word in names for word in HEX.findall(data))),
                ("a token", JWT.search(data)),
                ("another secret", any(word in data for word in more))) if bad]
            assert not found, f"{path}: {found}"
