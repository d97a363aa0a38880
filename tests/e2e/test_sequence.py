"""
The whole sequence against a server with a real Redis: token, ticket, open; the token across runs;
a token that the server no longer takes.
"""

import json
import os
import stat

import pytest

from audit import check
from cli import WRAP, Cli, eventually

# Each run is a second or two under valgrind.
RESTARTS = 3 if WRAP else 10

FAST = ["--base-delay", "50ms", "--cap", "200ms"]

pytestmark = pytest.mark.quick


def talk(cli, word="hello"):
    """One message there and back: the link carries data."""
    cli.send(word + "\n")
    cli.wait_out(word)


def test_nothing_cached(backend, monitor):
    with Cli("connect", backend.url) as cli:
        cli.wait_open()
        talk(cli)
        assert cli.stop() == 0
        steps = [line for line in cli.err if "Step" in line or "acquired" in line]
        assert [line.split(":")[0] for line in steps] == [
            "[WS] Step 1/3", "[Auth] ✅ JWT token acquired", "[WS] Step 2/3", "[WS] Step 3/3"]
    stats = backend.stats()
    assert (stats["tokenRequests"], stats["ticketRequests"], stats["upgradeRequests"]) == (1, 1, 1)
    check(backend, monitor, generated=1, redeemed=1)


def test_the_ticket_is_gone_from_redis_once_it_was_used(backend, redis, monitor):
    with Cli("connect", backend.url) as cli:
        cli.wait_open()
        assert redis.cli("KEYS", "ws_ticket:*") == ""
        (ticket,) = monitor.tickets("SET")
        set_line = next(line for line in monitor.lines if f'"SET" "ws_ticket:{ticket}"' in line)
        assert '"EX" "30"' in set_line


def test_ten_restarts_with_a_token_file(backend, monitor, tmp_path):
    cache = str(tmp_path / "jwt")
    for i in range(RESTARTS):
        with Cli("connect", "--token-cache", cache, backend.url) as cli:
            cli.wait_open()
            assert cli.stop() == 0
            assert any("Fetching JWT" in line for line in cli.err) == (i == 0)
        assert stat.S_IMODE(os.stat(cache).st_mode) == 0o600
    assert backend.stats()["tokensIssued"] == 1
    assert len(set(monitor.tickets("GETDEL"))) == RESTARTS
    check(backend, monitor, generated=RESTARTS, redeemed=RESTARTS)


def test_killed_ten_times_with_a_token_file(backend, monitor, tmp_path):
    """The process has no time to say good-bye: what it had is used up, a new one is fetched."""
    cache = str(tmp_path / "jwt")
    for _ in range(RESTARTS):
        with Cli("connect", "--token-cache", cache, backend.url) as cli:
            cli.wait_open()
            # Written beside the sequence, on libuv's pool: what is there survives any end.
            eventually(lambda: os.path.exists(cache), "the token's file")
            cli.process.kill()
    assert backend.stats()["tokensIssued"] == 1
    check(backend, monitor, generated=RESTARTS, redeemed=RESTARTS)


def test_a_damaged_token_file_is_no_token(backend, monitor, tmp_path):
    cache = tmp_path / "jwt"
    for damage in (b"", b"\x00\xff garbage", b"{\"token\":", b"x" * 100000):
        cache.write_bytes(damage)
        cache.chmod(0o600)
        with Cli("connect", "--token-cache", str(cache), backend.url) as cli:
            cli.wait_open()
            assert cli.stop() == 0
    check(backend, monitor, generated=4, redeemed=4)
    assert backend.stats()["tokensIssued"] == 4


def test_the_token_of_another_origin_is_not_sent(backend, tmp_path):
    """A token goes home only: the file was written for a server at another address."""
    cache = str(tmp_path / "jwt")
    with Cli("connect", "--token-cache", cache, backend.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
    assert "//localhost:" in backend.url
    other = backend.url.replace("localhost", "127.0.0.1")
    with Cli("connect", "--token-cache", cache, other) as cli:
        cli.wait_open()
        assert cli.stop() == 0
    assert backend.stats()["tokensIssued"] == 2


def test_every_attempt_has_its_own_ticket(backend, monitor):
    """A good run through many reconnects: the log and Redis agree."""
    with Cli("connect", *FAST, "--stable", "0", backend.url) as cli:
        for i in range(1, 9):
            cli.wait_open(i)
            talk(cli, f"word {i}")
            if i < 8:
                backend.drop_all("rst" if i % 2 else "fin")
        assert cli.stop() == 0
    check(backend, monitor, generated=8, redeemed=8)
    assert len(set(monitor.tickets("GETDEL"))) == 8


def test_as_many_tickets_as_attempts_that_asked_for_one(backend, monitor):
    """Attempts that fail after step 2 leave their ticket unused: it is never tried again."""
    backend.faults(upgrade={"status": 500, "count": 3})
    with Cli("connect", *FAST, backend.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
    attempts = sum("Step 2/3" in line for line in cli.err)
    assert attempts == 4
    check(backend, monitor, generated=attempts, redeemed=1)


# ---- 401 on the ticket --------------------------------------------------------------------------

def revoke(server):
    """Every token issued so far is refused from now on."""
    status, answer = server.admin("POST", "/admin/faults", {"revokeTokens": True})
    assert status == 200, answer


def test_a_refused_token_is_replaced_within_the_attempt(backend, monitor, tmp_path):
    cache = str(tmp_path / "jwt")
    with Cli("connect", "--token-cache", cache, backend.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
    revoke(backend)
    with Cli("connect", "--json", "--token-cache", cache, backend.url) as cli:
        cli.wait_event("open")
        assert cli.stop() == 0
        names = [e["event"] for e in cli.events()]
        assert names.count("attempt") == 1 and "attempt_failed" not in names
        progress = [e["progress"] for e in cli.events() if e["event"] == "progress"]
        assert progress.count("ticket_request") == 2 and progress.count("token_fetch") == 1
    stats = backend.stats()
    assert (stats["tokensIssued"], stats["ticketsRefused"]) == (2, 1)
    check(backend, monitor, generated=2, redeemed=2)
    # The new token was kept: the next run needs no other.
    with Cli("connect", "--token-cache", cache, backend.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
    assert backend.stats()["tokensIssued"] == 2


def test_a_token_that_is_refused_during_a_reconnect(backend, monitor):
    with Cli("connect", "-v", *FAST, backend.url) as cli:
        cli.wait_open()
        revoke(backend)
        backend.drop_all()
        cli.wait_open(2)
        assert cli.stop() == 0
    assert sum("Reconnecting in" in line for line in cli.err) == 1
    assert sum("the token was not accepted" in line for line in cli.err) == 1
    assert backend.stats()["tokensIssued"] == 2
    check(backend, monitor, generated=2, redeemed=2)


def test_two_401_are_an_auth_failure(backend):
    backend.faults(ticket={"status": 401, "count": 2})
    with Cli("connect", "--json", "--once", backend.url) as cli:
        assert cli.wait() in (2, 3)
        (failed,) = [e for e in cli.events() if e["event"] == "attempt_failed"]
        assert failed["cause"]["step"] == "ticket" and failed["cause"]["http_status"] == 401
    stats = backend.stats()
    assert (stats["tokensIssued"], stats["ticketRequests"]) == (2, 2)


def test_two_auth_failures_running_end_it(backend):
    """Before it was ever open, that is final: exit status 2."""
    backend.faults(ticket={"status": 401})
    with Cli("connect", "--json", *FAST, backend.url) as cli:
        assert cli.wait() == 2
        failed = [e["cause"]["class"] for e in cli.events() if e["event"] == "attempt_failed"]
        assert failed[-1] == "auth" and len(failed) == 2
    assert backend.stats()["ticketRequests"] == 4


def test_token_file_holds_no_ticket(backend, monitor, tmp_path):
    cache = tmp_path / "jwt"
    with Cli("connect", "--token-cache", str(cache), backend.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
    kept = json.loads(cache.read_text())
    assert kept["token"].count(".") == 2
    for ticket in monitor.tickets("SET"):
        assert ticket not in cache.read_text()
