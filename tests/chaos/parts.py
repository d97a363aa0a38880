"""
The real parts between a fleet and its servers, and the witness of every ticket.  The process lives
in a network namespace of its own, and the fleet in another one, at the other end of a cable.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading

from daemon import Daemon, free_port
from netns import Namespace, run
from wstserver import wait_until

CLONE_NEWNET = 0x40000000
HERE, THERE = "192.0.2.2", "192.0.2.1"


def leave_the_network():
    """This process and its children get a network of their own.  Before any thread is started."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    run("ip", "link", "set", "lo", "up")


class FarSide(Namespace):
    """A network namespace at the other end of a cable."""

    def __enter__(self):
        super().__enter__()
        run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns",
            str(self.pid))
        run("ip", "address", "add", HERE + "/30", "dev", "cable")
        run("ip", "link", "set", "cable", "up")
        self.run("ip", "address", "add", THERE + "/30", "dev", "cable")
        self.run("ip", "link", "set", "cable", "up")
        return self

    def set_link(self, side, state):
        """side: here or there.  state: up or down."""
        command = ["ip", "link", "set", "cable", state]
        self.run(*command) if side == "there" else run(*command)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as text:
        return set(text.read().split())


class Reloading(Daemon):
    """A daemon whose master replaces its workers when it is told to read its configuration."""

    SIGNAL = None

    def reload(self):
        """Returns when no worker of before is left."""
        old = children(self.proc.pid)
        self.proc.send_signal(self.SIGNAL)
        wait_until(lambda: children(self.proc.pid) and not old & children(self.proc.pid),
                   "the workers to be replaced")


class Haproxy(Reloading):
    """
    In front of several servers.  It repeats a request only when no connection could be made; its log
    names paths without their query.
    """

    SIGNAL = signal.SIGUSR2
    CONF = """
global
    maxconn 8000
    hard-stop-after 1s
    log stdout format raw local0
defaults
    mode http
    log global
    log-format "%ci:%cp %b/%s %ST %HM %HPO"
    timeout connect 2s
    timeout client 20s
    timeout server 20s
    timeout tunnel 20s
    option redispatch
frontend in
    bind 0.0.0.0:{port}
    default_backend servers
backend servers
    balance roundrobin
    default-server check inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions
{servers}
"""

    def __init__(self, servers):
        super().__init__()
        self.servers = "".join(f"    server s{i} 127.0.0.1:{server.port}\n"
                               for i, server in enumerate(servers))

    def command(self, port):
        conf = self.write("conf", self.CONF.format(port=port, servers=self.servers))
        return ["haproxy", "-W", "-db", "-f", conf]


class Nginx(Reloading):
    """
    TLS in front of several servers.  By itself nginx sends a GET again to another server when the
    first does not answer, and with it a ticket: that is turned off.  Its logs name no query; from
    level "error" on, the error log would.
    """

    SIGNAL = signal.SIGHUP
    CONF = """
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 16000;
worker_shutdown_timeout 1s;
pid {dir}/pid;
error_log {dir}/error.log crit;
events {{ worker_connections 8000; }}
http {{
    log_format paths '$remote_addr $status $request_method $uri';
    access_log {dir}/access.log paths;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/temp;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream servers {{
{servers}
    }}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 0.0.0.0:{port} ssl backlog=4096;
        ssl_certificate {pem};
        ssl_certificate_key {key};
        location / {{
            proxy_pass http://servers;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_next_upstream off;
            proxy_connect_timeout 2s;
            proxy_read_timeout 20s;
            proxy_send_timeout 20s;
        }}
    }}
}}
"""

    def __init__(self, servers, pem, key):
        super().__init__()
        self.pem, self.key = pem, key
        self.servers = "".join(f"        server 127.0.0.1:{server.port} max_fails=0;\n"
                               for server in servers)

    def command(self, port):
        conf = self.write("nginx.conf", self.CONF.format(
            dir=self.dir, port=port, servers=self.servers, pem=self.pem, key=self.key))
        return ["nginx", "-p", self.dir, "-c", conf, "-e", self.path("error.log")]


class Redis:
    """
    A redis-server each of whose commands is witnessed: it opens its port only once the witness
    listens, also after a restart.
    """

    LINE = re.compile(r'(\d+\.\d+) \[[^]]*\] "(\w+)" "ws_ticket:([0-9a-f]+)"(?: "((?:\\.|[^"\\])*)")?')

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="wstredis-")
        self.socket = os.path.join(self.dir, "socket")
        self.port = free_port()
        self.lives = []  # When each life began, in seconds since 1970.
        self.lines = []
        self.proc = self.monitor = self.reader = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def cli(self, *args):
        done = subprocess.run(["redis-cli", "-s", self.socket, *args], capture_output=True,
                              text=True, check=False, timeout=20)
        return done.stdout.strip()

    def start(self):
        self.proc = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--bind", "127.0.0.1",
             "--dir", self.dir, "--save", "", "--appendonly", "no", "--maxclients", "1000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: self.cli("PING") == "PONG", "redis-server")
        seconds, microseconds = self.cli("TIME").split()
        self.lives.append(int(seconds) + int(microseconds) / 1e6)
        begun = len(self.lines)
        self.monitor = subprocess.Popen(["redis-cli", "-s", self.socket, "monitor"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.reader = threading.Thread(target=self._read, args=(self.monitor.stdout,))
        self.reader.start()
        wait_until(lambda: len(self.lines) > begun, "redis-cli monitor")
        assert self.cli("CONFIG", "SET", "port", str(self.port)) == "OK"

    def _read(self, stream):
        with stream:
            for line in stream:
                self.lines.append(line)

    def kill(self):
        if self.proc:
            self.proc.send_signal(signal.SIGCONT)
            self.proc.kill()
            self.proc.wait(20)
            self.monitor.wait(20)
            self.reader.join(20)
            self.proc = None

    def restart(self):
        self.kill()
        self.start()

    def pause(self):
        self.proc.send_signal(signal.SIGSTOP)

    def resume(self):
        self.proc.send_signal(signal.SIGCONT)

    def settle(self):
        """Waits until everything that it has executed so far has been told."""
        mark = f"mark-{len(self.lines)}"
        self.cli("ECHO", mark)
        wait_until(lambda: any(mark in line for line in self.lines[-50:]), "the witness's mark")

    def commands(self):
        """(time, "SET" or "GETDEL", ticket, userId or None) of each, in order."""
        for line in list(self.lines):
            if match := self.LINE.match(line):
                at, command, ticket, value = match.groups()
                user = None
                if command == "SET":
                    user = json.loads(json.loads(f'"{value}"'))["userId"]
                yield float(at), command, ticket, user

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
