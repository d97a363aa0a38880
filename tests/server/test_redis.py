"""Tickets in a real Redis: the same key, value, life and atomic take as documented; and its outages."""

import contextlib
import fcntl
import json
import socket
import ssl
import termios
import threading
import time

import pytest

from redis_server import RedisServer
from wire import (ask_ticket, close_code, connect, echoes, get_ticket, get_token, handshake,
                  request, run, trust, upgrade_status, TICKET, TOKEN)
from wstserver import PATIENCE, WRAP, Server, wait_until

quick = pytest.mark.quick

TIMEOUT_MS = 4000 if WRAP else 1000  # Valgrind is slow, and so is a busy machine.
SLACK = 10.0  # seconds that a loaded machine may add


@pytest.fixture(scope="module")
def redis():
    with RedisServer() as running:
        yield running


@pytest.fixture
def server(redis):
    with Server("--redis-timeout", str(TIMEOUT_MS), redis=redis.url) as running:
        running.wait_log("[Redis] Connected")
        yield running


@quick
def test_key_value_and_life(redis, server):
    before = time.time() * 1000
    ticket = get_ticket(server, get_token(server, user="alice"))
    key = "ws_ticket:" + ticket
    value = json.loads(redis.cli("GET", key))
    assert set(value) == {"userId", "sessionId", "createdAt"}
    assert value["userId"] == "alice"
    assert before - 1000 <= value["createdAt"] <= time.time() * 1000 + 1000
    assert 25 <= int(redis.cli("TTL", key)) <= 30
    assert echoes(server, ticket)
    assert redis.cli("EXISTS", key) == "0"
    server.wait_log(f"hasUserId: true, sessionId: '{value['sessionId']}'")
    assert close_code(server, ticket=ticket) == (4401, "NOT_AUTHORIZED")


@quick
def test_anonymous(redis, server):
    ticket = get_ticket(server)
    assert json.loads(redis.cli("GET", "ws_ticket:" + ticket))["userId"] is None


@quick
def test_a_ticket_of_somebody_else(redis, server):
    """Whoever writes the documented value has made a ticket."""
    ticket = "0123456789abcdef" * 2
    redis.cli("SET", "ws_ticket:" + ticket,
              '{"userId":null,"sessionId":"from outside","createdAt":1}', "EX", "30")
    assert echoes(server, ticket)
    server.wait_log("sessionId: 'from outside'")
    redis.cli("SET", "ws_ticket:" + ticket, "nonsense", "EX", "30")
    assert close_code(server, ticket=ticket)[0] == 4401


@quick
def test_expired(redis):
    with Server("--ticket-ttl", "1", redis=redis.url) as server:
        ticket = get_ticket(server)
        wait_until(lambda: redis.cli("EXISTS", "ws_ticket:" + ticket) == "0", "the expiry")
        assert close_code(server, ticket=ticket) == (4401, "NOT_AUTHORIZED")


@quick
@pytest.mark.parametrize("mode, status", [("http", 401), ("http403", 403)])
def test_refusal_by_http_waits_for_redis(redis, mode, status):
    with Server("--reject", mode, redis=redis.url) as server:
        ticket = get_ticket(server)
        assert echoes(server, ticket)
        assert upgrade_status(server, ticket=ticket) == status
        assert upgrade_status(server, ticket="0" * 32) == status


@quick
def test_atomic_take(redis):
    """Many upgrades at two servers with one ticket: exactly one is let in."""
    with Server("--reject", "http", redis=redis.url) as one, \
            Server("--reject", "http", redis=redis.url) as two:
        for _ in range(5):
            ticket = get_ticket(one)
            results = []
            barrier = threading.Barrier(8)

            def race(server):
                barrier.wait()
                results.append(upgrade_status(server, ticket=ticket))
            threads = [threading.Thread(target=race, args=(s,)) for s in [one, two] * 4]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(results) == [101] + [401] * 7
        assert one.stats()["redeemed"] + two.stats()["redeemed"] == 5
        for counts in [*one.stats()["tickets"].values(), *two.stats()["tickets"].values()]:
            assert counts["redeemed"] <= 1


@quick
def test_database_of_the_url(redis):
    with Server(redis=redis.url + "/3") as server:
        ticket = get_ticket(server)
        assert redis.cli("EXISTS", "ws_ticket:" + ticket) == "0"
        assert redis.cli("-n", "3", "EXISTS", "ws_ticket:" + ticket) == "1"
        assert echoes(server, ticket)


@quick
def test_password():
    with RedisServer(password="geh/eim@1") as redis:
        url = f"redis://:geh%2Feim%401@127.0.0.1:{redis.port}"
        with Server(redis=url) as server:
            assert echoes(server, get_ticket(server))
        with Server(redis=url.replace("redis://:", "redis://default:")) as server:
            assert echoes(server, get_ticket(server))
        for bad in ("redis://:wrongpassword@127.0.0.1", "redis://127.0.0.1"):
            with Server(redis=f"{bad}:{redis.port}") as server:
                server.wait_log("[Redis] Unavailable")
                assert ask_ticket(server, get_token(server)).status == 503
                assert "wrongpassword" not in "".join(server.log)


def unavailable(server, token):
    """Asks for a ticket, and tells how long the 503 took."""
    begin = time.monotonic()
    reply = ask_ticket(server, token)
    took = time.monotonic() - begin
    assert reply.status == 503 and reply.json["error"] == "ticket store unavailable"
    return took


@quick
def test_a_refused_connection_is_told_at_once():
    with RedisServer() as gone:
        port = gone.port
    with Server("--redis-timeout", "60000", redis=f"redis://127.0.0.1:{port}") as server:
        server.wait_log(f"[Redis] Unavailable {{ host: '127.0.0.1', port: {port}, "
                        "reason: 'Connection refused' }")


@quick
def test_starts_without_redis():
    with RedisServer() as gone:
        port = gone.port
    redis = RedisServer()
    redis.port = port
    with Server("--redis-timeout", str(TIMEOUT_MS), redis=redis.url) as server:
        assert server.url
        token = get_token(server)
        assert unavailable(server, token) < TIMEOUT_MS / 1000 + SLACK
        server.wait_log("[Redis] Unavailable")
        with redis:
            server.wait_log("[Redis] Connected")
            assert echoes(server, get_ticket(server, token))


@quick
@pytest.mark.parametrize("how", ["pause", "kill"])
def test_outage_and_recovery(how):
    with RedisServer() as redis, \
            Server("--redis-timeout", str(TIMEOUT_MS), "--reject", "http", redis=redis.url) as server:
        token = get_token(server)
        ticket = get_ticket(server, token)
        spare = get_ticket(server, token)
        outages = server.log_count("[Redis] Unavailable")
        connects = server.log_count("[Redis] Connected")
        getattr(redis, how)()
        # While Redis hangs, the upgrade and the ticket wait for their deadline and no longer ...
        begin = time.monotonic()
        assert upgrade_status(server, ticket=ticket) == 503
        assert time.monotonic() - begin < TIMEOUT_MS / 1000 + SLACK
        for _ in range(3):
            assert unavailable(server, token) < TIMEOUT_MS / 1000 + SLACK
        # ... and all else goes on meanwhile.
        asking = threading.Thread(target=ask_ticket, args=(server, token))
        asking.start()
        begin = time.monotonic()
        assert request(server, "POST", TOKEN).status == 200
        asking.join()
        server.wait_log("[Redis] Unavailable", outages + 1)
        assert server.log_count("[Redis] Unavailable") == outages + 1
        if how == "pause":
            redis.resume()
        else:
            redis.start()
        server.wait_log("[Redis] Connected", connects + 1)
        assert echoes(server, get_ticket(server, token))
        # What Redis still knows after a pause is good, unless its take was in flight.
        if how == "pause":
            assert upgrade_status(server, ticket=spare) == 101
        assert server.stats()["storeFailures"] >= 4


@quick
def test_refused_by_close_while_redis_is_away():
    with RedisServer() as redis, \
            Server("--redis-timeout", str(TIMEOUT_MS), redis=redis.url) as server:
        ticket = get_ticket(server)
        redis.pause()
        assert close_code(server, ticket=ticket) == (1013, "TRY_AGAIN_LATER")


@quick
def test_no_echo_before_the_verdict():
    """What a client sends while its ticket is being taken is answered only when it is let in."""
    with RedisServer() as redis, Server("--redis-timeout", "10000", redis=redis.url) as server:
        ticket = get_ticket(server)
        redis.pause()

        async def story():
            async with connect(server, "/ws", ticket) as ws:
                await ws.send("early")
                return await ws.recv()
        answers = []
        client = threading.Thread(target=lambda: answers.append(run(story())))
        client.start()
        wait_until(lambda: server.stats()["upgradeRequests"] == 1, "the upgrade")
        assert not answers and server.stats()["webSocketsOpened"] == 0
        redis.resume()
        client.join()
        assert answers == ["early"]


@quick
def test_client_leaves_while_redis_hangs():
    with RedisServer() as redis, \
            Server("--redis-timeout", str(TIMEOUT_MS), redis=redis.url) as server:
        ticket = get_ticket(server)
        redis.pause()
        link = socket.create_connection(("127.0.0.1", server.port))
        link.sendall(handshake("/ws?ticket=" + ticket))
        wait_until(lambda: server.stats()["upgradeRequests"] == 1, "the upgrade")
        link.close()
        redis.resume()
        wait_until(lambda: server.stats()["redeemed"] + server.stats()["storeFailures"] == 1,
                   "the verdict")
        assert echoes(server, get_ticket(server))


def has_arrived(link):
    """Is all that was sent in the peer's kernel?"""
    return fcntl.ioctl(link, termios.TIOCOUTQ, bytes(4)) == bytes(4)


@quick
@pytest.mark.parametrize("behind", ["nonsense", "end"])
def test_what_was_kept_behind_a_request_ends_the_connection(behind):
    """More comes behind a request than is read before its answer; what was decrypted comes with the
    answer, and with it the end of the connection."""
    with RedisServer() as redis, \
            Server("--open", "--redis-timeout", "60000", tls=True, redis=redis.url) as server:
        server.wait_log("[Redis] Connected")
        redis.pause()
        link = trust(server).wrap_socket(
            socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE),
            server_hostname="localhost")
        link.sendall(f"GET {TICKET} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        server.wait_stats(ticketRequests=1)
        link.sendall(b"nonsense\r\n\r\n" + b"x" * 60000)
        wait_until(lambda: has_arrived(link), "the first part")
        server.stats()  # By its answer the server has read what had arrived before.
        # One read gets all of these: the first is too much, the next is what was kept.
        server.freeze()
        link.sendall(b"x" * 10000)
        if behind == "nonsense":
            link.sendall(b"x")
        else:
            link.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                link.unwrap()
            link.settimeout(PATIENCE)
        wait_until(lambda: has_arrived(link), "the second part")
        server.thaw()
        server.stats()
        redis.resume()
        got = b""
        while chunk := link.recv(65536):
            got += chunk
        link.close()
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert got.count(b"HTTP/1.1 400 ") == (behind == "nonsense")
        assert server.stats()["ticketsGenerated"] == 1


@quick
def test_stops_while_redis_hangs():
    with RedisServer() as redis, Server("--redis-timeout", "30000", redis=redis.url) as server:
        token = get_token(server)
        redis.pause()
        asking = threading.Thread(target=lambda: pytest.raises(Exception, ask_ticket, server, token))
        asking.start()
        wait_until(lambda: server.stats()["ticketRequests"] == 1, "the request")
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 1 + SLACK
        asking.join()


@quick
@pytest.mark.parametrize("url", ["http://x", "redis://", "redis://:6379", "redis://h:0",
                                 "redis://h:70000", "redis://h:x", "redis://h/x", "redis://user@h",
                                 "redis://:%zz@h", "redis://[::1", "rediss://h"])
def test_wrong_url(url):
    with pytest.raises(AssertionError, match="cannot use the URL of --redis"):
        Server(redis=url).start()
