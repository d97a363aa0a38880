"""What a server may ask of its clients: patience, a spread; and how far they follow."""

import time

import pytest

from cli import Cli

pytestmark = pytest.mark.unwrapped

FAST = ["--base-delay", "50ms", "--cap", "50ms"]
HOUR = 3600_000


def first_failure(server, *options, event="attempt_failed"):
    """Runs until the first failure, and interrupts the wait that follows."""
    with Cli("connect", "--json", *FAST, *options, server.url) as cli:
        failure = cli.wait_event(event)
        cli.signal(15)
        cli.wait()
        return failure


@pytest.mark.parametrize("step", ["token", "ticket", "upgrade"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_a_floor_with_jitter_on_top(backend, step, status):
    backend.faults(**{step: {"status": status, "retryAfter": "20"}})
    failure = first_failure(backend)
    assert failure["retry_after_ms"] == 20_000
    assert 20_000 <= failure["next_delay_ms"] <= 40_000
    assert failure["cause"]["class"] == "soft" and failure["cause"]["http_status"] == status


def test_it_really_waits(backend):
    backend.faults(ticket={"status": 503, "retryAfter": "1", "count": 1})
    start = time.monotonic()
    with Cli("connect", "--json", *FAST, backend.url) as cli:
        cli.wait_event("attempt_failed")
        cli.wait_event("open")
        assert time.monotonic() - start > 0.95
        assert cli.stop() == 0


@pytest.mark.parametrize("step", ["token", "ticket", "upgrade"])
def test_a_date(backend, step):
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    backend.faults(**{step: {"status": 503, "retryAfter": at}})
    failure = first_failure(backend)
    assert 10_000 <= failure["retry_after_ms"] <= 30_000
    assert failure["retry_after_ms"] <= failure["next_delay_ms"]


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2015 07:28:00 GMT", "-7", "0", "soon", ""])
def test_nonsense_and_the_past_are_no_floor(backend, value):
    backend.faults(ticket={"status": 503, "retryAfter": value})
    failure = first_failure(backend)
    assert failure["retry_after_ms"] == 0
    assert failure["next_delay_ms"] <= 75


@pytest.mark.parametrize("value", ["86400000", "99999999999999999999",
                                   "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_it_has_a_ceiling_of_ours(backend, value):
    backend.faults(ticket={"status": 503, "retryAfter": value})
    failure = first_failure(backend, "--max-server-delay", "2s")
    assert failure["retry_after_ms"] == 2000
    assert failure["next_delay_ms"] <= 4000


@pytest.mark.parametrize("step", ["token", "ticket", "upgrade"])
def test_milliseconds_in_the_json_of_a_refusal(backend, step):
    backend.faults(**{step: {"status": 503, "retryAfterMs": 7000}})
    failure = first_failure(backend)
    assert failure["retry_after_ms"] == 7000
    assert 7000 <= failure["next_delay_ms"] <= 14_000


def test_the_larger_of_both_counts(backend):
    backend.faults(ticket={"status": 503, "retryAfterMs": 7000, "retryAfter": "20"})
    assert first_failure(backend)["retry_after_ms"] == 20_000


def test_a_refusal_asks_for_a_spread(backend):
    """Of an hour: one in 48,000 draws less of it than the longest wait without."""
    backend.faults(ticket={"status": 503, "reconnectSpreadMs": HOUR})
    failure = first_failure(backend, "--max-server-delay", "1h")
    assert 75 < failure["next_delay_ms"] <= HOUR + 75


def test_a_good_ticket_asks_for_a_spread_of_the_next_attempt(backend):
    backend.faults(ticket={"reconnectSpreadMs": HOUR, "ttl": 30})
    with Cli("connect", "--json", *FAST, "--max-server-delay", "1h", backend.url) as cli:
        cli.wait_event("open")
        backend.drop_all()
        assert 75 < cli.wait_event("closed")["next_delay_ms"] <= HOUR + 75
        cli.signal(15)
        assert cli.wait() == 0


def test_a_good_ticket_asks_for_patience_after_the_link(backend):
    backend.faults(ticket={"retryAfterMs": 20_000, "ttl": 30})
    with Cli("connect", "--json", *FAST, backend.url) as cli:
        cli.wait_event("open")
        backend.drop_all()
        closed = cli.wait_event("closed")
        assert closed["retry_after_ms"] == 20_000
        assert 20_000 <= closed["next_delay_ms"] <= 40_000
        cli.signal(15)
        assert cli.wait() == 0


@pytest.mark.parametrize("code", [1012, 1013])
def test_a_restart_spreads_the_clients(backend, code):
    with Cli("connect", "--json", *FAST, "--restart-spread", "1h", backend.url) as cli:
        cli.wait_event("open")
        backend.close_all(code, "restarting")
        closed = cli.wait_event("closed")
        assert (closed["code"], closed["reason"], closed["was_clean"]) == (code, "restarting", True)
        assert closed["cause"]["class"] == "soft"
        assert 1000 < closed["next_delay_ms"] <= HOUR + 75
        cli.signal(15)
        assert cli.wait() == 0


@pytest.mark.parametrize("code,name", [(1000, "transient"), (1001, "transient"),
                                       (1011, "transient"), (4000, "transient"),
                                       (1002, "protocol"), (1009, "protocol")])
def test_other_closes_do_not_spread(backend, code, name):
    with Cli("connect", "--json", *FAST, "--restart-spread", "1h", backend.url) as cli:
        cli.wait_event("open")
        backend.close_all(code)
        closed = cli.wait_event("closed")
        assert closed["cause"]["class"] == name and closed["next_delay_ms"] <= 75
        cli.wait_event("open", 2)
        assert cli.stop() == 0


def test_accept_and_close_is_no_success(backend):
    """The ladder is climbed although every attempt ends in an open WebSocket."""
    backend.faults(open={"closeCode": 1011})
    with Cli("connect", "--json", "--base-delay", "50ms", "--cap", "10s", "--jitter", "0",
             backend.url) as cli:
        cli.wait_event("closed", 4)
        waits = [e["next_delay_ms"] for e in cli.events() if e["event"] == "closed"]
        assert waits[:4] == [50, 100, 200, 400]
        cli.signal(15)
        cli.wait()
