"""
Tickets that the server does not take: refused at the upgrade, refused by a close, handed out twice
by a broken server or by a cache.
"""

import socket

import pytest

from audit import check
from cli import Cli, soon
from daemon import CachingNginx
from redis_server import RedisServer
from relay import Relay
from wstserver import Server

pytestmark = pytest.mark.quick

FAST = ["--base-delay", "50ms", "--cap", "100ms"]


def failures(cli):
    return [e["cause"] for e in cli.events() if e["event"] in ("attempt_failed", "closed")
            and e["cause"]]


@pytest.fixture(params=["http", "http403", "close"])
def stranger(request):
    """A server with another Redis: to it every ticket of |backend| is unknown."""
    with RedisServer() as redis, Server("--reject", request.param, redis=redis.url) as server:
        server.wait_log("[Redis] Connected")
        server.how = request.param
        yield server


def test_a_refused_ticket_is_followed_by_a_new_one(backend, stranger, monitor):
    """Two running: the token is dropped too, so attempts 1, 2 share one and 3, 4 the next."""
    with Cli("connect", "--json", *FAST, "--max-attempts", "4", "--ws-url", stranger.ws_url,
             backend.url) as cli:
        assert cli.wait() == 2
        causes = failures(cli)
        assert [c["class"] for c in causes] == ["ticket"] * 4
        if stranger.how == "close":
            assert {c["close_code"] for c in causes} == {4401}
        else:
            status = 401 if stranger.how == "http" else 403
            assert {(c["code"], c["http_status"]) for c in causes} == {("UPGRADE_REFUSED", status)}
    assert backend.stats()["tokensIssued"] == 2
    assert len(set(monitor.tickets("SET"))) == 4
    seen = stranger.stats()
    assert (seen["rejected"], seen["missing"], seen["redeemed"]) == (4, 0, 0)
    # Each of its records is one ticket, tried once.
    assert [t["rejected"] for t in seen["tickets"].values()] == [1] * 4


def test_the_console_says_what_was_refused(backend, stranger):
    with Cli("connect", *FAST, "--max-attempts", "1", "--ws-url", stranger.ws_url,
             backend.url) as cli:
        assert cli.wait() == 2
        text = "\n".join(cli.err)
        word = {"http": "401", "http403": "403", "close": "4401"}[stranger.how]
        assert word in text


@pytest.mark.parametrize("fault", [{"upgrade": {"status": 401, "count": 1}},
                                   {"upgrade": {"status": 403, "count": 1}},
                                   {"open": {"closeCode": 4401, "count": 1}},
                                   {"open": {"closeCode": 1008, "count": 1}},
                                   {"open": {"closeCode": 4403, "count": 1}}])
def test_refused_once_then_open(backend, monitor, fault):
    """One refusal costs one ticket and leaves the token alone."""
    backend.faults(**fault)
    with Cli("connect", "--json", *FAST, backend.url) as cli:
        cli.until(lambda c: c.events() and failures(c), "the refusal")
        cli.wait_event("open", 2 if "open" in fault else 1)
        assert cli.stop() == 0
        assert [c["class"] for c in failures(cli)] == ["ticket"]
    assert backend.stats()["tokensIssued"] == 1
    check(backend, monitor, generated=2)


def test_not_authorized_after_the_link_was_stable_drops_the_token(backend, monitor):
    with Cli("connect", "--json", *FAST, "--stable", "1ms", "--ping-interval", "20ms",
             backend.url) as cli:
        cli.wait_event("pong", 3)
        backend.close_all(4401, "NOT_AUTHORIZED")
        cli.wait_event("open", 2)
        assert cli.stop() == 0
        assert [c["class"] for c in failures(cli)] == ["token"]
    assert backend.stats()["tokensIssued"] == 2
    check(backend, monitor, generated=2, redeemed=2)


# ---- The same ticket twice ----------------------------------------------------------------------

def test_a_server_that_hands_out_a_ticket_twice(backend, monitor):
    with Relay(backend.port) as relay, Cli(
            "connect", "--json", *FAST, "--ws-url", f"ws://127.0.0.1:{relay.port}/ws",
            backend.url) as cli:
        cli.wait_event("open")
        backend.faults(ticket={"same": True})
        backend.drop_all()
        cli.until(lambda c: sum(f["code"] == "TICKET_SPENT" for f in failures(c)) >= 2,
                  "two repeated tickets")
        backend.reset_faults()
        cli.wait_event("open", 2)
        assert cli.stop() == 0
        spent = [f for f in failures(cli) if f["code"] == "TICKET_SPENT"]
        assert {f["step"] for f in spent} == {"ticket"}
        assert "already used" in spent[0]["text"]
        # Nothing but the two good upgrades was ever written.
        assert len(relay.requests) == 2 and len(set(relay.requests)) == 2
    assert backend.stats()["ticketsRepeated"] >= 2
    check(backend, monitor, generated=2, redeemed=2)


def test_a_ticket_that_came_again_after_others(backend, monitor):
    """The memory of spent tickets holds more than the last one."""
    with Cli("connect", "--json", *FAST, "--stable", "0", backend.url) as cli:
        cli.wait_event("open")
        first = monitor.tickets("SET")[0]
        for i in range(2, 5):
            backend.drop_all()
            cli.wait_event("open", i)
        backend.faults(ticket={"status": 200, "count": 1, "body":
                               '{"ticket": "%s", "expiresInSeconds": 30}' % first})
        backend.drop_all()
        cli.wait_event("open", 5)
        assert cli.stop() == 0
        assert [f["code"] for f in failures(cli) if f["step"] == "ticket"] == ["TICKET_SPENT"]
    check(backend, monitor, generated=5, redeemed=5)


def test_a_cache_in_front_of_the_ticket_url(backend, monitor):
    with CachingNginx(backend.port) as nginx:
        url = f"http://127.0.0.1:{nginx.port}"
        with Cli("connect", "--json", *FAST, url) as cli:
            cli.wait_event("open")
            backend.drop_all()
            cli.until(lambda c: sum(f["code"] == "TICKET_SPENT" for f in failures(c)) >= 3,
                      "three cached tickets")
            text = [f for f in failures(cli) if f["code"] == "TICKET_SPENT"][0]["text"]
            assert "cache" in text and "ticket_url" in text
            cli.signal(2)
            cli.wait()
        assert len(nginx.read("access.log").split("GET /api/v1/ws-ticket")) >= 5
    assert backend.stats()["ticketRequests"] == 1
    assert backend.stats()["upgradeRequests"] == 1
    check(backend, monitor, generated=1, redeemed=1)


def test_the_console_names_a_spent_ticket(backend):
    with Cli("connect", *FAST, "--max-attempts", "2", "--stable", "1h", backend.url) as cli:
        cli.wait_open()
        backend.faults(ticket={"same": True})
        backend.drop_all()
        assert cli.wait() in (0, 3)
        assert any("already used" in line and "cache" in line for line in cli.err)


@pytest.fixture
def full():
    """The port of a listener that takes no more connections: a dial there stays under way."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        while not fillers or fillers[-1].connect_ex(("127.0.0.1", port)) == 0:
            fillers.append(socket.socket())
            fillers[-1].settimeout(0.2)
        yield port
        for filler in fillers:
            filler.close()


def test_dials_that_are_given_up_leave_nothing_behind(backend, full):
    """
    The first is given up because the ticket fails, the next because it takes too long.  libcurl
    7.88 closes such a socket without a word: what watched it was never given back, and the program
    did not end.
    """
    backend.faults(ticket={"status": 500, "count": 1})
    with Cli("connect", "--json", *FAST, "--max-attempts", "3", "--step-timeout", soon(300),
             "--ws-url", f"ws://127.0.0.1:{full}/ws", backend.url) as cli:
        assert cli.wait() == 3
        assert [c["code"] for c in failures(cli)] == ["HTTP_STATUS", "TIMEOUT", "TIMEOUT"]
