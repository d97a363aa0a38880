"""What the tests say to a server: HTTP requests, raw bytes, WebSockets; nothing of libwsticket."""

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import urllib.parse

import websockets
# The interface that Debian 12 (10.4) and Debian 13 (15.0) have in common.
from websockets.legacy.client import connect as websocket_connect

from wstserver import PATIENCE

TOKEN = "/api/v1/auth/token"
TICKET = "/api/v1/ws-ticket"


def trust(server):
    return ssl.create_default_context(cafile=server.ca_file) if server.ca_file else None


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.version = response.version
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


@contextlib.contextmanager
def http_connection(server):
    if server.ca_file:
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=PATIENCE,
                                                 context=trust(server))
    else:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        yield connection
    finally:
        connection.close()


def request(server, method, path, headers=None, body=None):
    with http_connection(server) as connection:
        connection.request(method, path, body=body, headers=headers or {})
        return Reply(connection.getresponse())


def get_token(server, user=None):
    body = json.dumps({"userId": user}) if user else None
    reply = request(server, "POST", TOKEN, body=body)
    assert reply.status == 200, reply.body
    return reply.json["token"]


def ask_ticket(server, token=None):
    return request(server, "GET", TICKET, {"Authorization": f"Bearer {token}"} if token else None)


def get_ticket(server, token=None):
    reply = ask_ticket(server, token or get_token(server))
    assert reply.status == 200, reply.body
    return reply.json["ticket"]


def raw(server, data, until=b"", keep=False):
    """Sends bytes on a new plain connection and reads until it ends, or |until| has come."""
    link = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    link.sendall(data)
    got = b""
    while not until or until not in got:
        chunk = link.recv(65536)
        if not chunk:
            break
        got += chunk
    if keep:
        return got, link
    link.close()
    return got


HANDSHAKE = ("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n"
             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n")


def handshake(path, extra=""):
    return HANDSHAKE.format(path=path, extra=extra).encode()


def open_raw(server, path="/plain"):
    """An open WebSocket as a bare socket."""
    got, link = raw(server, handshake(path), until=b"\r\n\r\n", keep=True)
    assert got.startswith(b"HTTP/1.1 101 "), got
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in got  # RFC 6455, 1.3
    return link


def connect(server, path="/ws", ticket=None, **options):
    """A websockets connection, to be awaited or entered."""
    if ticket:
        path += "?ticket=" + urllib.parse.quote(ticket, safe="")
    url = server.url.replace("http", "ws", 1) + path
    options.setdefault("compression", None)
    options.setdefault("max_size", None)
    options.setdefault("open_timeout", PATIENCE)
    options.setdefault("ping_interval", None)  # No pings but those of the test.
    if server.ca_file:
        options["ssl"] = trust(server)
    return websocket_connect(url, **options)


def run(coroutine):
    async def bounded():
        return await asyncio.wait_for(coroutine, 3 * PATIENCE)
    return asyncio.run(bounded())


def close_code(server, path="/ws", ticket=None, **options):
    """Opens, waits for the server to close, and returns its code and reason (1006: no close frame)."""
    async def story():
        async with connect(server, path, ticket, **options) as ws:
            with contextlib.suppress(websockets.exceptions.ConnectionClosed):
                await asyncio.wait_for(ws.recv(), PATIENCE)
            return ws.close_code, ws.close_reason
    return run(story())


def upgrade_status(server, path="/ws", ticket=None):
    """Tries to open; returns the HTTP status of the refusal, or 101."""
    async def story():
        try:
            async with connect(server, path, ticket):
                return 101
        except websockets.exceptions.InvalidStatusCode as refused:
            return refused.status_code
    return run(story())


def echoes(server, ticket, text="hello"):
    """Whether a ticket opens a WebSocket that echoes."""
    async def story():
        async with connect(server, "/ws", ticket) as ws:
            await ws.send(text)
            return await ws.recv() == text
    return run(story())
