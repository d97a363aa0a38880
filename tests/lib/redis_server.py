"""A real redis-server on a free port of loopback, in a temporary directory."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from wstserver import PATIENCE


class RedisServer:
    """|wrapper|: words to put before every command, e.g. to run it in a network namespace."""

    def __init__(self, password=None, wrapper=()):
        self.dir = tempfile.mkdtemp(prefix="wstredis-")
        self.password = password
        self.wrapper = list(wrapper)
        self.port = None
        self.proc = None

    @property
    def url(self):
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}"

    def start(self):
        """Starts it; again on the port that it had before."""
        for _ in range(10):
            if self._try_start(self.port or self._free_port()):
                return self
        raise AssertionError("redis-server did not start")

    @staticmethod
    def _free_port():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def _try_start(self, port):
        # redis-server cannot ask the kernel for a port, so somebody may take it in between: try again.
        command = [*self.wrapper, "redis-server", "--port", str(port), "--bind", "127.0.0.1",
                   "--dir", self.dir, "--save", "", "--appendonly", "no", "--daemonize", "no"]
        if self.password:
            command += ["--requirepass", self.password]
        self.proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.proc.poll() is None:
            self.port = port
            if self.cli("PING", check=False) == "PONG" and self._is_ours():
                return True
            time.sleep(0.01)
        self.kill()
        return False

    def _is_ours(self):
        return f"process_id:{self.proc.pid}" in self.cli("INFO", "server", check=False)

    def cli(self, *args, check=True):
        """One command through redis-cli; its output."""
        env = dict(os.environ)
        if self.password:
            env["REDISCLI_AUTH"] = self.password
        done = subprocess.run([*self.wrapper, "redis-cli", "-h", "127.0.0.1", "-p", str(self.port),
                               *args], env=env, capture_output=True, text=True, timeout=PATIENCE,
                              check=check)
        return done.stdout.strip()

    def pause(self):
        """SIGSTOP: connections stay open, nothing is answered."""
        self.proc.send_signal(signal.SIGSTOP)

    def resume(self):
        self.proc.send_signal(signal.SIGCONT)

    def kill(self):
        if self.proc:
            self.proc.send_signal(signal.SIGCONT)
            self.proc.kill()
            self.proc.wait(timeout=PATIENCE)
            self.proc = None

    def cleanup(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.cleanup()
