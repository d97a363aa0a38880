"""
What happened to each ticket, told by three witnesses that must agree: the commands that Redis saw,
the server's log, the server's counters.
"""

import collections
import hashlib
import re
import subprocess
import threading

from wstserver import wait_until

HASH = re.compile(r"ticketHash: '([0-9a-f]+)\.\.\.'")


class Monitor:
    """Every command that a Redis executes, through `redis-cli monitor`."""

    def __init__(self, redis):
        self.redis = redis
        self.lines = []

    def __enter__(self):
        self.proc = subprocess.Popen(
            [*self.redis.wrapper, "redis-cli", "-h", "127.0.0.1", "-p", str(self.redis.port),
             "monitor"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        wait_until(lambda: self.lines, "redis-cli monitor")
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.thread.join()
        self.proc.stdout.close()

    def _read(self):
        for line in self.proc.stdout:
            self.lines.append(line)

    def tickets(self, command):
        """The tickets that |command| (SET, GETDEL) has named so far, in order."""
        self._settle()
        pattern = re.compile(rf'"{command}" "ws_ticket:([^"]*)"')
        found = [pattern.search(line) for line in list(self.lines)]
        return [match.group(1) for match in found if match]

    def _settle(self):
        """Waits until everything that Redis has executed so far has been told."""
        mark = f"mark-{len(self.lines)}"
        self.redis.cli("ECHO", mark)
        wait_until(lambda: any(mark in line for line in list(self.lines)), "the monitor's mark")


def check(server, monitor, generated=None, redeemed=None, good=True):
    """
    The witnesses agree; no ticket was taken twice.  |good|: nothing was rejected either.
    """
    stats = server.stats()
    made, taken = monitor.tickets("SET"), monitor.tickets("GETDEL")
    wait_until(lambda: server.log_count("Ticket generated") >= len(made), "the server's log")
    logged = [HASH.search(line).group(1) for line in list(server.log) if "Ticket generated" in line]
    assert len(set(made)) == len(made), "a ticket was made twice"
    assert max(collections.Counter(taken).values(), default=0) <= 1, "a ticket was used twice"
    assert set(taken) <= set(made), "a ticket from nowhere"
    assert logged == [hashlib.sha256(t.encode()).hexdigest()[:len(logged[0])] for t in made]
    assert stats["ticketsGenerated"] == len(made)
    assert stats["redeemed"] == server.log_count("Authenticated via ticket")
    if good:
        assert stats["redeemed"] == len(taken)
        assert not [line for line in list(server.log) if "Rejected" in line]
        assert stats["rejected"] == stats["missing"] == stats["expired"] == 0
    if generated is not None:
        assert len(made) == generated
    if redeemed is not None:
        assert stats["redeemed"] == redeemed
