"""Runs the clients and collects what they say."""

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace

from cells import CLIENTS, OURS, Cell, can

LIMIT_S = 60
FEWER = 8
PAIRS = 3


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def make_certificates(folder):
    """ca.pem, and server.pem with server.key for localhost and the WAN's server."""
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    with open(os.path.join(folder, "names"), "w", encoding="ascii") as names:
        names.write("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:192.0.2.2\n")
    openssl(folder, *new, "-x509", "-days", "30", "-subj", "/CN=bench", "-keyout", "ca.key",
            "-out", "ca.pem")
    openssl(folder, *new, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "request")
    openssl(folder, "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "30", "-extfile", "names", "-out", "server.pem")


def messages(client, cell):
    """Peers take much longer for a small message and do fewer: a run takes as long for all."""
    few = cell.mode in ("recv", "send") and cell.size <= 1024 and client not in OURS
    return max(1, cell.count // FEWER) if few else cell.count


class Bench:
    """The folder with the programs, the one with the certificates, and the server's ports."""

    def __init__(self, programs, folder, realtime):
        """|realtime|: nothing else runs beside client and server."""
        self.prefix = ["chrt", "-f", "5"] if realtime else []
        self.programs, self.folder, self.ports = programs, folder, {}
        cpus = sorted(os.sched_getaffinity(0))
        self.client_cpu, self.server_cpu = str(cpus[0]), str(cpus[-1])
        make_certificates(folder)

    def on(self, cpu, words):
        """The command line on that processor."""
        return [*self.prefix, "taskset", "-c", cpu, *words]

    def program(self, name):
        return os.path.join(self.programs, name)

    def file(self, name):
        return os.path.join(self.folder, name)

    def server_command(self, *more):
        return [self.program("blaster"), "-c", self.file("server.pem"), "-k",
                self.file("server.key"), *more]

    @contextlib.contextmanager
    def server(self):
        """The server, on a processor of its own and on ports that the kernel chose."""
        with subprocess.Popen(self.on(self.server_cpu, self.server_command()),
                              stdout=subprocess.PIPE, text=True) as server:
            try:
                for _ in range(3):
                    name, port = server.stdout.readline().split()
                    self.ports[name] = port
                yield
            finally:
                server.terminate()

    def command(self, client, cell):
        """A client's command line and its environment; cell.count is what it does."""
        program, extra = CLIENTS[client]
        env = dict(os.environ, BENCH_CA=self.file("ca.pem"), BENCH_RESUME=str(cell.resume),
                   BENCH_LIMIT=str(LIMIT_S), **extra)
        kind = "plain" if not cell.tls else "full" if cell.mode == "conn" and not cell.resume \
            else "tls"
        return [self.program(program), cell.mode, "127.0.0.1", self.ports[kind],
                str(cell.tls), str(cell.size), str(cell.count), cell.type], env

    def run(self, client, cell):
        """What the client printed, or None when it failed."""
        cell = replace(cell, count=messages(client, cell))
        words, env = self.command(client, cell)
        done = subprocess.run(self.on(self.client_cpu, words), env=env, check=False,
                              capture_output=True, text=True, timeout=2 * LIMIT_S)
        if done.returncode != 0 or not done.stdout:
            print(f"{client}: {cell.name}: {done.stderr.strip()[:200]}", file=sys.stderr)
            return None
        return {"count": cell.count, **json.loads(done.stdout.splitlines()[-1])}

    def clients(self, cell):
        return [name for name, (program, _) in CLIENTS.items()
                if os.path.exists(self.program(program)) and can(name, cell)]

    def rounds(self, cell, count):
        """
        {client: {pair: result}}: every round runs all clients, in a new order; and wire and us, whose
        ratio is what the goals are about, in further pairs.
        """
        found = {}
        for number in range(count * PAIRS):
            names = self.clients(cell) if number % PAIRS == 0 else ["wire", "wst"]
            random.shuffle(names)
            for name in names:
                result = self.run(name, cell)
                if result:
                    found.setdefault(name, {})[number] = result
        return found

    def idle(self, tls, counts, rounds):
        """{client: [[PSS in KiB for each count] of each round]}"""
        found = {}
        for _ in range(rounds):
            names = self.clients(Cell("idle"))
            random.shuffle(names)
            for name in names:
                results = [self.run(name, Cell("idle", tls, 64, "text", n)) for n in counts]
                if all(results):
                    found.setdefault(name, []).append([result["pss_kib"] for result in results])
        return found

    def instructions(self, client, cell):
        """
        Of user space per message: the difference of two runs; None without valgrind.  Counted once:
        the next count is the same within a hundredth.
        """
        if not shutil.which("valgrind"):
            return None
        totals = []
        for factor in (1, 2):
            words, env = self.command(client, Cell(cell.mode, 0, cell.size, cell.type,
                                                   factor * cell.count))
            env["BENCH_COUNTED"] = "1"
            done = subprocess.run(["valgrind", "--tool=callgrind",
                                   "--callgrind-out-file=/dev/null", *words], env=env,
                                  capture_output=True, text=True, timeout=4 * LIMIT_S,
                                  check=False)
            total = re.search(r"Collected : (\d+)", done.stderr)
            if done.returncode != 0 or not total:
                return None
            totals.append(int(total.group(1)))
        return (totals[1] - totals[0]) / cell.count

    def engine(self, what, size, kind, count):
        """Nanoseconds that a message takes in memory."""
        words = [self.program("engine"), what, str(size), kind, str(count)]
        done = subprocess.run(self.on(self.client_cpu, words), check=True, capture_output=True,
                              text=True, timeout=LIMIT_S)
        return json.loads(done.stdout)["ns"]

    def round_trips(self, mode, rounds, delay_ms):
        """How many each opening took; empty where there is no emulated network to be had."""
        server = self.server_command("-b", "192.0.2.2", "-t", "443")
        client = [self.program("sequence"), "192.0.2.2", "443", self.file("ca.pem"), mode,
                  str(rounds)]
        done = subprocess.run([self.program("wan"), "-d", str(delay_ms), "--", *server, "--",
                               *client], check=False, capture_output=True, text=True,
                              timeout=2 * LIMIT_S)
        if done.returncode != 0:
            print(f"wan: {mode}: {done.stderr.strip()[:200]}", file=sys.stderr)
            return []
        values = re.findall(r"^\d+\.\d+$", done.stdout, re.MULTILINE)
        return [float(value) / (2 * delay_ms) for value in values]
