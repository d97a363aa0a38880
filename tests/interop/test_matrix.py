"""
The interoperability matrix: our client against servers that share nothing with it.  Each cell is a
case of its own; those of one connection are walked through by one run of interop_client, which
compares every echo byte by byte.

Sizes x text and binary x whole, in fragments both ways x compressed or not x plain and TLS; and the
same to a server behind nginx and behind HAProxy, which end TLS.
"""

import base64
import functools
import os
import random
import socket
import struct
import subprocess
import threading
import zlib

import pytest

from ca import Ca
from cli import PATIENCE, WRAP, environment
from peers import CLIENT, COMMANDS, PROXIES, EchoServer, ws_from_npm
from rawserver import BINARY, CLOSE, FIN, RSV1, TEXT, frame, frames, upgraded

MIB = 1 << 20
SIZES = [0, 1, 125, 126, 65535, 65536, MIB, 16 * MIB]
# What --quick takes.
CORE = [("websockets", "tls", "deflate", "fragments"), ("libwebsockets", "plain", "none", "whole"),
        ("ws", "plain", "none", "fragments"), ("nginx", "tls", "none", "whole")]


def connections():
    """Every (peer, plain or tls, compression, how both sides send)."""
    return [(peer, wire, extension, frames)
            for peer in [*COMMANDS, *PROXIES]
            for wire in ("plain", "tls")
            for extension in ("none", "deflate")
            for frames in ("whole", "fragments")]


def cells():
    for connection in connections():
        name = "-".join(connection)
        marks = [pytest.mark.xdist_group(name)]
        marks += [pytest.mark.quick] if connection in CORE else []
        for size in SIZES:
            for kind in ("text", "binary"):
                yield pytest.param(connection, f"{kind} {size}", marks=marks,
                                   id=f"{name}-{kind}-{size}")


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@functools.cache
def leaf_of(ca):
    return ca.issue()


def walk(url, ca_file, compress, chunks):
    command = [*WRAP, CLIENT, url]
    command += [f"ca={ca_file}"] if ca_file else []
    command += ["compress"] if compress else []
    command += ["chunks"] if chunks else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE,
                          env=environment(), check=False)
    return done.stdout.splitlines(), done.stderr


class Walk:
    """One connection, and what was seen on it."""

    def __init__(self, connection, ca):
        peer, wire, extension, frames = connection
        leaf = leaf_of(ca) if wire == "tls" else None
        compress = extension == "deflate"
        how = compress, frames == "fragments"
        behind = peer in PROXIES
        with EchoServer("libwebsockets" if behind else peer, None if behind else leaf,
                        compress, frames == "fragments") as server:
            scheme = "wss" if leaf else "ws"
            ca_file = ca.pem if leaf else None
            if behind:
                with PROXIES[peer](server.port, leaf) as proxy:
                    self.lines, self.err = walk(f"{scheme}://localhost:{proxy.port}/", ca_file,
                                                *how)
            else:
                self.lines, self.err = walk(f"{scheme}://localhost:{server.port}/", ca_file,
                                            *how)
        self.extensions = server.extensions


@pytest.fixture(scope="module")
def walked(ca):
    """The walk over a connection; made once."""
    return functools.cache(lambda connection: Walk(connection, ca))


@pytest.mark.parametrize("connection, cell", cells())
def test_echo(walked, connection, cell):
    seen = walked(connection)
    assert cell + " ok" in seen.lines, "\n".join([*seen.lines, seen.err])


def whole():
    for connection in connections():
        name = "-".join(connection)
        marks = [pytest.mark.xdist_group(name)]
        marks += [pytest.mark.quick] if connection in CORE else []
        yield pytest.param(connection, marks=marks, id=name)


@pytest.mark.parametrize("connection", whole())
def test_connection(walked, connection):
    """It agreed on what the cell is named after, and ended with both close frames."""
    seen = walked(connection)
    wanted = "permessage-deflate" if connection[2] == "deflate" else "none"
    assert [text.split(";")[0] for text in seen.extensions] == [wanted], seen.lines
    assert seen.lines[-1] == "closed 1000 clean", seen.lines
    assert seen.err == ""


# ---- The servers do what the cells are named after ----------------------------------------------

def frames_of(port, message):
    """Opcode, FIN and RSV1 of the frames that a server answers a text with."""
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as link:
        link.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                     f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                     f"Sec-WebSocket-Version: 13\r\n"
                     f"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode())
        with link.makefile("rb") as stream:
            while stream.readline() not in (b"\r\n", b""):
                pass
            # A key of zeros: the payload is what it looks like.
            link.sendall(struct.pack("!BBHI", 0x81, 0xfe, len(message), 0) + message)
            while True:
                first, length = stream.read(2)
                extra = {126: 2, 127: 8}.get(length, 0)
                length = int.from_bytes(stream.read(extra), "big") if extra else length
                stream.read(length)
                yield first & 15, bool(first & 0x80), bool(first & 0x40)
                if first & 0x80:
                    return


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("fragments", [False, True])
@pytest.mark.parametrize("peer", COMMANDS)
def test_server_does_as_told(peer, fragments, deflate):
    # Long: the compressor of libwebsockets joins fragments that it can hold back.
    message = random.Random(1).randbytes(30000).hex().encode()
    with EchoServer(peer, deflate=deflate, fragments=fragments) as server:
        frames = list(frames_of(server.port, message))
    assert frames[0] == (1, not fragments, deflate)
    assert all(opcode == 0 and not rsv for opcode, _, rsv in frames[1:])
    assert [fin for _, fin, _ in frames] == [False] * (len(frames) - 1) + [True]
    assert len(frames) >= 2 if fragments else len(frames) == 1


# ---- The client does, too -----------------------------------------------------------------------

def messages_of(link):
    """
    Echoes what the client sends, in plain frames; yields the message, and the first byte and size of
    each of its frames.  It is inflated with one window for all (RFC 7692, 7.2.2).
    """
    window = zlib.decompressobj(wbits=-15)
    heads, sent = [], b""
    for first, payload in frames(link):
        if first == FIN | CLOSE:
            link.sendall(frame(CLOSE, payload))
            link.shutdown(socket.SHUT_WR)
            continue
        heads.append((first, len(payload)))
        sent += payload
        if first & FIN:
            packed = heads[0][0] & RSV1
            message = window.decompress(sent + b"\0\0\xff\xff") if packed else sent
            assert not window.unused_data
            yield message, heads
            link.sendall(frame(heads[0][0] & 15, message))
            heads, sent = [], b""


def client_walks(listener, lines, chunks):
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
    lines += walk(url, None, True, chunks)[0]


@pytest.mark.quick
@pytest.mark.parametrize("chunks", [False, True], ids=["whole", "chunks"])
def test_client_compresses(chunks):
    """It compares each echo: so what was inflated here is what it wanted to send."""
    lines, seen = [], []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = threading.Thread(target=client_walks, args=(listener, lines, chunks))
        client.start()
        with upgraded(listener, "permessage-deflate") as link:
            for message, heads in messages_of(link):
                # Neither nothing, nor what begins with an empty chunk.
                packed = len(message) >= (3 if chunks else 1)
                opcode = (TEXT, BINARY)[len(seen) % 2]
                wanted = [opcode | (RSV1 if packed else 0), 0, 0, 0] if chunks else [
                    opcode | (RSV1 if packed else 0)]
                wanted[-1] |= FIN
                assert [hex(first) for first, _ in heads] == [hex(first) for first in wanted]
                if len(message) >= 65535:
                    assert sum(size for _, size in heads) < len(message) * 2 // 3
                seen.append(len(message))
        client.join()
    assert seen == [size for size in SIZES for _ in (TEXT, BINARY)]
    assert lines == [f"{kind} {size} ok" for size in SIZES for kind in ("text", "binary")] + [
        "closed 1000 clean"]


def test_ws_is_the_one_from_npm():
    """Where it is not, the matrix runs against Debian's node-ws."""
    modules, why = ws_from_npm()
    if not modules:
        pytest.skip(why)
