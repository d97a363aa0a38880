"""
Slow networks and tickets that do not live long: none is written after 80 % of its life, counted
from the moment it was asked for.
"""

import pytest

from audit import check
from cli import Cli
from relay import Relay
from wstserver import Server

pytestmark = pytest.mark.unwrapped

FAST = ["--base-delay", "50ms", "--cap", "100ms"]


def names(cli, event="event"):
    return [e[event] for e in cli.events() if event in e]


@pytest.fixture
def short(redis):
    """Its tickets live for two seconds."""
    with Server("--ticket-ttl", "2", redis=redis.url) as server:
        server.wait_log("[Redis] Connected")
        yield server


def test_a_ticket_that_came_late_is_replaced_within_the_attempt(short, monitor):
    """The answer takes 1.7 of its 2 seconds: nothing is written with that ticket."""
    short.faults(ticket={"delayMs": 1700, "count": 1})
    with Relay(short.port) as relay, Cli(
            "connect", "--json", *FAST, "--ws-url", f"ws://127.0.0.1:{relay.port}/ws",
            short.url) as cli:
        cli.wait_event("open")
        assert cli.stop() == 0
        assert names(cli).count("attempt") == 1 and "attempt_failed" not in names(cli)
        assert len(relay.requests) == 1, "one upgrade was written"
    first, second = monitor.tickets("SET")
    assert monitor.tickets("GETDEL") == [second] != [first]
    assert second in relay.requests[0]
    check(short, monitor, generated=2, redeemed=1)


def test_two_late_tickets_end_the_attempt(short, monitor):
    short.faults(ticket={"delayMs": 1700, "count": 2})
    with Relay(short.port) as relay, Cli(
            "connect", "--json", *FAST, "--ws-url", f"ws://127.0.0.1:{relay.port}/ws",
            short.url) as cli:
        failed = cli.wait_event("attempt_failed")
        assert failed["cause"]["code"] == "TICKET_STALE"
        assert "80 %" in failed["cause"]["text"]
        assert relay.requests == []
        cli.wait_event("open")
        assert cli.stop() == 0
        assert len(relay.requests) == 1
    check(short, monitor, generated=3, redeemed=1)


def test_a_ticket_that_waited_for_the_dial_is_replaced(redis, monitor):
    """TLS through a slow relay takes longer than the ticket lives."""
    with Server("--ticket-ttl", "1", tls=True, redis=redis.url) as server:
        server.wait_log("[Redis] Connected")
        with Relay(server.port, delay=0.5) as relay, Cli(
                "connect", "--json", *FAST, "--ca-file", server.ca_file,
                "--ws-url", f"wss://localhost:{relay.port}/ws", server.url) as cli:
            cli.wait_event("open")
            assert cli.stop() == 0
            assert names(cli).count("attempt") == 1
            assert names(cli, "progress").count("ticket_request") == 2
            check(server, monitor, generated=2, redeemed=1)


def test_nothing_is_written_after_80_percent(short, monitor):
    """Every byte goes through the relay, which knows when the client wrote what."""
    with Relay(short.port, delay=0.9) as relay, Cli(
            "connect", "--json", *FAST, f"http://127.0.0.1:{relay.port}") as cli:
        # 1.8 s there and back: too slow for a ticket of 2 s.
        cli.wait_event("attempt_failed")
        assert not [line for line in relay.requests if line.startswith("GET /ws")]
        relay.delay = 0.4
        cli.wait_event("open")
        assert cli.stop() == 0
        asked, written = None, []
        for at, data in sorted(entry for link in relay.links for entry in link.sent):
            if data.startswith(b"GET /api/v1/ws-ticket"):
                asked = at
            elif data.startswith(b"GET /ws"):
                written.append(at - asked)
        assert len(written) == 1 and written[0] < 1.6
        assert {e["cause"]["code"] for e in cli.events()
                if e["event"] == "attempt_failed"} <= {"TICKET_STALE"}
    check(short, monitor, redeemed=1)
