"""
What dies comes back: the server, its Redis, the network between.  Each time the client notices,
waits longer and longer, and is open again with a new ticket.
"""

import re

import pytest

from audit import Monitor, check
from cli import SLOW, WRAP, Cli, eventually, soon
from netns import Cable, needs_root
from redis_server import RedisServer
from relay import Relay
from wstserver import Server

# Delays without chance, so that they can be compared.
STEADY = ["--base-delay", "50ms", "--cap", "400ms", "--jitter", "0"]
# Silence is noticed soon, but not on a machine that is only busy.
WATCHFUL = ["--ping-interval", "100ms", "--ping-timeout", soon(500), "--step-timeout", soon(1000)]


def delays(cli):
    """The waits that the console announced, in ms."""
    found = [re.search(r"Reconnecting in (\d+)ms", line) for line in cli.err]
    return [int(match.group(1)) for match in found if match]


def talk(cli, word):
    cli.send(word + "\n")
    cli.wait_out(word)


def causes(cli):
    return [e["cause"] for e in cli.events() if e["event"] in ("attempt_failed", "closed")
            and e["cause"]]


# ---- The server and its Redis -------------------------------------------------------------------

@pytest.mark.quick
def test_redis_killed_and_server_restarted(redis, backend):
    with Cli("connect", *STEADY, backend.url) as cli:
        cli.wait_open()
        redis.kill()
        backend.restart(kill=True)
        # The token of the old server is refused by the new one, which has another key.
        cli.wait_err(r"Disconnected { code: 1006, reason: '', wasClean: false }")
        cli.wait_err(r"Soft failure - service unavailable \(503\), will retry", 4)
        redis.start()
        backend.wait_log("[Redis] Connected", 2)
        cli.wait_open(2)
        talk(cli, "back again")
        assert cli.stop() == 0
        assert "[WS] Failed to connect HttpErrorResponse { status: 503 }" in cli.err
        waited = delays(cli)
        assert waited[:4] == [50, 100, 200, 400], "they grow, up to the cap"
        assert set(waited[4:]) <= {400}
    stats = backend.stats()
    assert (stats["ticketsGenerated"], stats["redeemed"], stats["rejected"]) == (1, 1, 0)
    assert backend.log_count("Ticket generated") == 2, "one before, one after"
    assert backend.log_count("Rejected") == 0


def test_delays_have_jitter(backend):
    backend.faults(ticket={"status": 503})
    with Cli("connect", "--json", "--base-delay", "100ms", "--cap", "200ms", backend.url) as cli:
        cli.wait_event("attempt_failed", 8)
        cli.signal(15)
        cli.wait()
        waited = [e["next_delay_ms"] for e in cli.events() if e["event"] == "attempt_failed"][:8]
    assert 50 <= waited[0] <= 150
    assert all(100 <= delay <= 300 for delay in waited[1:])
    assert len(set(waited)) > 3, "not all alike"


def test_a_server_that_is_away_for_a_while(backend, monitor):
    with Cli("connect", *STEADY, backend.url) as cli:
        cli.wait_open()
        backend.kill()
        cli.wait_err("Reconnecting in 400ms", 2)
        backend.start()
        cli.wait_open(2)
        talk(cli, "there you are")
        assert cli.stop() == 0
        assert cli.err.count("[WS] Failed to connect (network error)") >= 4
    assert len(set(monitor.tickets("GETDEL"))) == 2


def test_a_server_that_stops_in_good_order(backend):
    """It says 1001, which is no reason to stay away."""
    with Cli("connect", *STEADY, backend.url) as cli:
        cli.wait_open()
        backend.restart()
        cli.wait_open(2)
        assert cli.stop() == 0
        assert any("Disconnected { code: 1001" in line for line in cli.err)


def test_redis_stands_still(redis, backend):
    """SIGSTOP: the open WebSocket lives on, new tickets are refused with 503 until it goes on."""
    with Cli("connect", *STEADY, backend.url) as cli:
        cli.wait_open()
        redis.pause()
        talk(cli, "no Redis needed")
        backend.drop_all()
        cli.wait_err("Soft failure - service unavailable", 2)
        redis.resume()
        cli.wait_open(2)
        assert cli.stop() == 0
    assert backend.log_count("Rejected") == 0


def test_a_frozen_server_is_found_by_ping(backend):
    """Half open: its kernel still answers, the process does not."""
    with Cli("connect", "--json", *STEADY, *WATCHFUL, backend.url) as cli:
        cli.wait_event("pong")
        backend.freeze()
        closed = cli.wait_event("closed")
        assert (closed["code"], closed["cause"]["code"]) == (1006, "PING_TIMEOUT")
        assert cli.wait_event("attempt_failed", 1)["cause"]["code"] == "TIMEOUT"
        backend.thaw()
        cli.wait_event("open", 2)
        assert cli.stop() == 0
    assert backend.log_count("Rejected") == 0


def test_a_frozen_server_and_a_close(backend):
    """Stopping does not wait for ever for a peer that does not answer."""
    with Cli("connect", "--json", "--close-timeout", "300ms", backend.url) as cli:
        cli.wait_event("open")
        backend.freeze()
        cli.signal(15)
        assert cli.wait() == 0
        assert cli.wait_event("closed")["was_clean"] is False
        backend.thaw()


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("step", ["token", "ticket", "upgrade"])
def test_dropped_in_the_middle_of_a_step(backend, monitor, step, how):
    backend.faults(**{step: {"drop": how, "count": 2}})
    with Cli("connect", "--json", *STEADY, backend.url) as cli:
        cli.wait_event("open")
        assert cli.stop() == 0
        steps = {"token": "token", "ticket": "ticket", "upgrade": "connect"}
        # libcurl repeats a request by itself when a kept connection turns out to be dead.
        assert 1 <= len(causes(cli)) <= 2
        assert {c["step"] for c in causes(cli)} == {steps[step]}
        assert {c["class"] for c in causes(cli)} == {"transient"}
    check(backend, monitor, redeemed=1)


@pytest.mark.parametrize("step", ["token", "ticket", "upgrade"])
def test_a_step_that_is_never_answered(backend, monitor, step):
    backend.faults(**{step: {"stall": True, "count": 1}})
    with Cli("connect", "--json", *STEADY, "--step-timeout", soon(500), backend.url) as cli:
        cli.wait_event("open")
        assert cli.stop() == 0
        (cause,) = causes(cli)
        assert cause["code"] == "TIMEOUT"
    check(backend, monitor, redeemed=1)


# ---- The network: a relay -----------------------------------------------------------------------

def test_the_network_is_cut_and_restored(backend, monitor):
    with Relay(backend.port) as relay, Cli("connect", *STEADY,
                                           f"http://127.0.0.1:{relay.port}") as cli:
        cli.wait_open()
        relay.cut()
        cli.wait_err("Disconnected { code: 1006")
        cli.wait_err("Reconnecting in 400ms", 2)
        relay.restore()
        cli.wait_open(2)
        talk(cli, "through the relay")
        assert cli.stop() == 0
    check(backend, monitor, generated=2, redeemed=2)


def test_the_network_goes_silent(backend, monitor):
    """No FIN, no RST: only the ping tells."""
    with Relay(backend.port) as relay, Cli("connect", "--json", *STEADY, *WATCHFUL,
                                           f"http://127.0.0.1:{relay.port}") as cli:
        cli.wait_event("pong")
        relay.hold()
        closed = cli.wait_event("closed")
        assert closed["cause"]["code"] == "PING_TIMEOUT" and closed["code"] == 1006
        assert closed["cause"]["text"].startswith(f"the peer sent no byte within {500 * SLOW} ms")
        assert cli.wait_event("attempt_failed")["cause"]["code"] == "TIMEOUT"
        relay.restore()
        cli.wait_event("open", 2)
        assert cli.stop() == 0
    # What stood in the relay reached the server late: tickets of attempts that had been given up.
    check(backend, monitor)
    assert backend.stats()["redeemed"] == 2


def test_a_slow_network_is_no_dead_network(backend):
    """
    The pong comes late, but bytes come: the link stays.  --timing sends a ping of its own, so that
    several are under way at once; the answer to each is told.
    """
    with Relay(backend.port, delay=0.2) as relay, Cli(
            "connect", "--json", "--timing", "--ping-interval", "100ms", "--ping-timeout",
            soon(2000), f"http://127.0.0.1:{relay.port}") as cli:
        for i in range(1, 5):
            assert cli.wait_event("pong", i)["rtt_us"] >= 400_000
        assert cli.stop() == 0
        assert [e["event"] for e in cli.events()].count("closed") == 1


# ---- The network: a link ------------------------------------------------------------------------

@needs_root
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_link_goes_down_and_comes_up(side):
    """Ours: no route at once.  The other one: packets vanish."""
    with Cable() as cable, RedisServer(wrapper=cable.server.prefix) as redis, Server(
            redis=redis.url, listen=f"{cable.SERVER}:0",
            wrapper=[*cable.server.prefix, *WRAP]) as server:
        server.wait_log("[Redis] Connected")
        with Monitor(redis) as monitor, Cli(
                "connect", "--json", "--allow-plaintext", *STEADY, *WATCHFUL,
                f"http://{cable.SERVER}:{server.port}", wrapper=cable.client.prefix) as cli:
            cli.wait_event("pong")
            cable.set(side, "down")
            closed = cli.wait_event("closed")
            assert closed["code"] == 1006 and closed["was_clean"] is False
            cli.wait_event("attempt_failed", 3)
            cable.set(side, "up")
            cli.wait_event("open", 2)
            assert cli.stop() == 0
            assert {c["code"] for c in causes(cli)[1:]} <= {"CONNECT", "TIMEOUT", "RESET"}
            eventually(lambda: server.stats()["webSocketsOpen"] <= 1, "one WebSocket at most")
            check(server, monitor, redeemed=2)
