#!/usr/bin/python3
"""
A server on Python's websockets that echoes every message with its own type, for the
interoperability matrix: websockets_echo.py [cert=FILE key=FILE] [deflate] [fragments].

Listens on a free port of 127.0.0.1 and prints "listening PORT", then for each connection
"extensions permessage-deflate" or "extensions none".
"""

import asyncio
import ssl
import sys

import websockets
# The interface that Debian 12 (10.4) and Debian 13 (15.0) have in common.
from websockets.legacy.server import serve

GIVEN = dict(word.partition("=")[::2] for word in sys.argv[1:])


def fragments(message):
    """A few of different sizes, empty ones at both ends."""
    yield message[:0]
    at = 0
    while at < len(message):
        size = (len(message) - at + 2) // 3
        yield message[at:at + size]
        at += size
    yield message[:0]


async def echo(socket):
    names = [extension.name for extension in socket.extensions]
    print("extensions", *(names or ["none"]), flush=True)
    try:
        async for message in socket:
            await socket.send(fragments(message) if "fragments" in GIVEN else message)
    except websockets.ConnectionClosed:
        pass


async def main():
    tls = None
    if "cert" in GIVEN:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(GIVEN["cert"], GIVEN["key"])
    async with serve(echo, "127.0.0.1", 0, ssl=tls, max_size=64 << 20, ping_interval=None,
                     compression="deflate" if "deflate" in GIVEN else None) as server:
        print("listening", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
