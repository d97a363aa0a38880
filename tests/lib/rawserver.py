"""The server's end of a WebSocket as a bare socket: for what no WebSocket library would do."""

import base64
import hashlib
import re
import socket
import struct

from cli import PATIENCE

TEXT, BINARY, CLOSE = 1, 2, 8


def upgraded(listener):
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
                 + b"\r\n\r\n")
    return link


def frame(opcode, payload):
    """A whole message, or a close frame, as a server sends it (RFC 6455, 5.2)."""
    n = len(payload)
    size = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n)
    return bytes([0x80 | opcode]) + size + payload


def answer_close(link, before=b"", late=b""):
    """Sends |before|, and |late| after the client's close frame, then answers that."""
    link.sendall(before)
    assert link.recv(8, socket.MSG_WAITALL)[:2] == b"\x88\x82"  # Masked, with a code.
    link.sendall(late + frame(CLOSE, (1000).to_bytes(2, "big")))
    link.shutdown(socket.SHUT_WR)
