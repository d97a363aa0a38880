"""The two HTTP endpoints, and HTTP itself."""

import re
import socket
import time

import pytest

from wire import (TICKET, TOKEN, Reply, ask_ticket, get_token, http_connection, raw, request)
from wstserver import PATIENCE, Server

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running


def test_token(server):
    reply = request(server, "POST", TOKEN)
    assert reply.status == 200 and reply.version == 11
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Cache-Control"] == "no-store"
    assert set(reply.json) == {"token", "expiresInSeconds"}
    assert reply.json["expiresInSeconds"] == 3600
    assert reply.json["token"].count(".") == 2
    assert server.wait_log("[Auth] Token") == "[Auth] Token issued { hasUserId: false, expiresIn: 3600 }"


def test_ticket(server):
    reply = ask_ticket(server, get_token(server))
    assert reply.status == 200
    assert reply.headers["Cache-Control"] == "no-store"
    assert set(reply.json) == {"ticket", "expiresInSeconds"}
    assert re.fullmatch("[0-9a-f]{32}", reply.json["ticket"])
    assert reply.json["expiresInSeconds"] == 30
    assert re.fullmatch(r"\[WSTicket\] Ticket generated \{ hasUserId: false, ttl: 30, "
                        r"ticketHash: '[0-9a-f]{6}\.\.\.' \}", server.wait_log("Ticket generated"))


def test_every_ticket_is_another(server):
    token = get_token(server)
    assert len({ask_ticket(server, token).json["ticket"] for _ in range(20)}) == 20


def test_user_id_of_the_body(server):
    token = get_token(server, user="alice")
    assert ask_ticket(server, token).status == 200
    server.wait_log("[Auth] Token issued { hasUserId: true")
    server.wait_log("Ticket generated { hasUserId: true")


@pytest.mark.parametrize("method, path, allow", [
    ("GET", TOKEN, "POST"), ("PUT", TOKEN, "POST"), ("POST", TICKET, "GET"),
    ("DELETE", TICKET, "GET"), ("POST", "/ws", "GET")])
def test_wrong_method(server, method, path, allow):
    reply = request(server, method, path)
    assert reply.status == 405 and reply.headers["Allow"] == allow and reply.json["error"]


@pytest.mark.parametrize("path", ["/", "/api", TOKEN + "/", "/admin/faults", "/admin/stats", "/wss"])
def test_unknown_path(server, path):
    reply = request(server, "GET", path)
    assert reply.status == 404 and reply.json["error"] == "not found"


def test_two_requests_on_one_connection(server):
    with http_connection(server) as connection:
        connection.request("POST", TOKEN)
        token = Reply(connection.getresponse()).json["token"]
        first = connection.sock
        connection.request("GET", TICKET, headers={"Authorization": "Bearer " + token})
        assert Reply(connection.getresponse()).status == 200
        assert connection.sock is first


def ok_reply(got):
    return got.startswith(b"HTTP/1.1 200 OK\r\n") and b'"token"' in got


def post(headers, body=b""):
    return (f"POST {TOKEN} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").encode() + body


CLOSE = "Connection: close\r\n"


@pytest.mark.parametrize("data", [
    post(CLOSE),
    post(CLOSE + "Content-Length: 0\r\n"),
    post(CLOSE + "Content-Length: 5\r\n", b"hello"),
    post(CLOSE + "Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    post(CLOSE + "Transfer-Encoding: chunked\r\n", b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n"),
    post(CLOSE + "Content-Type: application/json\r\nContent-Length: 7\r\n", b'{"user"'),
    f"POST {TOKEN} HTTP/1.0\r\n\r\n".encode(),
], ids=["no-length", "length-0", "body", "chunked-empty", "chunked", "half-json", "http-1.0"])
def test_post_is_answered(server, data):
    assert ok_reply(raw(server, data))


def test_post_without_length_keeps_the_connection(server):
    got = raw(server, post("") + post("") + post(CLOSE))
    assert got.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("path", [TICKET, "/nowhere"])
def test_head_is_answered_without_content(server, path):
    got = raw(server, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() + post(CLOSE))
    head, _, rest = got.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 40[45] ", head) and b"keep-alive" in head
    assert ok_reply(rest), got


def test_head_is_refused_without_content(server):
    got = raw(server, b"HEAD / HTTP/1.1\r\nContent-Length: x\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 400 ") and got.endswith(b"\r\n\r\n")


def test_request_byte_by_byte(server):
    data = post(CLOSE + "Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n")
    got = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            link.sendall(bytes([byte]))
        while chunk := link.recv(65536):
            got += chunk
    assert ok_reply(got)


@pytest.mark.parametrize("data, status", [
    (post(CLOSE + "Content-Length: 2000000\r\n"), b"413"),
    (post(CLOSE + "Content-Length: 99999999999999999999\r\n"), b"413"),
    (post(CLOSE + "Content-Length: -1\r\n"), b"400"),
    (post(CLOSE + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), b"400"),
    (post("Content-Length: 0\r\nContent-Length: 5\r\n", b"hello"), b"400"),
    (post("Content-Length: 5\r\ncontent-length: 5\r\n", b"hello"), b"400"),
    (post("Content-Length: 5, 6\r\n", b"hello"), b"400"),
    (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", b"0\r\n\r\n"), b"400"),
    (post(CLOSE + "Transfer-Encoding: gzip\r\n"), b"501"),
    (post("Transfer-Encoding: chunked\r\n", b"xyz\r\n"), b"400"),
    (post("Transfer-Encoding: chunked\r\n", b"ffffffffff\r\n"), b"413"),
    (post("Transfer-Encoding: chunked\r\n", b"1\r\nab\r\n"), b"400"),
    (b"GET / HTTP/2.0\r\n\r\n", b"400"),
    (b"nonsense\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nName : x\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nName: a\0b\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nName: a\nb: c\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nX: " + b"x" * 20000, b"431"),
])
def test_bad_request(server, data, status):
    got = raw(server, data)
    assert got.startswith(b"HTTP/1.1 " + status), got[:200]
    assert b'{"error":' in got


def test_expect_continue(server):
    got = raw(server, post(CLOSE + "Expect: 100-continue\r\nContent-Length: 2\r\n"), until=b"100 Continue")
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_a_slow_reader_gets_the_whole_answer():
    """A connection that ends waits for its peer for 2 s, and anew for as long as bytes leave."""
    size = 64 << 20
    got = bytearray()
    with Server() as server:
        server.faults(ticket={"bodySize": size})
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as link:
            link.sendall(f"GET {TICKET} HTTP/1.1\r\nHost: localhost\r\n{CLOSE}\r\n".encode())
            slow_until = time.monotonic() + 2.5
            while chunk := link.recv(1 << 20):
                got += chunk
                if time.monotonic() < slow_until:
                    time.sleep(0.1)
    assert len(got.partition(b"\r\n\r\n")[2]) == size


def test_prefix():
    with Server("--prefix", "/app") as server:
        assert server.url.endswith(f":{server.port}/app")
        assert request(server, "POST", "/app" + TOKEN).status == 200
        assert request(server, "POST", TOKEN).status == 404


def test_still_serving(server):
    """After all of the above."""
    assert ask_ticket(server, get_token(server)).status == 200
