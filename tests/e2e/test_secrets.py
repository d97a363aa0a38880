"""
Secrets are planted and looked for in everything that is printed: token, ticket, passwords, header
values; in good runs and in bad ones, in the console's words, --verbose, --json and the debug log.
"""

import json
import os
import urllib.parse

import pytest

from cli import Cli, eventually, run
from daemon import free_port
from relay import Relay
from wstserver import Server

pytestmark = pytest.mark.unwrapped

TOKEN = "t0k3n-c4n4ry"
TICKET = "t1ck3t&c4n4ry"
USER = "us3r-c4n4ry"
PASSWORD = "p4ssw0rd-c4n4ry"
HEADER = "h34d3r-c4n4ry"
BODY = "b0dy-c4n4ry"
SECRETS = [TOKEN, TICKET, urllib.parse.quote(TICKET), PASSWORD, HEADER, BODY, "c4n4ry"]

LOUD = {"console": ["-v", "--timing", "--log-level", "debug"],
        "json": ["--json", "--timing", "--log-level", "debug"],
        "plain": []}


@pytest.fixture(scope="module")
def server():
    """It asks for no token, so that the planted one does."""
    with Server("--open") as running:
        yield running


@pytest.fixture(params=LOUD)
def loud(request):
    return LOUD[request.param]


def planted(server, *options):
    return ["connect", *options, "--header", f"X-Api-Key: {HEADER}", "--header",
            f"token:Authorization: Basic {HEADER}", "--token-body", json.dumps({"a": BODY}),
            server.url]


def looks_clean(*texts):
    for text in texts:
        for secret in SECRETS:
            assert secret not in text


def reply(value, **more):
    return {"status": 200, "body": json.dumps(value), **more}


GOOD_TOKEN = reply({"token": TOKEN, "expiresInSeconds": 60})
GOOD_TICKET = reply({"ticket": TICKET})

# What the server does; each shows a secret to the client and then fails in some way.
STORIES = {
    "ticket refused by close": {"token": GOOD_TOKEN, "ticket": GOOD_TICKET},
    "upgrade refused": {"token": GOOD_TOKEN, "ticket": GOOD_TICKET,
                        "upgrade": {"status": 500, "body": f"no such ticket: {TICKET}"}},
    "upgrade redirected": {"token": GOOD_TOKEN, "ticket": GOOD_TICKET,
                           "upgrade": {"status": 302, "location": f"/ws?ticket={TICKET}"}},
    "upgrade dropped": {"token": GOOD_TOKEN, "ticket": GOOD_TICKET, "upgrade": {"drop": "rst"}},
    "ticket request refused": {"token": GOOD_TOKEN,
                               "ticket": {"status": 400, "body": f"bad token {TOKEN}"}},
    "token refused": {"token": GOOD_TOKEN, "ticket": {"status": 401, "body": TOKEN}},
    "ticket redirected": {"token": GOOD_TOKEN,
                          "ticket": {"status": 307, "location": f"https://a.test/{TOKEN}?{TOKEN}"}},
    "ticket of a wrong kind": {"token": GOOD_TOKEN, "ticket": reply({"ticket": [TICKET]})},
    "ticket with a wrong life": {"token": GOOD_TOKEN,
                                 "ticket": reply({"ticket": TICKET, "expiresInSeconds": -1})},
    "token cut off": {"token": {"status": 200, "body": '{"token": "' + TOKEN}},
    "token with a space": {"token": reply({"token": TOKEN + " "})},
    "token as the name of a field": {"token": reply({TOKEN: TOKEN})},
    "token request refused": {"token": {"status": 403, "body": BODY}},
}


@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_printed(server, loud, name):
    server.faults(reset=True, **STORIES[name])
    done = run(*planted(server, *loud, "--once"))
    assert done.returncode in (2, 3)
    looks_clean(done.stdout, done.stderr)


def test_the_whole_life_of_a_token(server, loud, tmp_path):
    """Given in the environment, used, kept in a file, refused, replaced."""
    server.reset_faults()
    cache = tmp_path / "jwt"
    options = [*loud, "--token-cache", str(cache), "--base-delay", "50ms"]
    with Cli(*planted(server, *options), WSTICKET_TOKEN=TOKEN) as cli:
        server.wait_stats(webSocketsOpen=1)
        server.faults(ticket={"status": 401, "count": 1}, token=GOOD_TOKEN)
        server.drop_all()
        eventually(lambda: cache.exists() and TOKEN in cache.read_text(), "the token to be kept")
        cli.signal(15)
        cli.wait()
        looks_clean("\n".join(cli.out), "\n".join(cli.err))
    server.wait_stats(webSocketsOpen=0)


def test_a_proxy_password(server, loud):
    server.reset_faults()
    proxy = f"http://{USER}:{PASSWORD}@127.0.0.1:{free_port()}"
    for options, env in ((["--proxy", proxy], {}), ([], {"http_proxy": proxy})):
        done = run(*planted(server, *loud, "--once", *options), **env)
        assert done.returncode == 3
        looks_clean(done.stdout, done.stderr)


@pytest.mark.parametrize("option", ["url", "--token-url", "--ticket-url", "--ws-url"])
def test_a_password_in_a_url(server, loud, option):
    scheme = "ws" if option == "--ws-url" else "http"
    url = f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{server.port}/x"
    words = [url] if option == "url" else [option, url, server.url]
    done = run("connect", *loud, "--once", *words)
    looks_clean(done.stdout, done.stderr)
    assert done.returncode in (1, 2, 3)


def test_a_secret_in_the_query_of_a_url(server, loud):
    """The query of a ticket URL is the application's, and may hold a key."""
    server.faults(reset=True, ticket={"status": 404})
    done = run("connect", *loud, "--once", "--ticket-url",
               f"{server.url}/api/v1/ws-ticket?key={TOKEN}", server.url)
    looks_clean(done.stdout, done.stderr)


def test_a_one_time_url(server, loud):
    with Relay(server.port) as relay:
        server.faults(reset=True, ticket=reply(
            {"url": f"ws://127.0.0.1:{relay.port}/ws?ticket={urllib.parse.quote(TICKET)}"}))
        done = run(*planted(server, *loud, "--once", "--url-pointer", "/url"))
        assert any(urllib.parse.quote(TICKET) in line for line in relay.requests), "it was used"
    looks_clean(done.stdout, done.stderr)


@pytest.mark.parametrize("place", ["header", "subprotocol"])
def test_a_ticket_elsewhere(server, loud, place):
    ticket = "t1ck3t-c4n4ry"
    server.faults(reset=True, ticket=reply({"ticket": ticket}))
    with Relay(server.port) as relay:
        done = run(*planted(server, *loud, "--once", "--ticket-in", place, "--ws-url",
                            f"ws://127.0.0.1:{relay.port}/ws"))
        assert any(ticket.encode() in link.bytes for link in relay.links), "it was used"
    looks_clean(done.stdout, done.stderr)


def test_the_token_file_is_ours_alone(server, tmp_path):
    server.faults(reset=True, token=GOOD_TOKEN, ticket={"status": 503})
    old = os.umask(0)
    try:
        run(*planted(server, "--once", "--token-cache", str(tmp_path / "jwt")))
    finally:
        os.umask(old)
    assert (tmp_path / "jwt").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["jwt"], "no temporary file is left behind"


def test_a_token_file_of_others(server, tmp_path):
    """Not used, whoever may have read it or put it there; the new one is ours alone again."""
    server.faults(reset=True, token=GOOD_TOKEN, ticket={"status": 503})
    path = tmp_path / "jwt"
    command = planted(server, "--once", "--token-cache", str(path))
    shared = {"others may use": lambda: path.chmod(0o644)}
    if os.geteuid() == 0:
        shared["belongs to another user"] = lambda: os.chown(path, 65534, 65534)
    run(*command)
    assert f"token_cache: {path}" not in run(*command).stderr
    for words, share in shared.items():
        share()
        issued = server.stats()["tokenRequests"]
        done = run(*command)
        assert words in done.stderr and str(path) in done.stderr
        assert server.stats()["tokenRequests"] == issued + 1
        now = path.stat()
        assert (now.st_uid, now.st_mode & 0o777) == (os.geteuid(), 0o600)


def test_the_server_tells_none_either(backend, monitor):
    with Cli("connect", backend.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
    (ticket,) = monitor.tickets("SET")
    assert ticket not in "\n".join(backend.log)
