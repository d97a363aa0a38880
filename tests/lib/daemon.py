"""Real programs between client and server, each on a free port of loopback, ended by its own id."""

import os
import shutil
import socket
import subprocess
import tempfile

from wstserver import PATIENCE, wait_until


def free_port():
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Daemon:
    """
    What a daemon needs: subclasses write their configuration for a port and name the command.
    These programs cannot ask the kernel for a port, so one that loses a race tries another.
    """

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="wstdaemon-")
        # Some of these drop root's rights and still have to write here.
        os.chmod(self.dir, 0o777)
        self.port = None
        self.proc = None

    def command(self, port):
        raise NotImplementedError

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        """A log of it; "" when there is none yet."""
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _try(self, port):
        with open(self.path("output"), "a", encoding="utf-8") as output:
            self.proc = subprocess.Popen(self.command(port), stdin=subprocess.DEVNULL,
                                         stdout=output, stderr=output, cwd=self.dir)
        wait_until(lambda: answers(port) or self.proc.poll() is not None, "a daemon to start")
        return self.proc.poll() is None

    def start(self):
        for _ in range(5):
            self.port = free_port()
            if self._try(self.port):
                return self
            self.proc.wait()
        raise AssertionError(f"{self.command(self.port)[0]} did not start: {self.read('output')}")

    def stop(self):
        if self.proc:
            self.proc.terminate()
            try:
                self.proc.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
            self.proc = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class CachingNginx(Daemon):
    """nginx in front of a server, told to cache the ticket URL whatever the server says."""

    CONF = """
daemon off;
master_process off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{}}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/temp;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    proxy_cache_path {dir}/cache keys_zone=tickets:1m use_temp_path=off;
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
        }}
        location /ws {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
        location /api/v1/ws-ticket {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_cache tickets;
            proxy_cache_valid 200 10m;
            proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
}}
"""

    def __init__(self, upstream):
        super().__init__()
        self.upstream = upstream

    def command(self, port):
        conf = self.write("nginx.conf", self.CONF.format(dir=self.dir, port=port,
                                                         upstream=self.upstream))
        return ["nginx", "-p", self.dir, "-c", conf, "-e", self.path("error.log")]


class Tinyproxy(Daemon):
    """An HTTP proxy; with |password| it wants the user "user"."""

    def __init__(self, password=None):
        super().__init__()
        self.password = password

    def command(self, port):
        auth = f"BasicAuth user {self.password}\n" if self.password else ""
        conf = self.write("conf", f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\n"
                                  f"Allow 127.0.0.1\nLogFile \"{self.path('log')}\"\n"
                                  f"LogLevel Connect\nDisableViaHeader Yes\n{auth}")
        return ["tinyproxy", "-d", "-c", conf]


class Squid(Daemon):
    """An HTTP proxy; |allow| False: it answers every request with 403."""

    def __init__(self, allow=True):
        super().__init__()
        self.allow = allow

    CONF = """
http_port 127.0.0.1:{port}
pid_filename {dir}/pid
access_log stdio:{dir}/access.log
cache_log {dir}/cache.log
coredump_dir {dir}
cache deny all
shutdown_lifetime 0 seconds
pinger_enable off
netdb_filename none
max_filedescriptors 1024
http_access {verdict} all
"""

    def command(self, port):
        verdict = "allow" if self.allow else "deny"
        conf = self.write("conf", self.CONF.format(dir=self.dir, port=port, verdict=verdict))
        return ["squid", "-N", "-f", conf]


class Dante(Daemon):
    """A SOCKS proxy."""

    CONF = """
logoutput: {dir}/log
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: none
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 log: connect }}
"""

    def command(self, port):
        conf = self.write("conf", self.CONF.format(dir=self.dir, port=port))
        return ["danted", "-f", conf]
