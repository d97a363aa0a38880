"""
The loop never waits (promise 7): every system call of its thread is looked at while names do not
resolve, servers stand still, TLS shakes hands, crowds reconnect, files are read and written, and a
server floods; and the instructions of every turn are counted.
"""

import glob
import json
import os
import re
import subprocess

import pytest

import turns
from cli import BUILD, PATIENCE, TOP, Cli, environment, eventually
from netns import Cable, needs_root
from plainserver import PlainServer
from test_dns import resolving
from wstserver import Server

FLEET = os.path.join(BUILD, "tests", "chaos", "fleet")
CROWD = 500
# HANDSHAKES_A_TURN of the streams, of libcurl's connections that have come to stand, and of its new
# transfers.
HANDSHAKES = 3 * 4
INPUT = 64 * 1024   # WST__INPUT_BYTES
PLACE = 256 * 1024  # PLACE_MAX: straight into a large message's place.

# Sanitizers and valgrind make system calls and instructions of their own.
pytestmark = [pytest.mark.bare, pytest.mark.timeout(240)]


class Fleet:
    """Clients whose loop's thread is watched: |watch| are the words that run it under a watcher."""

    def __init__(self, directory, *groups, watch, prefix=(), **options):
        self.trace = str(directory / "trace")
        words = [f"{name}={value}" for name, value in
                 {"lives": 1, "base": 100, "cap": 300, **options}.items()]
        self.proc = subprocess.Popen([*prefix, *watch, FLEET, self.trace, *words, *groups],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     stderr=subprocess.PIPE, env=environment())
        self.proc.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait(PATIENCE)
        for stream in (self.proc.stdin, self.proc.stdout, self.proc.stderr):
            stream.close()

    def _say(self, word):
        self.proc.stdin.write(word + "\n")
        self.proc.stdin.flush()
        return json.loads(self.proc.stdout.readline())

    def until(self, true, what, patience=2 * PATIENCE):
        eventually(lambda: true(self._say("status")), what, patience)

    def closed(self):
        return sum(group["closed"] for group in self._say("status")["groups"].values())

    def quit(self):
        self._say("quit")
        assert self.proc.wait(PATIENCE) == 0, self.proc.stderr.read()[-2000:]


def strace(directory):
    """Words that watch the first thread of a program; the program is the child itself."""
    return ["strace", "-D", "-y", "-xx", "-s", "8", "-o", str(directory / "strace")]


def seen(directory, fleet):
    """The turns, once strace has written them all."""
    path = directory / "strace"
    eventually(lambda: path.read_text(errors="replace").rstrip().endswith("+++"), "strace's end")
    return turns.read(path, {fleet.trace})


def check(watched):
    assert not turns.wrong(watched)
    assert not turns.blocking_sockets(watched)
    # libuv's pool starts with its first work, and waits until its threads are there.
    pool = [turn for turn in watched if any(turns.waits_for_start(call) for call in turn)]
    assert len(pool) <= 1 and all("clone" in str(turn) for turn in pool)


def at(server, kind, count=CROWD):
    """A group; by address, as localhost is looked up in a thread of libcurl's."""
    url = server.url.replace("localhost", "127.0.0.1")
    return f"{kind}={count},{url}" + (f",{server.ca_file}" if server.ca_file else "")


def test_a_crowd_reconnects(tmp_path):
    """Everybody at once, plain and with TLS; a server that stands still; and all of it again."""
    with Server() as plain, Server(tls=True) as tls, Fleet(
            tmp_path, at(plain, "plain"), at(tls, "tls"), watch=strace(tmp_path), ping=500,
            pong=4000, step=8000) as fleet:
        everybody = 2 * CROWD
        fleet.until(lambda now: now["open"] == everybody, "everybody to be open")
        plain.drop_all()
        tls.drop_all()
        fleet.until(lambda now: sum(g["closed"] for g in now["groups"].values()) >= everybody
                    and now["open"] == everybody, "everybody to be open again")
        tls.freeze()
        fleet.until(lambda now: now["codes"].get("PING_TIMEOUT", 0) >= CROWD, "pings without pongs")
        tls.thaw()
        fleet.until(lambda now: now["open"] == everybody, "everybody to be open at last")
        fleet.quit()
    watched = seen(tmp_path, fleet)
    check(watched)
    begun = [turns.hellos(turn) for turn in watched]
    # For each opening two: one of libcurl's for the steps 1 and 2, one for step 3.
    assert sum(begun) > 3 * CROWD and max(begun) <= HANDSHAKES
    most = max(max(turns.received(turn).values(), default=0) for turn in watched)
    assert 0 < most <= INPUT


@needs_root
def test_names_do_not_resolve(tmp_path):
    """Attempts begin, run out of time and are given up, and the clients are closed meanwhile."""
    with Cable() as cable:
        cable.set("server", "down")
        prefix = resolving(cable.client.prefix, tmp_path, cable.SERVER)
        with Fleet(tmp_path, "lost=20,http://stalled.example", "secure=20,https://stalled.example",
                   watch=strace(tmp_path), prefix=prefix, step=500) as fleet:
            fleet.until(lambda now: now["codes"].get("TIMEOUT", 0) >= 80, "lookups to be given up")
            fleet.quit()
        watched = seen(tmp_path, fleet)
    check(watched)
    assert sum(call.name.startswith("clone") for turn in watched for call in turn) >= 40


def test_files(tmp_path):
    """CA files, and a token's file that is read, written, and written again."""
    cache = tmp_path / "token"
    with Server(tls=True) as server, Fleet(
            tmp_path, at(server, "keeper", 1) + f",{cache}", watch=strace(tmp_path)) as fleet:
        fleet.until(lambda now: now["open"] == 1, "it to be open")
        eventually(cache.exists, "the token's file")
        first = cache.read_bytes()
        server.faults(revokeTokens=True)
        server.drop_all()
        fleet.until(lambda now: now["groups"]["keeper"]["opens"] == 2, "it to be open again")
        eventually(lambda: cache.exists() and cache.read_bytes() not in (b"", first),
                   "the new token's file")
        fleet.quit()
    check(seen(tmp_path, fleet))


@pytest.mark.parametrize("size,count", [(100, 5000), (1 << 20, 8)])
def test_a_flood(tmp_path, size, count):
    """A server that sends all it can: one connection gets its share of a turn, and no more."""
    with PlainServer(greeting=["x" * size] * count, echo=False) as server, Cli(
            "connect", "--no-ticket", "--json", server.url, wrap=strace(tmp_path)) as cli:
        cli.until(lambda c: c.raw["out"].count(b'"message"') >= count, "the flood")
        assert cli.stop() == 0
    most = 0
    with open(tmp_path / "strace", encoding="utf-8", errors="replace") as lines:
        sums = {}
        for line in lines:
            call = turns.CALL.match(line)
            if call and call[1] in ("epoll_wait", "epoll_pwait"):
                sums = {}
            elif call and call[1] == "recvfrom" and int(call[3]) > 0:
                name = call[2].split("<")[0]
                sums[name] = sums.get(name, 0) + int(call[3])
                most = max(most, sums[name])
    assert size < INPUT or most > INPUT, "a large message goes straight to its place"
    assert 1000 < most <= (INPUT if size < INPUT else PLACE)


# ---- Instructions --------------------------------------------------------------------------------

CLIENTS = 10
ROUNDS = 2
# Measured on Debian 12 (gcc 12, -O2).
A_HELLO = 1_000_000  # To begin a handshake: a key is made.
A_READY = 5_000_000  # One ready descriptor: at most a handshake of libcurl's, with its certificate.


def dumps(directory):
    """(number, ready descriptors, instructions) of each turn so far, in order."""
    found = []
    for path in glob.glob(str(directory / "out*")):
        with open(path, encoding="utf-8", errors="replace") as dump:
            text = dump.read()
        part = re.search(r"^part: (\d+)", text, re.MULTILINE)
        ready = re.search(r"Client Request: ready (-?\d+)", text)
        cost = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
        if part and ready and cost:
            found.append((int(part[1]), int(ready[1]), int(cost[1])))
    return sorted(found)


def test_instructions_of_a_turn(tmp_path):
    """A turn costs no more than its handshakes and its ready descriptors may cost."""
    watch = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={tmp_path}/out", "-q"]
    with Server(tls=True) as server, Fleet(
            tmp_path, at(server, "tls", CLIENTS), watch=watch, step=60000, attempt=120000,
            ping=60000) as fleet:
        fleet.until(lambda now: now["open"] == CLIENTS, "everybody to be open", 120)
        # OpenSSL and libcurl have got themselves ready.
        begin = dumps(tmp_path)[-1][0]
        for number in range(2, ROUNDS + 2):
            server.drop_all()
            fleet.until(lambda now, n=number: now["groups"]["tls"]["opens"] == n * CLIENTS,
                        "everybody to be open again", 120)
        fleet.quit()
    costs = [cost for cost in dumps(tmp_path) if cost[0] >= begin]
    assert sum(cost for _, _, cost in costs) > ROUNDS * CLIENTS * A_HELLO, "work was seen"
    # A dump is made as the poll returns: of what was before, and with what is ready now.
    for (_, ready, _), (number, _, cost) in zip(costs, costs[1:]):
        assert cost <= HANDSHAKES * A_HELLO + max(ready, 1) * A_READY, (number, ready, cost)
