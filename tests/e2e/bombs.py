#!/usr/bin/python3
"""
What a hostile server can send to make a client take memory: each bomb with the error that it must
end in and the most memory that it may cost.  test_bounds.py asserts both; run as a program, this
writes what was seen to docs/bounds.md.
"""

import base64
import dataclasses
import functools
import hashlib
import itertools
import os
import socket
import struct
import subprocess
import sys
import threading
import zlib
from typing import Callable, Iterable

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

from cli import BUILD, PATIENCE, TOP, WRAP, environment  # noqa: E402  (the path comes first)

PROGRAM = os.path.join(BUILD, "tests", "e2e", "bombed")
PAPER = os.path.join(TOP, "docs", "bounds.md")
KIB, MIB = 1 << 10, 1 << 20
BLOCK = 64 * KIB
# The bytes that a bomb without an end sends at most; a client that reads them all has no ceiling.
ENDLESS = 64 * MIB
JWT = "eyJhbGciOiJub25lIn0.e30."


# ---- Bytes ---------------------------------------------------------------------------------------

def frame(first, payload=b"", length=None):
    """A frame of a server; |length|: announced instead of the payload's own."""
    n = len(payload) if length is None else length
    size = (bytes([n]) if n < 126 else
            b"\x7e" + struct.pack("!H", n) if n < 65536 else b"\x7f" + struct.pack("!Q", n))
    return bytes([first]) + size + payload


CLOSE = frame(0x88, struct.pack("!H", 1000))


def repeated(unit, times):
    """|times| of |unit|, in large pieces."""
    at_once = max(1, min(times, BLOCK // len(unit)))
    for left in range(times, 0, -at_once):
        yield unit * min(left, at_once)


def endless(unit):
    return repeated(unit, ENDLESS // len(unit))


def sequence(*parts):
    """Bytes, and iterables of bytes."""
    for part in parts:
        yield from [part] if isinstance(part, bytes) else part


@functools.cache
def deflated(size):
    """|size| zeros as one compressed message (RFC 7692, 7.2.1)."""
    packer = zlib.compressobj(wbits=-15)
    data = b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB))
    return (data + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def tiny_frames(data):
    """One compressed message in fragments of one byte."""
    frames = bytearray()
    for at, byte in enumerate(data):
        frames += bytes([0x42 if at == 0 else 0x00, 1, byte])
    return bytes(frames)


def head(status, *fields):
    return "\r\n".join([f"HTTP/1.1 {status} X", *fields, "", ""]).encode()


def json_reply(body):
    return head(200, "Content-Type: application/json", f"Content-Length: {len(body)}") + body


def gzipped(size):
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


# ---- The table -----------------------------------------------------------------------------------

@dataclasses.dataclass
class Bomb:
    """
    |step|: token, ticket, upgrade, or messages, on the open connection.  |send| makes the bytes;
    |ends|: the error, or a close code; |budget| in bytes.
    """
    step: str
    name: str
    send: Callable[[], Iterable[bytes]]
    ends: str
    budget: int
    options: tuple = ()
    reads: bool = True  # The server reads while it sends.


# Spare blocks that a loop keeps for its connections (lib/wire/pool.h).
POOL = 4 * MIB
# A message of the largest size, while its place grows from half of that; and spare blocks.
ONE_MESSAGE = 24 * MIB + POOL
# The same, and a window to inflate with.
ONE_INFLATED = ONE_MESSAGE + 64 * KIB
# All of an attempt: libcurl's handles and buffers, header and body at their ceilings.
UPGRADE_AT_MOST = 256 * KIB
STEP_AT_MOST = 512 * KIB

MESSAGES = [
    Bomb("messages", "16 MiB announced, nothing comes",
         lambda: [frame(0x82, length=16 * MIB)], "EOF", 32 * KIB),
    Bomb("messages", "16 MiB announced, 1 MiB comes",
         lambda: sequence(frame(0x82, length=16 * MIB), repeated(bytes(KIB), KIB)), "EOF",
         2 * MIB + POOL),
    Bomb("messages", "2^62 bytes announced",
         lambda: [frame(0x82, length=1 << 62)], "WS_TOO_LARGE 1009", 16 * KIB),
    Bomb("messages", "fragments of one byte, 16 MiB and one of them",
         lambda: sequence(frame(0x02, b"\0"), repeated(frame(0x00, b"\0"), 16 * MIB)),
         "WS_TOO_LARGE 1009", ONE_MESSAGE + 64 * KIB),
    Bomb("messages", "1,000,000 empty fragments",
         lambda: sequence(frame(0x02), repeated(frame(0x00), 10**6), frame(0x80), CLOSE),
         "WS_CLOSED 1000", 16 * KIB),
    Bomb("messages", "1,000,000 empty messages",
         lambda: sequence(repeated(frame(0x82), 10**6), CLOSE), "WS_CLOSED 1000", 16 * KIB),
    Bomb("messages", "1,000,000 empty pings",
         lambda: sequence(repeated(frame(0x89), 10**6), CLOSE), "WS_CLOSED 1000", 512 * KIB),
    Bomb("messages", "200,000 pings of 125 bytes, the pongs are not read",
         lambda: sequence(repeated(frame(0x89, bytes(125)), 200_000), CLOSE), "WS_CLOSED 1000",
         512 * KIB, reads=False),
    Bomb("messages", "200,000 pongs of 125 bytes",
         lambda: sequence(repeated(frame(0x8a, bytes(125)), 200_000), CLOSE), "WS_CLOSED 1000",
         16 * KIB),
    Bomb("messages", "a close frame of 2^62 bytes",
         lambda: [frame(0x88, length=1 << 62)], "WS_PROTOCOL 1002", 16 * KIB),
    Bomb("messages", "64 KiB that inflate to 64 MiB",
         lambda: [frame(0xc2, deflated(64 * MIB))], "WS_TOO_LARGE 1009", ONE_INFLATED,
         ("compress",)),
    Bomb("messages", "the same without context takeover",
         lambda: [frame(0xc2, deflated(64 * MIB))], "WS_TOO_LARGE 1009", ONE_INFLATED,
         ("compress", "forgetful")),
    Bomb("messages", "32 MiB inflated, from fragments of one byte",
         lambda: [tiny_frames(deflated(32 * MIB))], "WS_TOO_LARGE 1009", ONE_INFLATED,
         ("compress",)),
    Bomb("messages", "16 compressed messages of 16 MiB",
         lambda: sequence(repeated(frame(0xc2, deflated(16 * MIB)), 16), CLOSE), "WS_CLOSED 1000",
         ONE_INFLATED, ("compress",)),
    Bomb("messages", "a compressed message of 1,000,000 empty blocks",
         lambda: sequence(frame(0x42, b"\0\0\0\xff\xff"),
                          repeated(frame(0x00, b"\0\0\0\xff\xff"), 10**6)), "EOF", 32 * KIB,
         ("compress",)),
    Bomb("messages", "a compressed message of empty blocks without an end",
         lambda: sequence(frame(0x42, b"\0\0\0\xff\xff"),
                          endless(frame(0x00, b"\0\0\0\xff\xff" * 1000))), "WS_TOO_LARGE 1009",
         32 * KIB, ("compress",)),
    Bomb("messages", "2^62 compressed bytes announced",
         lambda: [frame(0xc2, length=1 << 62)], "WS_TOO_LARGE 1009", 16 * KIB, ("compress",)),
    Bomb("messages", "64 MiB inflated, taken in chunks without a ceiling",
         lambda: sequence(frame(0xc2, deflated(64 * MIB)), CLOSE), "WS_CLOSED 1000", 4 * MIB,
         ("compress", "chunks")),
    Bomb("messages", "the application fills the send queue, the server does not read",
         lambda: [], "EOF", 36 * MIB + POOL, ("fill",), reads=False),
]

UPGRADE = [
    Bomb("upgrade", "a header line without an end",
         lambda: sequence(b"HTTP/1.1 101 X\r\nX: ", endless(b"a")), "REPLY_TOO_LARGE",
         UPGRADE_AT_MOST),
    Bomb("upgrade", "headers without an end",
         lambda: sequence(b"HTTP/1.1 101 X\r\n", endless(b"X: a\r\n")), "REPLY_TOO_LARGE",
         UPGRADE_AT_MOST),
    Bomb("upgrade", "interim answers without an end",
         lambda: endless(b"HTTP/1.1 103 X\r\n\r\n"), "REPLY_TOO_LARGE", UPGRADE_AT_MOST),
    Bomb("upgrade", "a refusal's body without an end",
         lambda: sequence(head(403), endless(b"a")), "UPGRADE_REFUSED", UPGRADE_AT_MOST),
    Bomb("upgrade", "a refusal's body of 2^60 bytes",
         lambda: sequence(head(403, f"Content-Length: {1 << 60}"), endless(b"a")),
         "UPGRADE_REFUSED", UPGRADE_AT_MOST),
    Bomb("upgrade", "a refusal's chunk extension without an end",
         lambda: sequence(head(403, "Transfer-Encoding: chunked"), b"1;", endless(b"a")),
         "UPGRADE_REFUSED", UPGRADE_AT_MOST),
    Bomb("upgrade", "a refusal's chunks without an end",
         lambda: sequence(head(403, "Transfer-Encoding: chunked"), endless(b"1\r\na\r\n")),
         "UPGRADE_REFUSED", UPGRADE_AT_MOST),
]


def http_bombs(step):
    """Those of a step over HTTP."""
    json_list = b"[" + b"1," * (32 * KIB - 2) + b"1]"
    return [
        Bomb(step, "a header line without an end",
             lambda: sequence(b"HTTP/1.1 200 X\r\nX: ", endless(b"a")), "REPLY_TOO_LARGE",
             STEP_AT_MOST),
        Bomb(step, "headers without an end",
             lambda: sequence(b"HTTP/1.1 200 X\r\n", endless(b"X: a\r\n")), "REPLY_TOO_LARGE",
             STEP_AT_MOST),
        Bomb(step, "interim answers without an end",
             lambda: endless(b"HTTP/1.1 103 X\r\n\r\n"), "REPLY_TOO_LARGE", STEP_AT_MOST),
        Bomb(step, "a body without an end",
             lambda: sequence(head(200, "Content-Type: application/json"), endless(b" ")),
             "REPLY_TOO_LARGE", STEP_AT_MOST),
        Bomb(step, "a body of 2^60 bytes",
             lambda: sequence(head(200, f"Content-Length: {1 << 60}"), endless(b" ")),
             "REPLY_TOO_LARGE", STEP_AT_MOST),
        Bomb(step, "chunks without an end",
             lambda: sequence(head(200, "Transfer-Encoding: chunked"), endless(b"1\r\n \r\n")),
             "REPLY_TOO_LARGE", STEP_AT_MOST),
        Bomb(step, "trailers without an end",
             lambda: sequence(head(200, "Transfer-Encoding: chunked"), b"1\r\n \r\n0\r\n",
                              endless(b"X: a\r\n")), "REPLY_TOO_LARGE", STEP_AT_MOST),
        Bomb(step, "a refusal's body without an end",
             lambda: sequence(head(500), endless(b"a")), "HTTP_STATUS", STEP_AT_MOST),
        Bomb(step, "64 KiB that unpack to 64 MiB",
             lambda: [head(200, "Content-Encoding: gzip", f"Content-Length: {len(GZIP)}") + GZIP],
             "BAD_REPLY", STEP_AT_MOST),
        Bomb(step, "64 KiB of opening brackets",
             lambda: [json_reply(b"[" * (64 * KIB))], "BAD_REPLY", STEP_AT_MOST),
        Bomb(step, "64 KiB of numbers in a list",
             lambda: [json_reply(json_list)], "BAD_REPLY", 4 * MIB),
        Bomb(step, "ninety cookies of 150 bytes",
             lambda: [head(500, *(f"Set-Cookie: {i:04}={'a' * 150}" for i in range(90)))],
             "HTTP_STATUS", STEP_AT_MOST, ("cookies",)),
    ]


GZIP = gzipped(64 * MIB)
BOMBS = [*MESSAGES, *UPGRADE, *http_bombs("token"), *http_bombs("ticket")]


# ---- The server ----------------------------------------------------------------------------------

class Bomber:
    """A server on which all is well but for one bomb."""

    def __init__(self, bomb):
        self.bomb = bomb
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept)]
        self.links = []
        self.over = False

    def __enter__(self):
        self.threads[0].start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.listener.shutdown(socket.SHUT_RDWR)
        for link in self.links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It has ended.
        for thread in self.threads:
            thread.join()
        self.listener.close()

    def _accept(self):
        while not self.over:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            self.links.append(link)
            self.threads.append(threading.Thread(target=self._serve, args=(link,)))
            self.threads[-1].start()

    def _serve(self, link):
        try:
            with link, link.makefile("rb") as stream:
                while lines := self._request(stream):
                    if not self._answer(link, stream, lines):
                        break
        except OSError:
            pass  # The client has had enough.

    @staticmethod
    def _request(stream):
        lines = []
        while line := stream.readline().decode().strip():
            lines.append(line)
        return lines

    def _answer(self, link, stream, lines):
        """Returns whether another request may follow."""
        path = lines[0].split()[1].partition("?")[0]
        step = {"/api/v1/auth/token": "token", "/api/v1/ws-ticket": "ticket"}.get(path, "upgrade")
        if step == self.bomb.step:
            self._explode(link, stream)
            return False
        if step == "token":
            link.sendall(json_reply(f'{{"token": "{JWT}", "expiresInSeconds": 3600}}'.encode()))
        elif step == "ticket":
            link.sendall(json_reply(b'{"ticket": "' + os.urandom(16).hex().encode() + b'"}'))
        else:
            self._upgrade(link, lines)
            self._explode(link, stream)
        return step != "upgrade"

    def _upgrade(self, link, lines):
        (key,) = [line.split(": ")[1] for line in lines if line.startswith("Sec-WebSocket-Key")]
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        fields = ["Upgrade: websocket", "Connection: Upgrade",
                  "Sec-WebSocket-Accept: " + base64.b64encode(digest).decode()]
        if "compress" in self.bomb.options:
            fields.append("Sec-WebSocket-Extensions: permessage-deflate" + (
                "; server_no_context_takeover" if "forgetful" in self.bomb.options else ""))
        link.sendall(head(101, *fields))

    def _explode(self, link, stream):
        reader = threading.Thread(target=self._drain, args=(stream,))
        if self.bomb.reads:
            reader.start()
        try:
            for piece in self.bomb.send():
                link.sendall(piece)
            link.shutdown(socket.SHUT_WR)
        finally:
            if not self.bomb.reads:
                reader.start()
            reader.join()

    @staticmethod
    def _drain(stream):
        try:
            while stream.read1(BLOCK):
                pass
        except OSError:
            pass


@dataclasses.dataclass
class Outcome:
    peak: int | None  # None: not counted, under a sanitizer.
    ends: str
    text: str


def explode(bomb):
    """Runs a client against it; what came of it."""
    with Bomber(bomb) as bomber:
        done = subprocess.run(
            [*WRAP, PROGRAM, f"http://127.0.0.1:{bomber.port}", *bomb.options],
            capture_output=True, text=True, timeout=3 * PATIENCE, env=environment(), check=False)
    assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stdout, done.stderr)
    peak, code, close_code, status, _, text = done.stdout.rstrip("\n").split(" ", 5)
    return Outcome(None if peak == "unknown" else int(peak),
                   code + (f" {close_code}" if code.startswith("WS_") else ""), text)


# ---- The paper -----------------------------------------------------------------------------------

HEAD = """# Bounds

What a hostile server can make a client take, and the most that it cost when it was tried, with the
default ceilings (`max_message_bytes` 16 MiB, `max_header_bytes` 16 KiB, `max_body_bytes` 64 KiB).
The figures are bytes on the heap of the whole process, libcurl, OpenSSL and zlib included: in the
open connection above what it held when it was open, else above what it held before the attempt.

A message that grows has its old and its new place for a moment (24 MiB for 16), and a loop keeps
4 MiB of spare blocks for all its connections; smaller ceilings cost less in proportion. Output that
the server does not take is bounded by `max_queue_bytes` and a quarter of it, and has its old and its
new place while it grows; pongs to 256 KiB and, once output is blocked, to one.

The budgets are asserted by `tests/e2e/test_bounds.py`; the table is written by
`tests/e2e/bombs.py`.
"""
TITLES = {"messages": "In the open connection", "upgrade": "In the answer to the upgrade",
          "token": "In the answer to step 1", "ticket": "In the answer to step 2"}


def row(bomb, peak):
    return f"| {bomb.name} | `{bomb.ends}` | {bomb.budget:,} | {peak:,} |"


def paper():
    """The paper, from a run of all of them."""
    lines = [HEAD]
    for step, title in TITLES.items():
        lines += [f"## {title}", "", "| bomb | ends in | allowed | seen |",
                  "| --- | --- | ---: | ---: |"]
        for bomb in BOMBS:
            if bomb.step == step:
                outcome = explode(bomb)
                assert outcome.ends == bomb.ends, (bomb.name, outcome)
                lines.append(row(bomb, outcome.peak))
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def rows(text):
    """What a paper says: {(step, name): (ends, allowed, seen)}."""
    found, step = {}, None
    steps = {f"## {title}": step for step, title in TITLES.items()}
    for line in text.splitlines():
        step = steps.get(line, step)
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[2].replace(",", "").isdigit():
            found[step, cells[0]] = (cells[1].strip("`"), *(int(n.replace(",", "")) for n in cells[2:]))
    return found


if __name__ == "__main__":
    written = paper()
    with open(PAPER, "w", encoding="utf-8") as file:
        file.write(written)
