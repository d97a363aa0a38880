"""
Proxies for all three steps: real ones, each behind a relay of ours that counts who came by.  Which
one is taken is the library's choice, the same for every step.
"""

import json
import shutil

import pytest

from cli import Cli, run
from daemon import Dante, Squid, Tinyproxy, free_port
from relay import Relay
from wstserver import Server

PASSWORD = "pr0xy-p4ssw0rd"


class Way:
    """A proxy and the relay in front of it."""

    def __init__(self, proxy):
        self.proxy = proxy

    def __enter__(self):
        self.proxy.start()
        self.relay = Relay(self.proxy.port).__enter__()
        return self

    def __exit__(self, *exc):
        self.relay.__exit__(*exc)
        self.proxy.__exit__(*exc)

    def url(self, scheme="http", user=""):
        return f"{scheme}://{user}127.0.0.1:{self.relay.port}"

    @property
    def used(self):
        return self.relay.accepted

    def tunnels(self, port):
        """How many CONNECT requests to that port came by."""
        return sum(line.startswith("CONNECT ") and f":{port} " in line
                   for line in self.relay.requests)


@pytest.fixture
def first():
    with Way(Tinyproxy()) as way:
        yield way


@pytest.fixture
def second():
    with Way(Tinyproxy()) as way:
        yield way


@pytest.fixture(scope="module")
def secure():
    with Server(tls=True) as server:
        yield server


@pytest.fixture(scope="module")
def plain():
    with Server() as server:
        yield server


def opens(*args, **env):
    with Cli("connect", "--json", *args, **env) as cli:
        cli.wait_event("open")
        cli.send("through the proxy\n")
        assert cli.wait_event("message")["text"] == "through the proxy"
        assert cli.stop() == 0


def fails(*args, **env):
    """One attempt; its cause, and everything that was printed."""
    done = run("connect", "--json", "--once", *args, **env)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (failed,) = [e for e in events if e["event"] == "attempt_failed"]
    return failed["cause"], done


# ---- Which one ----------------------------------------------------------------------------------

def test_https_and_wss_take_https_proxy(first, second, secure):
    """Step 3 too: libcurl by itself would look up http_proxy for it."""
    opens("--ca-file", secure.ca_file, secure.url, http_proxy=first.url(), https_proxy=second.url())
    assert first.used == 0
    # One tunnel for the two HTTP steps, one for the WebSocket.
    assert second.tunnels(secure.port) == second.used == 2


def test_http_and_ws_take_http_proxy(first, second, plain):
    opens(plain.url, http_proxy=first.url(), https_proxy=second.url())
    assert second.used == 0
    assert first.used >= 2 and first.tunnels(plain.port) >= 1


def test_plain_loopback_stays_on_this_machine(first, plain):
    """It is allowed for that reason.  0.0.0.0 is here too, but is no address of loopback."""
    away = first.url().replace("127.0.0.1", "0.0.0.0")
    opens(plain.url, http_proxy=away)
    opens("--proxy", away, plain.url)
    assert first.used == 0
    opens("--allow-plaintext", plain.url, http_proxy=away)
    assert first.used >= 2


def test_each_step_by_its_own_scheme(first, second, plain, secure):
    with Server("--open", tls=True) as other:
        opens("--ca-file", other.ca_file, "--token-url", plain.url + "/api/v1/auth/token",
              "--ticket-url", other.url + "/api/v1/ws-ticket",
              "--ws-url", f"wss://localhost:{other.port}/ws", other.url,
              http_proxy=first.url(), https_proxy=second.url())
        assert first.used == 1
        assert second.tunnels(other.port) == second.used == 2


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_names_for_https(first, secure, name):
    opens("--ca-file", secure.ca_file, secure.url, **{name: first.url()})
    assert first.used == 2


def test_upper_case_http_proxy_is_ignored(first, plain):
    """In a CGI program it is a header of the request."""
    opens(plain.url, HTTP_PROXY=first.url())
    assert first.used == 0


def test_an_option_wins(first, second, secure):
    opens("--ca-file", secure.ca_file, "--proxy", first.url(), secure.url, https_proxy=second.url())
    assert (first.used, second.used) == (2, 0)


def test_an_empty_option_means_none(second, secure):
    opens("--ca-file", secure.ca_file, "--proxy", "", secure.url, https_proxy=second.url())
    assert second.used == 0


@pytest.mark.parametrize("how", ["environment", "option"])
def test_no_proxy(second, secure, how):
    if how == "environment":
        opens("--ca-file", secure.ca_file, secure.url, https_proxy=second.url(),
              no_proxy="example.com,localhost")
    else:
        opens("--ca-file", secure.ca_file, "--no-proxy", "localhost", secure.url,
              https_proxy=second.url(), no_proxy="other.example")
    assert second.used == 0


def test_no_proxy_for_another_host(second, secure):
    opens("--ca-file", secure.ca_file, secure.url, https_proxy=second.url(),
          no_proxy="example.com,127.0.0.1")
    assert second.used == 2


# ---- Kinds --------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("danted"), reason="danted is not installed")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks(secure, plain, scheme):
    with Way(Dante()) as way:
        opens("--ca-file", secure.ca_file, "--proxy", way.url(scheme), secure.url)
        assert way.used == 2
        opens(plain.url, all_proxy=way.url(scheme))
        assert way.used == 4
        assert way.proxy.read("log").count("tcp/connect") >= 4


def test_squid(secure):
    with Way(Squid()) as way:
        opens("--ca-file", secure.ca_file, "--proxy", way.url(), secure.url)
        assert way.tunnels(secure.port) == way.used == 2


def test_reconnects_go_through_it_too(first, secure):
    with Cli("connect", "--json", "--ca-file", secure.ca_file, "--base-delay", "50ms",
             "--proxy", first.url(), secure.url) as cli:
        cli.wait_event("open")
        secure.drop_all()
        cli.wait_event("open", 2)
        assert cli.stop() == 0
    assert first.tunnels(secure.port) == first.used >= 3


# ---- Refusals -----------------------------------------------------------------------------------

def test_407_is_an_error_of_its_own(secure):
    with Way(Tinyproxy(PASSWORD)) as way:
        cause, done = fails("--ca-file", secure.ca_file, "--proxy", way.url(), secure.url)
        assert (cause["code"], cause["class"]) == ("PROXY_AUTH", "refused")
        assert "407" in cause["text"] and f"127.0.0.1:{way.relay.port}" in cause["text"]
        assert done.returncode == 2


def test_a_wrong_password(secure):
    """tinyproxy says 401, which is about the proxy's password and not about our token."""
    with Way(Tinyproxy(PASSWORD)) as way:
        cause, done = fails("--ca-file", secure.ca_file, "--log-level", "debug", "-v",
                            "--proxy", way.url(user="user:wr0ng-s3cret@"), secure.url)
        assert (cause["code"], cause["class"]) == ("PROXY_AUTH", "refused")
        assert "proxy" in cause["text"] and "401" in cause["text"]
        assert "wr0ng-s3cret" not in done.stdout + done.stderr


def test_user_and_password(secure):
    with Way(Tinyproxy(PASSWORD)) as way:
        opens("--ca-file", secure.ca_file, secure.url,
              https_proxy=way.url(user=f"user:{PASSWORD}@"))
        assert way.used == 2


def test_403_of_a_proxy_is_no_refused_ticket(secure):
    """It says nothing of token or ticket: they are not dropped for it."""
    with Way(Squid(allow=False)) as way:
        cause, _ = fails("--ca-file", secure.ca_file, "--proxy", way.url(), secure.url)
        assert cause["code"] == "PROXY" and cause["class"] not in ("auth", "ticket", "token")
        assert "403" in cause["text"] and "proxy" in cause["text"]


def test_a_proxy_that_is_not_there(secure):
    port = free_port()
    cause, _ = fails("--ca-file", secure.ca_file, "--proxy", f"http://127.0.0.1:{port}", secure.url)
    assert cause["class"] == "transient"
    assert "proxy" in cause["text"] and f"127.0.0.1:{port}" in cause["text"]


def test_an_https_proxy_is_refused_by_name(secure):
    done = run("connect", "--once", "--proxy", "https://user:h1dden@proxy.example:3128", secure.url)
    assert done.returncode == 1
    assert "--proxy" in done.stderr and "proxy.example:3128" in done.stderr
    assert "h1dden" not in done.stderr


def test_an_https_proxy_of_the_environment_is_refused_by_name(secure):
    cause, done = fails(secure.url, https_proxy="https://user:h1dden@proxy.example:3128")
    assert cause["code"] == "PROXY" and "proxy.example:3128" in cause["text"]
    assert "h1dden" not in done.stdout + done.stderr
