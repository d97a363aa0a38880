#!/usr/bin/python3
"""
Chaos with real parts: chaos.py BUILD WORK [--clients N] [--seed N] [--faults N].

One process with many clients; a cable between network namespaces; HAProxy, nginx with TLS, and a
relay in front of each; two servers; one Redis.  Faults come in an order that the seed decides; half
of the time the next one comes before everybody is back.  Afterwards the witnesses are heard.
"""

import argparse
import json
import os
import random
import resource
import secrets
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(TOP, "tests", "lib"), os.path.join(TOP, "tests", "harness")]


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("work")
    parser.add_argument("--clients", type=int, default=250)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--faults", type=int, help="default: each once")
    parser.add_argument("--only", action="append", help="this fault, again and again")
    return parser.parse_args()


ARGS = arguments()
os.environ["WST_BUILD"] = ARGS.build

import ca  # noqa: E402  (the paths and the build come first)
import evidence  # noqa: E402
import parts  # noqa: E402
from faults import PATIENCE, Faults  # noqa: E402
from relay import Relay  # noqa: E402
from tap import Skip, run  # noqa: E402
from wstserver import Server, wait_until  # noqa: E402

TICKET_LIFE_S = 3
FLEET = os.path.join(ARGS.build, "tests", "chaos", "fleet")
TRACE = os.path.join(ARGS.work, "trace")


class Fleet:
    """The process with the clients."""

    def __init__(self, prefix, groups, clients):
        # So many pings at once are work for the proxies, too.
        ping = max(1000, 4 * clients)
        options = {"base": 100, "cap": 1000, "stable": 1000, "spread": 500, "step": 4000,
                   "attempt": 10000, "ping": ping, "pong": 2000}
        words = [f"{name}={value}" for name, value in options.items()]
        words += [f"{name}={count},{url}" + (f",{pem}" if pem else "")
                  for name, (count, url, pem) in groups.items()]
        self.errors = open(os.path.join(ARGS.work, "fleet.stderr"), "w+", encoding="utf-8")
        # One thread in the pool, so that what libraries keep for a thread is kept once.
        self.proc = subprocess.Popen([*prefix, FLEET, TRACE, *words], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                     env={**os.environ, "UV_THREADPOOL_SIZE": "1"})
        self.counts_heap = self.proc.stdout.readline() == "counts its heap\n"
        self.clients = clients
        self.lock = threading.Lock()

    def say(self, word):
        self.proc.stdin.write(word + "\n")
        self.proc.stdin.flush()

    def hear(self):
        line = self.proc.stdout.readline()
        if not line:
            status = self.proc.wait(PATIENCE)
            self.errors.seek(0)
            raise AssertionError(f"the fleet has ended with {status}: {self.errors.read()[-2000:]}")
        return json.loads(line)

    def status(self):
        self.say("status")
        return self.hear()

    def wait_open(self, count):
        wait_until(lambda: self.status()["open"] >= count, f"{count} clients to be open", PATIENCE)

    def everybody_talks(self):
        """Everybody is open, says something and hears it again: not only open by name."""
        def all_heard():
            self.say("chat")
            return wait_for_echoes()

        def wait_for_echoes():
            end = time.monotonic() + 5
            while time.monotonic() < end:
                if self.status()["echoes"] == self.clients:
                    return True
                time.sleep(0.05)
            return False

        self.wait_open(self.clients)
        wait_until(all_heard, "an echo for everybody", PATIENCE)

    def quit(self):
        self.say("quit")
        left = self.hear()
        assert self.proc.wait(PATIENCE) == 0
        return left

    def end(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait(PATIENCE)
        self.proc.stdout.close()
        try:
            self.proc.stdin.close()
        except BrokenPipeError:
            pass
        self.errors.close()


class Stage:
    """Everything that takes part."""

    def __init__(self):
        self.stack = []
        self.ticket_life_s = TICKET_LIFE_S
        self.jwt_secret = secrets.token_hex(16)

    def _enter(self, part):
        self.stack.append(part)
        return part.__enter__()

    def _server(self):
        server = self._enter(Server(
            "--ticket-ttl", str(TICKET_LIFE_S), "--redis-timeout", "500", redis=self.redis.url,
            wrapper=[], env={"WSTICKET_SERVER_JWT_SECRET": self.jwt_secret}))
        server.wait_log("[Redis] Connected")
        return server

    def __enter__(self):
        self.far = self._enter(parts.FarSide())
        self.redis = self._enter(parts.Redis())
        self.servers = [self._server(), self._server()]
        authority = ca.Ca(ARGS.work, f"ca-{os.getpid()}")
        pem, key = authority.issue(san=f"IP:{parts.HERE}")
        self.haproxy = self._enter(parts.Haproxy(self.servers))
        self.nginx = self._enter(parts.Nginx(self.servers, pem, key))
        self.relays = {
            "relay": self._enter(Relay(self.haproxy.port, listen=parts.HERE)),
            "tls-relay": self._enter(Relay(self.nginx.port, listen=parts.HERE))}
        tenth = ARGS.clients // 10
        half = (ARGS.clients - 2 * tenth) // 2
        plain, tls = f"http://{parts.HERE}", f"https://{parts.HERE}"
        groups = {
            "haproxy": (ARGS.clients - 2 * tenth - half, f"{plain}:{self.haproxy.port}", None),
            "nginx": (half, f"{tls}:{self.nginx.port}", authority.pem),
            "relay": (tenth, f"{plain}:{self.relays['relay'].port}", None),
            "tls-relay": (tenth, f"{tls}:{self.relays['tls-relay'].port}", authority.pem)}
        self.fleet = Fleet(self.far.prefix, groups, ARGS.clients)
        return self

    def __exit__(self, *exc):
        self.fleet.end()
        # Those that stand still must not be in the way of the others' end.
        for server in self.servers:
            if server.proc:
                server.thaw()
        for part in reversed(self.stack):
            part.__exit__(*exc)

    def logs(self):
        """Everything that was written, as files."""
        for number, server in enumerate(self.servers):
            with open(os.path.join(ARGS.work, f"server-{number}.log"), "w", encoding="utf-8") as out:
                out.write("\n".join(server.log + server.stdout))
        for name, path in (("haproxy.log", self.haproxy.path("output")),
                           ("nginx.log", self.nginx.path("access.log")),
                           ("nginx-error.log", self.nginx.path("error.log"))):
            with open(path, "rb") as log, open(os.path.join(ARGS.work, name), "wb") as out:
                out.write(log.read())
        return [os.path.join(ARGS.work, name) for name in os.listdir(ARGS.work)
                if os.path.isfile(os.path.join(ARGS.work, name))]


class Story:
    """The one run that all checks look at."""

    def __init__(self):
        self.figures = {}
        self.evidence = self.left = None

    def tell(self):
        """everybody is open again and hears an echo, after every fault"""
        if os.geteuid() != 0:
            raise Skip("network namespaces need root")
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        chance = random.Random(ARGS.seed)
        say(f"{ARGS.clients} clients, --seed {ARGS.seed}")
        parts.leave_the_network()
        with Stage() as stage:
            self._play(stage, chance)
            self.left = stage.fleet.quit()
            self.counts_heap = stage.fleet.counts_heap
            stage.redis.settle()
            self.files = stage.logs()
            self.secrets = [stage.jwt_secret.encode()]
            self.evidence = evidence.Evidence(TRACE, stage.redis, stage.servers, TICKET_LIFE_S)

    def _play(self, stage, chance):
        stage.fleet.everybody_talks()
        order = Faults(stage, chance).all()
        chance.shuffle(order)
        if ARGS.only:
            order = [fault for fault in order if fault.__name__ in ARGS.only]
        for number in range(ARGS.faults or len(order)):
            fault = order[number % len(order)]
            began = time.monotonic()
            fault()
            healed = time.monotonic()
            # The next one may come before everybody is back.
            stage.fleet.wait_open(chance.choice([1, ARGS.clients // 2, ARGS.clients, ARGS.clients]))
            say(f"{fault.__doc__}: {healed - began:.1f} s, then {time.monotonic() - healed:.1f} s "
                f"until {stage.fleet.status()['open']} were open")
        stage.fleet.everybody_talks()
        self.figures["status"] = stage.fleet.status()

    def heard(self):
        if not self.evidence:
            raise Skip("there was no story")
        return self.evidence


def say(text):
    print(f"# {text}", flush=True)


STORY = Story()


def story():
    STORY.tell()


story.__doc__ = Story.tell.__doc__


def used_once():
    """no ticket was presented twice, and no attempt presented two"""
    heard = STORY.heard()
    heard.check_used_once()
    heard.check_logs_agree()
    say(f"{heard.counts['A']} attempts, {heard.counts['O']} opens, {len(heard.tickets)} tickets "
        f"made, {len(heard.presented())} presented")
    say(", ".join(f"{count} {name}" for name, count in sorted(heard.counts.items()) if " " in name))


def in_time():
    """no ticket was written after 80 % of its life"""
    sent, made = STORY.heard().check_age()
    say(f"the oldest: {sent:.1%} of its life since it was asked for, {made:.1%} since it was made")


def explained():
    """every ticket that was refused had expired on its way, or was lost with its Redis"""
    late, lost, longest = STORY.heard().check_refusals()
    say(f"{late} expired on their way (up to {longest:.1f} s long), {lost} were lost with a Redis")


def nothing_left():
    """no descriptor, handle or byte is left behind in the clients' process"""
    STORY.heard()
    say(f"more than after the warm-up: {STORY.left}")
    if not STORY.counts_heap:
        STORY.left.update(blocks=0, bytes=0)
    with open(os.path.join(ARGS.work, "fleet.stderr"), encoding="utf-8") as errors:
        assert STORY.left == {"descriptors": 0, "blocks": 0, "bytes": 0}, errors.read()[-3000:]


def nothing_told():
    """no ticket, token or key is in any log"""
    STORY.heard().check_secrets(STORY.files, STORY.secrets)
    say(f"{len(STORY.files)} files, {sum(map(os.path.getsize, STORY.files)):,} bytes")


if __name__ == "__main__":
    os.makedirs(ARGS.work, exist_ok=True)
    run([story, used_once, in_time, explained, nothing_left, nothing_told])
