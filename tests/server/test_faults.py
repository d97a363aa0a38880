"""Every fault switch does what the man page says, and ends when it should."""

import json
import re
import socket
import struct
import threading
import time

import pytest

from wire import (TICKET, TOKEN, ask_ticket, close_code, connect, echoes, get_ticket, get_token,
                  handshake, http_connection, open_raw, raw, request, run, upgrade_status)
from wstserver import PATIENCE, Server, wait_until

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def running():
    with Server() as server:
        yield server


@pytest.fixture
def server(running):
    yield running
    running.reset_faults()


STEPS = {
    "token": lambda server: request(server, "POST", TOKEN),
    "ticket": lambda server: ask_ticket(server, get_token(server)),
    "upgrade": lambda server: request(server, "GET", "/ws", {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}),
}


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 403, 404, 429, 500, 503, 599, 999])
@pytest.mark.parametrize("step", STEPS)
def test_status(server, step, status):
    server.faults(**{step: {"status": status, "count": 2}})
    for _ in range(2):
        assert STEPS[step](server).status == status
    assert server.admin("GET", "/admin/faults")[1] == {}
    if step != "upgrade":
        assert STEPS[step](server).status == 200


@pytest.mark.parametrize("step", STEPS)
def test_headers_and_steering(server, step):
    server.faults(**{step: {"status": 503, "retryAfter": "Wed, 21 Oct 2015 07:28:00 GMT",
                            "retryAfterMs": 1500, "reconnectSpreadMs": 0}})
    reply = STEPS[step](server)
    assert reply.headers["Retry-After"] == "Wed, 21 Oct 2015 07:28:00 GMT"
    assert reply.json["retryAfterMs"] == 1500 and reply.json["reconnectSpreadMs"] == 0
    server.faults(**{step: {"status": 302, "location": "https://elsewhere.example/x"}})
    assert STEPS[step](server).headers["Location"] == "https://elsewhere.example/x"
    server.faults(**{step: {"status": 401}})
    assert STEPS[step](server).headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    server.wait_log("refused { status: 401, reason: 'fault' }")


def test_steering_in_good_replies(server):
    server.faults(ticket={"retryAfterMs": 7, "reconnectSpreadMs": 8}, token={"retryAfterMs": 9})
    assert request(server, "POST", TOKEN).json["retryAfterMs"] == 9
    reply = ask_ticket(server, get_token(server))
    assert reply.status == 200 and reply.json["retryAfterMs"] == 7
    assert reply.json["reconnectSpreadMs"] == 8
    assert echoes(server, reply.json["ticket"])


@pytest.mark.parametrize("body, kind", [("<html>no</html>", "text/html"), ('{"ticket":', None),
                                        ('{"ticket":7}', None), ("", "text/plain"),
                                        ('{"ticket":"a\\u0001b"}', None)])
def test_body(server, body, kind):
    server.faults(ticket={"body": body, **({"contentType": kind} if kind else {})}, token=None)
    reply = ask_ticket(server, get_token(server))
    assert reply.status == 200 and reply.body == body.encode()
    if body:
        assert reply.headers["Content-Type"] == kind or "application/json"


def test_big_body(server):
    server.faults(token={"bodySize": 10 << 20, "count": 1})
    assert request(server, "POST", TOKEN).body == b"x" * (10 << 20)
    assert request(server, "POST", TOKEN).status == 200


@pytest.mark.parametrize("step", STEPS)
def test_delay(server, step):
    server.faults(**{step: {"delayMs": 300, "count": 1}})
    begin = time.monotonic()
    STEPS[step](server)
    assert 0.29 < time.monotonic() - begin < PATIENCE
    # Others are not delayed, and a client that goes away in the meantime is forgotten.
    server.faults(token={"delayMs": 60000})
    link = socket.create_connection(("127.0.0.1", server.port))
    link.sendall(f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    before = server.stats()["tokenRequests"]
    wait_until(lambda: server.stats()["tokenRequests"] >= before, "the request")
    link.close()
    server.faults(token=None)
    assert request(server, "POST", TOKEN).status == 200


def test_upgrade_delay_lets_the_ticket_expire(server):
    server.faults(ticket={"ttl": 1}, upgrade={"delayMs": 1200})
    assert ask_ticket(server, get_token(server)).json["expiresInSeconds"] == 1
    ticket = get_ticket(server)
    assert close_code(server, ticket=ticket) == (4401, "NOT_AUTHORIZED")
    assert server.stats()["expired"] == 1


def test_token_ttl(server):
    server.faults(token={"ttl": 5})
    assert request(server, "POST", TOKEN).json["expiresInSeconds"] == 5


def test_same_ticket_twice(server):
    first = get_ticket(server)
    server.faults(ticket={"same": True, "count": 1})
    assert get_ticket(server) == first
    assert get_ticket(server) != first
    server.wait_log("[WSTicket] Ticket repeated")
    assert echoes(server, first)
    assert close_code(server, ticket=first)[0] == 4401


def ends(link):
    """How a connection ends: what came before, then "fin" or "rst"."""
    got = b""
    try:
        while chunk := link.recv(65536):
            got += chunk
        return got, "fin"
    except ConnectionResetError:
        return got, "rst"
    finally:
        link.close()


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("step, data", [
    ("token", f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode()),
    ("ticket", f"GET {TICKET} HTTP/1.1\r\nHost: x\r\n\r\n".encode()),
    ("upgrade", handshake("/plain"))])
def test_drop(server, step, data, how):
    server.faults(**{step: {"drop": how, "count": 1}})
    link = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    link.sendall(data)
    assert ends(link) == (b"", how)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_drop_at_accept(server, how):
    server.faults(accept={"drop": how, "count": 1})
    try:
        link = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        assert ends(link) == (b"", how)
    except ConnectionResetError:  # So fast that it came while still connecting.
        assert how == "rst"
    assert request(server, "POST", TOKEN).status == 200


def silent(link, seconds=0.3):
    link.settimeout(seconds)
    try:
        got = link.recv(100)
    except (TimeoutError, socket.timeout):
        got = None
    link.settimeout(PATIENCE)
    return got is None


@pytest.mark.parametrize("step", ["accept", "token", "upgrade"])
def test_stall(server, step):
    server.faults(**{step: {"stall": True, "count": 1}})
    link = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    link.sendall(handshake("/plain") if step == "upgrade"
                 else f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert silent(link)
    link.close()
    assert request(server, "POST", TOKEN).status == 200


def test_accept_then_close(server):
    server.faults(open={"closeCode": 4401, "closeReason": "bye", "count": 2})
    assert close_code(server, ticket=get_ticket(server)) == (4401, "bye")
    assert close_code(server, "/plain") == (4401, "bye")
    assert echoes(server, get_ticket(server))
    server.faults(open={"closeCode": 1011, "afterMs": 100, "count": 1})

    async def story():
        async with connect(server, "/plain") as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
            begin = time.monotonic()
            await ws.wait_closed()
            return ws.close_code, time.monotonic() - begin
    code, took = run(story())
    assert code == 1011 and took > 0.05


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_accept_then_drop(server, how):
    server.faults(open={"drop": how, "afterMs": 50, "count": 1})
    link = open_raw(server)
    assert ends(link) == (b"", how)
    server.wait_log("code: 1006")


PING = b"\x89\x81\0\0\0\0p"
PONG = b"\x8a\x01p"


def test_mute(server):
    link = open_raw(server)
    link.sendall(PING)
    assert link.recv(100) == PONG
    link.close()
    server.faults(open={"mute": True, "count": 1})
    link = open_raw(server)
    server.wait_stats(webSocketsOpen=1)
    link.sendall(PING + b"\x81\x82\0\0\0\0hi")
    assert silent(link)
    link.sendall(b"z" * 1000000)  # It is read, whatever it is.
    assert silent(link)
    link.close()
    server.wait_stats(webSocketsOpen=0)


def test_stop_reading(server):
    server.faults(open={"stopReading": True, "count": 1})
    link = open_raw(server)
    server.wait_stats(webSocketsOpen=1)
    link.sendall(PING)
    assert silent(link)
    link.settimeout(0.3)
    with pytest.raises((TimeoutError, socket.timeout)):
        for _ in range(200):  # 20 MB: more than the kernel holds for us.
            link.sendall(b"z" * 100000)
    link.close()
    server.drop_all()
    server.wait_stats(webSocketsOpen=0)


def test_close_all(server):
    async def story():
        links = [await connect(server, "/plain") for _ in range(3)]
        server.close_all(1012, "restart")
        for ws in links:
            await ws.wait_closed()
        return {(ws.close_code, ws.close_reason) for ws in links}
    assert run(story()) == {(1012, "restart")}


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_drop_all(server, how):
    links = [open_raw(server) for _ in range(3)]
    server.wait_stats(webSocketsOpen=3)
    server.drop_all(how)
    assert [ends(link) for link in links] == [(b"", how)] * 3
    server.wait_stats(webSocketsOpen=0)


def test_client_that_never_answers_a_close(server):
    link = open_raw(server)
    server.wait_stats(webSocketsOpen=1)
    server.close_all(1001)
    begin = time.monotonic()
    assert ends(link) == (b"\x88\x02" + struct.pack(">H", 1001), "fin")
    assert time.monotonic() - begin < PATIENCE


@pytest.mark.parametrize("faults, why", [
    ([], "not a JSON object"),
    ({"tickets": {}}, "tickets"),
    ({"ticket": 5}, "ticket"),
    ({"ticket": {"stats": 503}}, "ticket.stats"),
    ({"ticket": {"status": "503"}}, "ticket.status"),
    ({"ticket": {"status": 99}}, "ticket.status"),
    ({"ticket": {"status": 503.5}}, "ticket.status"),
    ({"ticket": {"count": 0}}, "ticket.count"),
    ({"ticket": {"retryAfter": 5}}, "ticket.retryAfter"),
    ({"ticket": {"retryAfter": "a\r\nb"}}, "ticket.retryAfter"),
    ({"ticket": {"drop": "now"}}, "ticket.drop"),
    ({"ticket": {"closeCode": 1000}}, "ticket.closeCode"),
    ({"open": {"status": 503}}, "open.status"),
    ({"open": {"mute": 1}}, "open.mute"),
    ({"closeAll": {"code": 99}}, "closeAll.code"),
    ({"dropAll": "x"}, "dropAll"),
])
def test_wrong_faults_change_nothing(server, faults, why):
    server.faults(token={"status": 500})
    status, answer = server.admin("POST", "/admin/faults", faults)
    assert status == 400 and why in answer["error"]
    if isinstance(faults, dict):
        assert server.admin("POST", "/admin/faults", {"token": None, **faults})[0] == 400
    assert server.admin("GET", "/admin/faults")[1] == {"token": {"status": 500}}


def test_faults_are_listed_and_ended(server):
    server.faults(ticket={"status": 503, "count": 5}, open={"mute": True})
    assert ask_ticket(server).status == 503
    assert server.admin("GET", "/admin/faults")[1] == {"ticket": {"status": 503, "count": 4},
                                                       "open": {"mute": True}}
    assert server.faults(ticket=None) == {"open": {"mute": True}}
    assert server.faults(open={}) == {}
    assert server.faults(reset=True, token={"ttl": 5}) == {"token": {"ttl": 5}}


def test_fault_option():
    fault = json.dumps({"ticket": {"status": 503, "count": 1}})
    with Server("--fault", fault) as server:
        assert ask_ticket(server, get_token(server)).status == 503
        assert ask_ticket(server, get_token(server)).status == 200
    with pytest.raises(AssertionError, match="tick: unknown member"):
        Server("--fault", '{"tick":{}}').start()


def test_admin_needs_its_option():
    with Server() as server:
        for method, path in (("GET", "/admin/stats"), ("POST", "/admin/faults")):
            assert request(server, method, path, body="{}").status == 404
    with Server("--admin") as server:
        assert request(server, "GET", "/admin/stats").json["tokensIssued"] == 0
        assert request(server, "POST", "/admin/faults", body='{"token":{"status":418}}').status == 200
        assert request(server, "POST", TOKEN).status == 418
        assert request(server, "DELETE", "/admin/faults").status == 405
        assert request(server, "POST", "/admin/stats").status == 405


def test_statistics():
    with Server() as server:
        token = get_token(server)
        tickets = [get_ticket(server, token) for _ in range(3)]
        ask_ticket(server, "wrong")
        assert echoes(server, tickets[0], "five5")
        close_code(server, ticket=tickets[0])
        close_code(server, ticket="0" * 32)
        close_code(server)
        stats = server.stats()
        wanted = {"tokenRequests": 1, "tokensIssued": 1, "ticketRequests": 4, "ticketsGenerated": 3,
                  "ticketsRefused": 1, "upgradeRequests": 4, "upgradesRefused": 3, "redeemed": 1,
                  "rejected": 2, "missing": 1, "expired": 0, "webSocketsOpened": 1, "messages": 1,
                  "bytes": 5}
        assert {key: stats[key] for key in wanted} == wanted
        counts = sorted((entry["redeemed"], entry["rejected"]) for entry in stats["tickets"].values())
        assert counts == [(0, 0), (0, 0), (0, 1), (1, 1)]
        assert all(re.fullmatch("[0-9a-f]{12}", name) for name in stats["tickets"])
