"""
wsticket connect --no-ticket --echo --once: what a conformance suite's server drives.  Each message
comes back with its own type and bytes, until the server closes; the server is python3-websockets.
"""

import os
import socket
import struct
import subprocess
import threading

import pytest

from cli import Cli, eventually
from plainserver import PlainServer
from rawserver import BINARY, CLOSE, FIN, TEXT, frame, frames, upgraded

ECHO = ["connect", "--no-ticket", "--echo", "--once"]
SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20]


def text(size):
    """Characters of one to four bytes."""
    return ("aé€😀" * (size // 10 + 1)).encode()[:size].decode(errors="ignore")


def binary(size):
    return (os.urandom(1000) * (size // 1000 + 1))[:size]


def pieces(message):
    """As three fragments, with an empty one among them; a text's are cut anywhere."""
    third = len(message) // 3
    return [message[:third], message[:0], message[third:2 * third], message[2 * third:]]


def echo(messages, *options, compression=None, sent=None):
    """Has |messages| echoed; returns the client's exit status after a close with 1000."""
    with PlainServer(echo=False, compression=compression, greeting=sent or messages) as server, \
            open(os.devnull, "wb") as nowhere, \
            Cli(*ECHO, *options, server.url, stdin=subprocess.DEVNULL, stdout=nowhere) as cli:
        eventually(lambda: len(server.received) >= len(messages) or cli.process.poll() is not None,
                   "all echoes", 80)
        agreed = server.extensions()
        # Compared one by one: a difference between two messages of 16 MiB takes hours to be shown.
        assert len(server.received) == len(messages), cli.err
        for number, (ours, theirs) in enumerate(zip(messages, server.received)):
            assert type(ours) is type(theirs) and ours == theirs, f"message {number} differs"
        assert agreed == (["permessage-deflate"] if compression else [])
        server.close(1000)
        return cli.wait()


@pytest.mark.quick
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_every_size_and_type(compressed):
    messages = [make(size) for size in SIZES for make in (text, binary)]
    options = ["--compress"] if compressed else []
    assert echo(messages, *options, compression="deflate" if compressed else None) == 0


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_fragments(compressed):
    messages = [make(size) for size in SIZES for make in (text, binary)]
    options = ["--compress"] if compressed else []
    assert echo(messages, *options, compression="deflate" if compressed else None,
                sent=[pieces(message) for message in messages]) == 0


def test_many_small_ones_before_the_largest():
    """They cost the queue more than their bytes: still there is room behind them."""
    assert echo([""] * 20000 + [b"x" * (16 << 20)] + ["end"]) == 0


def test_the_queue_follows_the_ceiling_for_messages():
    assert echo([b"x" * (24 << 20)], "--max-message", "24M") == 0


@pytest.mark.quick
@pytest.mark.parametrize("code, status", [(1000, 0), (1001, 0), (1002, 3), (1011, 3), (4000, 3)])
def test_exit_status_follows_the_close_code(code, status):
    with PlainServer(echo=False, greeting=["last words"]) as server, \
            Cli(*ECHO, server.url, stdin=subprocess.DEVNULL) as cli:
        eventually(lambda: server.received == ["last words"], "the echo")
        server.close(code)
        assert cli.wait() == status
    assert server.opened == 1


@pytest.mark.quick
@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_echoes_are_sent_before_the_answer_to_close(size):
    """The server closes right behind its messages: each comes back, in order, before the answer."""
    messages = [make(size) for make in (text, binary)] * 2
    said = [(TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
            for message in messages] + [(CLOSE, struct.pack(">H", 1000))]
    with socket.create_server(("127.0.0.1", 0)) as listener, open(os.devnull, "wb") as nowhere, \
            Cli(*ECHO, f"ws://127.0.0.1:{listener.getsockname()[1]}/", stdin=subprocess.DEVNULL,
                stdout=nowhere) as cli, upgraded(listener) as link:
        # In one write, while what comes back is read.
        sending = threading.Thread(target=link.sendall, args=(b"".join(
            frame(opcode, payload) for opcode, payload in said),))
        sending.start()
        heard = []
        for first, payload in frames(link):
            heard.append((first, payload))
            if first == FIN | CLOSE:
                link.shutdown(socket.SHUT_WR)  # The client leaves that to the server.
        sending.join()
        assert [(hex(first), len(payload)) for first, payload in heard] == [
            (hex(FIN | opcode), len(payload)) for opcode, payload in said]
        assert all(ours == theirs for (_, ours), (_, theirs) in zip(said, heard))
        assert cli.wait() == 0
