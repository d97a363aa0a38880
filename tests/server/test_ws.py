"""The WebSocket: tickets redeemed once, echo, refusals, subprotocols, compression."""

import asyncio
import os
import re
import struct
import time

import pytest
import websockets.exceptions

from wire import (ask_ticket, close_code, connect, echoes, get_ticket, get_token, handshake,
                  open_raw, raw, run, upgrade_status)
from wstserver import Server, wait_until

quick = pytest.mark.quick


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running


@quick
def test_ticket_opens_once(server):
    ticket = get_ticket(server)

    async def story():
        async with connect(server, "/ws", ticket, origin="https://app.example.com") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
            assert ws.subprotocol is None
    run(story())
    assert close_code(server, ticket=ticket) == (4401, "NOT_AUTHORIZED")
    assert re.fullmatch(r"\[WS\] Authenticated via ticket \{ hasUserId: false, "
                        r"sessionId: '[0-9a-f-]{36}' \}", server.wait_log("Authenticated"))
    assert (server.wait_log("websocket_connected")
            == "websocket_connected { originHost: 'app.example.com' }")
    server.wait_log("WS: Rejected - ticket invalid or expired")
    server.wait_log("code: 1000 }")
    assert ticket not in "".join(server.log)


@quick
def test_no_ticket(server):
    assert close_code(server) == (4401, "NOT_AUTHORIZED")
    assert server.wait_log("Rejected") == "WS: Rejected - no auth ticket"
    assert close_code(server, "/ws?ticket=") == (4401, "NOT_AUTHORIZED")
    assert close_code(server, "/ws?tickets=abc&other=1") == (4401, "NOT_AUTHORIZED")


@quick
@pytest.mark.parametrize("ticket", ["a", "0" * 32, "0" * 33, "G" * 32, "%41", "a b&c=+/%", "é" * 20,
                                    "x" * 5000])
def test_wrong_ticket(server, ticket):
    assert close_code(server, ticket=ticket) == (4401, "NOT_AUTHORIZED")


@quick
def test_user_id_travels_with_the_ticket(server):
    assert echoes(server, get_ticket(server, get_token(server, user="bob")))
    server.wait_log("[WS] Authenticated via ticket { hasUserId: true")


@quick
def test_ticket_expires():
    with Server("--ticket-ttl", "1") as server:
        assert ask_ticket(server, get_token(server)).json["expiresInSeconds"] == 1
        ticket = get_ticket(server)
        received = time.monotonic()
        wait_until(lambda: time.monotonic() > received + 1, "the end of the ticket's life")
        assert close_code(server, ticket=ticket) == (4401, "NOT_AUTHORIZED")
        assert server.stats()["expired"] == 1
        assert echoes(server, get_ticket(server))


@quick
@pytest.mark.parametrize("mode, status", [("http", 401), ("http403", 403)])
def test_refused_by_http(mode, status):
    with Server("--reject", mode) as server:
        assert upgrade_status(server, ticket="0" * 32) == status
        assert upgrade_status(server) == status
        got = raw(server, handshake("/ws", "Connection: close\r\n"), until=b"}")
        assert got.startswith(b"HTTP/1.1 %d " % status) and b'{"error":"no auth ticket"}' in got
        ticket = get_ticket(server)
        assert echoes(server, ticket)
        assert upgrade_status(server, ticket=ticket) == status


@quick
@pytest.mark.parametrize("extra, change, status", [
    ("", ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), 426),
    ("", ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400),
    ("", ("dGhlIHNhbXBsZSBub25jZQ==", "short=="), 400),
    ("", ("Upgrade: websocket", "Upgrade: h2c"), 426),
    ("", ("Connection: keep-alive, Upgrade", "Connection: notupgrade"), 426),
])
def test_bad_handshake(server, extra, change, status):
    data = handshake("/plain", extra).decode().replace(*change).encode()
    assert raw(server, data, until=b"}").startswith(b"HTTP/1.1 %d " % status)


SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]


@quick
@pytest.mark.parametrize("options", [[], ["--deflate"]], ids=["plain", "deflate"])
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_echo(options, tls):
    async def story(server, message):
        async with connect(server, "/plain",
                           compression="deflate" if options else None) as ws:
            assert bool(ws.extensions) == bool(options)
            for _ in range(2):
                await ws.send(message)
                answer = await ws.recv()
                want = message if not isinstance(message, list) else type(message[0])().join(message)
                assert answer == want, (type(answer), len(answer))
                assert type(answer) is type(want)
            await (await ws.ping(b"x"))
    with Server(*options, tls=tls) as server:
        for size in SIZES:
            for message in (os.urandom(size), b"y" * size, "é" * (size // 2) + "z" * (size % 2)):
                run(story(server, message))
        run(story(server, ["a", "", "é" * 100, "c"]))
        run(story(server, [os.urandom(70000), b"", os.urandom(70000)]))
        server.wait_stats(webSocketsOpen=0)


@pytest.mark.parametrize("options", [[], ["--deflate"]], ids=["plain", "deflate"])
def test_echo_of_16_mib(options):
    async def story(server):
        async with connect(server, "/plain", compression="deflate" if options else None) as ws:
            for message in (os.urandom(16 << 20), "a" * (16 << 20)):
                await ws.send(message)
                assert await ws.recv() == message
    with Server(*options, tls=True) as server:
        run(story(server))


@quick
def test_many_messages_in_flight(server):
    """More than any buffer holds, sent before anything is read."""
    async def story():
        async with connect(server, "/plain", max_queue=None) as ws:
            sent = [os.urandom(100000) for _ in range(100)] + [str(i) for i in range(1000)]

            async def send():
                for message in sent:
                    await ws.send(message)
            sending = asyncio.create_task(send())
            assert [await ws.recv() for _ in sent] == sent
            await sending
    run(story())


@quick
def test_max_message():
    with Server("--max-message", "1000") as server:
        async def story(size):
            async with connect(server, "/plain") as ws:
                await ws.send(b"x" * size)
                try:
                    return len(await ws.recv())
                except websockets.exceptions.ConnectionClosed:
                    return ws.close_code
        assert run(story(1000)) == 1000
        assert run(story(1001)) == 1009


@quick
def test_fragmented_echo():
    with Server("--fragment", "10") as server:
        link = open_raw(server)
        payload = bytes(range(25))
        link.sendall(b"\x82" + bytes([0x80 | len(payload)]) + b"\0\0\0\0" + payload)
        got = b""
        while len(got) < 3 * 2 + 25:
            got += link.recv(100)
        link.close()
        assert got == (b"\x02\x0a" + payload[:10] + b"\x00\x0a" + payload[10:20]
                       + b"\x80\x05" + payload[20:])


@quick
def test_subprotocol():
    async def chosen(server, offer, path="/plain"):
        async with connect(server, path, subprotocols=offer) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
            return ws.subprotocol
    with Server("--subprotocol", "chat.v2", "--subprotocol", "chat.v1") as server:
        assert run(chosen(server, ["chat.v1"])) == "chat.v1"
        assert run(chosen(server, ["other", "chat.v1", "chat.v2"])) == "chat.v2"
        assert run(chosen(server, ["other"])) is None
        assert run(chosen(server, None)) is None
        assert run(chosen(server, ["x" * 300, "chat.v2"])) == "chat.v2"


@quick
def test_ticket_as_header_and_subprotocol():
    async def opens(server, **options):
        async with connect(server, "/ws", **options) as ws:
            await ws.send("x")
            return await ws.recv() == "x"
    with Server("--ticket-in", "header") as server:
        assert run(opens(server, extra_headers={"X-Ticket": get_ticket(server)}))
        assert close_code(server, ticket=get_ticket(server)) == (4401, "NOT_AUTHORIZED")
    with Server("--ticket-in", "subprotocol", "--ticket-name", "t.", "--subprotocol", "app") as server:
        assert run(opens(server, subprotocols=["app", "t." + get_ticket(server)]))
        assert close_code(server, subprotocols=["app", get_ticket(server)])[0] == 4401
    with Server("--ticket-name", "k") as server:
        assert echo_at(server, "/ws?a=b&k=" + get_ticket(server))


def echo_at(server, path):
    async def story():
        async with connect(server, path) as ws:
            await ws.send("x")
            return await ws.recv() == "x"
    return run(story())


@quick
def test_frames_behind_the_request(server):
    """A client may send its first frame with the request, when it is sure to be let in."""
    frame = b"\x81\x82\0\0\0\0hi"
    got, link = raw(server, handshake("/plain") + frame, until=b"\x81\x02hi", keep=True)
    assert got.split(b"\r\n\r\n", 1)[1] == b"\x81\x02hi"
    link.close()


@quick
def test_close_handshake_by_the_client(server):
    for code in (1000, 1001, 3000, 4999):
        link = open_raw(server)
        link.sendall(b"\x88\x82\0\0\0\0" + struct.pack(">H", code))
        got = b""
        while chunk := link.recv(100):
            got += chunk
        link.close()
        assert got == b"\x88\x02" + struct.pack(">H", code)
        server.wait_log(f"code: {code} }}")


@quick
def test_client_vanishes(server):
    before = server.log_count("code: 1006")
    link = open_raw(server)
    server.wait_stats(webSocketsOpen=1)
    link.close()
    server.wait_log("code: 1006", before + 1)
    server.wait_stats(webSocketsOpen=0)


def test_a_hundred_at_once(server):
    async def story():
        links = await asyncio.gather(*(connect(server, "/plain") for _ in range(100)))
        await asyncio.gather(*(ws.send(str(i)) for i, ws in enumerate(links)))
        assert await asyncio.gather(*(ws.recv() for ws in links)) == [str(i) for i in range(100)]
        await asyncio.gather(*(ws.close() for ws in links))
    run(story())
    server.wait_stats(webSocketsOpen=0)
