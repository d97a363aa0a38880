"""
The peers of the interoperability matrix: echo servers on three implementations that share nothing
with ours nor with each other, and the two proxies that stand before one of them.
"""

import fcntl
import json
import os
import shutil
import subprocess
import threading

import pytest

from cli import BUILD
from daemon import Daemon
from wstserver import PATIENCE, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(BUILD, "tests", "interop")
LWS = os.path.join(PROGRAMS, "interop_lws")
CLIENT = os.path.join(PROGRAMS, "interop_client")
DEBIAN_MODULES = "/usr/share/nodejs"


def installed_version(folder):
    try:
        with open(os.path.join(folder, "ws", "package.json"), encoding="utf-8") as text:
            return json.load(text)["version"]
    except FileNotFoundError:
        return None


def ws_from_npm():
    """
    The folder with the ws that package.json pins, installed once by npm; and else why there is
    none, for a skip.
    """
    folder = os.path.join(PROGRAMS, "node")
    modules = os.path.join(folder, "node_modules")
    with open(os.path.join(HERE, "package.json"), encoding="utf-8") as text:
        wanted = json.load(text)["dependencies"]["ws"]
    if not shutil.which("npm"):
        return None, "npm is not installed"
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Several workers want it at once.
        if installed_version(modules) != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(os.path.join(HERE, name), folder)
            try:
                done = subprocess.run(
                    ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
                     "--fetch-retries=1", "--fetch-timeout=20000"],
                    cwd=folder, capture_output=True, text=True, timeout=60, check=False)
                problem = done.stderr.strip()[-500:]
            except subprocess.TimeoutExpired:
                problem = "no answer in 60 s"
            if installed_version(modules) != wanted:
                return None, f"npm could not install ws {wanted}: {problem}"
    return modules, ""


def node_command():
    """
    ws of npm, where there is an npm that reaches its registry, else Debian's package node-ws: the
    same library, one or two years older.
    """
    if not shutil.which("node"):
        pytest.skip("nodejs is not installed")
    modules, why = ws_from_npm()
    if not modules and installed_version(DEBIAN_MODULES):
        modules = DEBIAN_MODULES
    if not modules:
        pytest.skip(f"{why}, and node-ws is not installed either")
    return ["env", "NODE_PATH=" + modules, "node", os.path.join(HERE, "ws_echo.js")]


def lws_command():
    if not os.path.exists(LWS):
        pytest.skip("libwebsockets-dev is not installed")
    return [LWS]


COMMANDS = {
    "libwebsockets": lws_command,
    "ws": node_command,
    "websockets": lambda: ["/usr/bin/python3", os.path.join(HERE, "websockets_echo.py")],
}


class EchoServer:
    """A running server; |leaf|: certificate and key, for TLS."""

    def __init__(self, name, leaf=None, deflate=False, fragments=False):
        self.command = list(COMMANDS[name]())
        if leaf:
            self.command += ["cert=" + leaf[0], "key=" + leaf[1]]
        self.command += ["deflate"] * deflate + ["fragments"] * fragments
        self.lines = []
        self.port = None

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        try:
            wait_until(lambda: self.lines or self.process.poll() is not None, "an echo server")
            assert self.lines, f"{self.command} ended with {self.process.poll()}"
        except AssertionError:
            self.__exit__()
            raise
        self.port = int(self.lines[0].split()[1])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    @property
    def extensions(self):
        """What each connection has agreed on."""
        return [line.split(None, 1)[1] for line in self.lines if line.startswith("extensions ")]


class Nginx(Daemon):
    """nginx before a plain server; |leaf|: it ends TLS."""

    CONF = """
daemon off;
master_process off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/temp;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""

    def __init__(self, upstream, leaf=None):
        super().__init__()
        self.upstream = upstream
        self.leaf = leaf

    def command(self, port):
        tls = ""
        if self.leaf:
            tls = " ssl;\n        ssl_certificate {};\n        ssl_certificate_key {}".format(
                *self.leaf)
        conf = self.write("nginx.conf", self.CONF.format(dir=self.dir, port=port, tls=tls,
                                                         upstream=self.upstream))
        return ["nginx", "-p", self.dir, "-c", conf, "-e", self.path("error.log")]


class Haproxy(Daemon):
    """HAProxy before a plain server; |leaf|: it ends TLS."""

    CONF = """
global
    maxconn 100
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend front
    bind 127.0.0.1:{port}{tls}
    default_backend back
backend back
    server one 127.0.0.1:{upstream}
"""

    def __init__(self, upstream, leaf=None):
        super().__init__()
        self.upstream = upstream
        self.leaf = leaf

    def command(self, port):
        tls = ""
        if self.leaf:
            pem = ""
            for path in self.leaf:
                with open(path, encoding="utf-8") as part:
                    pem += part.read()
            tls = " ssl crt " + self.write("leaf.pem", pem)
        conf = self.write("haproxy.cfg", self.CONF.format(port=port, tls=tls,
                                                          upstream=self.upstream))
        return ["haproxy", "-db", "-f", conf]


PROXIES = {"nginx": Nginx, "haproxy": Haproxy}
