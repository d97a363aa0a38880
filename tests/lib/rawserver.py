"""The server's end of a WebSocket as a bare socket: for what no WebSocket library would do."""

import base64
import hashlib
import re
import socket
import struct

from cli import PATIENCE

TEXT, BINARY, CLOSE = 1, 2, 8
FIN, RSV1 = 0x80, 0x40


def upgraded(listener, extensions=""):
    """Accepts one connection on a listening socket and answers its upgrade."""
    listener.settimeout(PATIENCE)
    link, _ = listener.accept()
    head = b""
    while b"\r\n\r\n" not in head:
        head += link.recv(1)  # Nothing behind the head is taken.
    key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", head).group(1)
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    link.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + base64.b64encode(accept)
                 + (f"\r\nSec-WebSocket-Extensions: {extensions}" if extensions else "").encode()
                 + b"\r\n\r\n")
    return link


def frame(opcode, payload):
    """A whole message, or a close frame, as a server sends it (RFC 6455, 5.2)."""
    n = len(payload)
    size = (bytes([n]) if n < 126 else
            b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n))
    return bytes([0x80 | opcode]) + size + payload


def unmasked(key, payload):
    n = len(payload)
    mask = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(n, "big")


def frames(link):
    """What a client sends until it ends the connection: the first byte and payload of each frame."""
    link.settimeout(PATIENCE)
    with link.makefile("rb") as stream:
        while head := stream.read(2):
            assert head[1] & 0x80, "a client masks everything (RFC 6455, 5.1)"
            extra = {126: 2, 127: 8}.get(head[1] & 0x7f, 0)
            size = int.from_bytes(stream.read(extra), "big") if extra else head[1] & 0x7f
            body = stream.read(4 + size)
            assert len(body) == 4 + size, "a frame that is cut off"
            yield head[0], unmasked(body[:4], body[4:])


def answer_close(link, before=b"", late=b""):
    """Sends |before|, and |late| after the client's close frame, then answers that."""
    link.sendall(before)
    assert link.recv(8, socket.MSG_WAITALL)[:2] == b"\x88\x82"  # Masked, with a code.
    link.sendall(late + frame(CLOSE, (1000).to_bytes(2, "big")))
    link.shutdown(socket.SHUT_WR)
