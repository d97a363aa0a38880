"""Starts a wsticket-server, steers its faults, reads its statistics and its log.

    with Server(tls=True) as server:
        server.faults(ticket={"status": 503, "count": 2})
        run_a_client(server.url, server.ca_file)
        assert server.stats()["redeemed"] == 1
        server.wait_log("websocket_connected")

The port is the kernel's choice; `restart` keeps it, and with TLS the certificate too.  Faults go over
a Unix socket, so they work whatever happens to the server's network.
"""

import hashlib
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("WST_BUILD", os.path.join(TOP, "build")))
WRAP = shlex.split(os.environ.get("WST_WRAP", ""))
# Everything below waits on a condition and fails only after this long; valgrind is slow.
PATIENCE = 60 if WRAP else 20


def server_binary():
    return os.path.join(BUILD, "examples", "server", "wsticket-server")


def wait_until(condition, what, timeout=PATIENCE):
    """Returns the first true value of condition(); fails after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(0.01)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    """A running wsticket-server.

    args: further options.  tls: with a throw-away certificate.  redis: a redis:// URL.
    listen: HOST:PORT.  env: further environment.  wrapper: a command to run it under, by default the
    words of WST_WRAP (valgrind).
    """

    def __init__(self, *args, tls=False, redis=None, listen="127.0.0.1:0", env=None,
                 wrapper=None):
        self.dir = tempfile.mkdtemp(prefix="wstserver-")
        self.args = list(args)
        self.listen = listen
        self.env = dict(env or {})
        self.wrapper = WRAP if wrapper is None else wrapper
        self.admin_socket = os.path.join(self.dir, "admin.sock")
        self.ca_file = os.path.join(self.dir, "tls", "ca.pem") if tls else None
        if tls:
            self.args += ["--tls-dir", os.path.join(self.dir, "tls")]
        if redis:
            self.args += ["--redis", redis]
        self.log = []  # every line of stderr, of all starts
        self.stdout = []
        self.proc = None
        self.port = None
        self.url = None
        self._threads = []

    def command(self):
        host = self.listen.rsplit(":", 1)[0]
        listen = f"{host}:{self.port}" if self.port else self.listen
        return (list(self.wrapper) + [server_binary(), "--listen", listen,
                                "--admin-socket", self.admin_socket] + self.args)

    def start(self):
        self.proc = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env={**os.environ, **self.env})
        self.stdout = []
        self._threads = [self._collect(self.proc.stderr, self.log),
                         self._collect(self.proc.stdout, self.stdout)]
        try:
            wait_until(lambda: self.stdout or self.proc.poll() is not None, "the first line")
            if not self.stdout or not self.stdout[0].startswith("listening "):
                self.kill()  # Then all that it said is there.
                raise AssertionError(f"the server did not start: {self.log[-5:]}")
        except AssertionError:
            self.kill()
            shutil.rmtree(self.dir, ignore_errors=True)
            raise
        self.url = self.stdout[0].split()[1]
        self.port = int(self.url.split(":")[2].split("/")[0])
        return self

    @staticmethod
    def _collect(stream, lines):
        def read():
            with stream:
                for line in stream:
                    lines.append(line.decode("utf-8", "replace").rstrip("\n"))
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    @property
    def ws_url(self):
        return "ws" + self.url[4:] + "/ws"

    # Ends

    def _reap(self):
        code = self.proc.wait(timeout=PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        self.proc = None
        return code

    def stop(self):
        """SIGTERM; returns the exit status."""
        if not self.proc:
            return None
        self.proc.send_signal(signal.SIGCONT)
        self.proc.send_signal(signal.SIGTERM)
        try:
            return self._reap()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self):
        """SIGKILL: the server's machine loses power, as far as TCP can tell."""
        if self.proc:
            self.proc.send_signal(signal.SIGCONT)
            self.proc.kill()
            self._reap()

    def restart(self, kill=False):
        self.kill() if kill else self.stop()
        return self.start()

    def freeze(self):
        self.proc.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.proc.send_signal(signal.SIGCONT)

    def cleanup(self):
        """Stops it and removes its files; returns the exit status, None when it was not running."""
        try:
            return self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *exc):
        code = self.cleanup()
        assert kind or not self.holds_secret(), "a token or a ticket is in the server's log"
        # A crash, or what a sanitizer or valgrind found, is a failure of the test that ran it.
        assert kind or code in (None, 0), f"exit status {code}; log: {self.log[-50:]}"

    # Steering

    def admin(self, method, path, body=None):
        connection = _UnixConnection(self.admin_socket)
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def faults(self, **faults):
        """Sets faults, e.g. ticket={"status": 503}; ticket=None ends them.  The man page lists all."""
        status, answer = self.admin("POST", "/admin/faults", faults)
        assert status == 200, answer
        return answer

    def reset_faults(self):
        return self.faults(reset=True)

    def close_all(self, code, reason=""):
        return self.faults(closeAll={"code": code, "reason": reason})

    def drop_all(self, how="rst"):
        return self.faults(dropAll=how)

    def stats(self):
        status, answer = self.admin("GET", "/admin/stats")
        assert status == 200, answer
        return answer

    # The log

    def holds_secret(self):
        """Is a JWT in it, or a ticket that it has handed out?"""
        log = "\n".join(self.log)
        made = set(re.findall(r"ticketHash: '([0-9a-f]+)\.\.\.'", log))
        digests = {hashlib.sha256(word.encode()).hexdigest()
                   for word in re.findall(r"\b[0-9a-f]{32}\b", log)}
        return bool(re.search(r"\beyJ[\w-]+\.[\w-]+", log)
                    or any(digest.startswith(tuple(made)) for digest in digests if made))

    def log_count(self, text):
        return sum(text in line for line in list(self.log))

    def wait_log(self, text, count=1, timeout=PATIENCE):
        """Waits until |count| lines hold |text|; returns the last of them."""
        wait_until(lambda: self.log_count(text) >= count, f"log line {text!r}; log: {self.log}",
                   timeout)
        return [line for line in list(self.log) if text in line][-1]

    def wait_stats(self, timeout=PATIENCE, **wanted):
        """Waits until the named counters have the given values."""
        wait_until(lambda: all(self.stats()[k] == v for k, v in wanted.items()),
                   f"statistics {wanted}", timeout)
