"""What wsticket does with received messages: stdout, backpressure, echo."""

import os
import pty
import signal
import socket
import subprocess
import threading
import time

import pytest

from cli import WRAP, WSTICKET, Cli, environment, eventually
from plainserver import PlainServer
from rawserver import BINARY, TEXT, answer_close, frame, upgraded

PLAIN = ["connect", "--no-ticket", "--base-delay", "20ms", "--cap", "100ms"]


@pytest.mark.quick
def test_text_and_binary():
    greeting = ["héllo ✅", b"\x01\x02\x03", "", "two\nlines"]
    with PlainServer(greeting=greeting) as server, Cli(*PLAIN, server.url) as cli:
        cli.wait_out("lines")
        assert cli.raw["out"].decode() == "héllo ✅\n\ntwo\nlines\n"
        cli.wait_err(r"^\[WS\] \[binary 3 bytes\]$")
        assert cli.stop() == 0


@pytest.mark.quick
def test_raw_binary():
    with PlainServer(greeting=[b"\x01\n\x00", "text", b"\xff"]) as server, \
            Cli(*PLAIN, "--binary", server.url) as cli:
        cli.until(lambda c: c.raw["out"] == b"\x01\n\x00text\n\xff", "all three")
        assert cli.stop() == 0


def test_control_characters_do_not_reach_a_terminal():
    ours, theirs = pty.openpty()
    try:
        with PlainServer(greeting=["red \x1b[31m \x9b bell\x07\ttab"]) as server, \
                Cli(*PLAIN, server.url, stdout=theirs) as cli:
            shown = b""
            while b"tab" not in shown:
                shown += os.read(ours, 1000)
            assert shown.decode() == "red \\x1b[31m \\x9b bell\\x07\ttab\r\n" or b"\t" in shown
            assert b"\x1b" not in shown and b"\x07" not in shown and b"\xc2\x9b" not in shown
            assert cli.stop() == 0
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.quick
def test_a_reader_that_goes_away_is_no_failure():
    with PlainServer(greeting=["first", "second"]) as server:
        read, write = os.pipe()
        with Cli(*PLAIN, server.url, stdout=write) as cli:
            os.close(write)
            assert os.read(read, 6) == b"first\n"
            os.close(read)
            # Each further message meets a closed pipe, until the program has noticed.
            eventually(lambda: server.send("more") and cli.process.poll() is not None, "its end")
            assert cli.wait() == 0
            assert not any("annot" in line for line in cli.err)


@pytest.mark.quick
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_full_disk_is_one(how):
    with PlainServer(greeting=["text"]) as server, open("/dev/full", "wb") as full, \
            Cli(*PLAIN, *how, server.url, stdout=full) as cli:
        assert cli.wait() == 1
        assert how or "[WS] cannot write to stdout: No space left on device" in cli.err


def answer_late(listener, text):
    """Sends a message once the client has begun to close."""
    with upgraded(listener) as link:
        answer_close(link, late=frame(TEXT, text))


@pytest.mark.quick
@pytest.mark.parametrize("how", [[], ["--quiet"]])
def test_a_full_disk_after_the_end_was_asked_for(how):
    with socket.create_server(("127.0.0.1", 0)) as listener, open("/dev/full", "wb") as full:
        server = threading.Thread(target=answer_late, args=(listener, b"late"))
        server.start()
        with Cli(*PLAIN, "--close-on-eof", *how,
                 f"ws://127.0.0.1:{listener.getsockname()[1]}/", stdin=subprocess.DEVNULL,
                 stdout=full) as cli:
            assert cli.wait() == 1
            assert "[WS] cannot write to stdout: No space left on device" in cli.err
        server.join()


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])


def test_a_slow_reader_pauses_the_server():
    """Nobody reads stdout: the program stops receiving, and nothing is lost."""
    block = "b" * 65535
    count = 2000
    with PlainServer() as server:
        read, write = os.pipe()
        with Cli(*PLAIN, "--ping-interval", "0", server.url, stdout=write) as cli:
            os.close(write)
            cli.wait_open()
            sending = server.send(*[block] * count)
            # It must come to a standstill long before everything has been sent.
            with pytest.raises(Exception):
                sending.exception(1.5)
            assert resident(cli.process.pid) < 200000
            got = 0
            while got < count * 65536:
                piece = os.read(read, 1 << 20)
                assert piece.strip(b"b\n") == b""
                got += len(piece)
            sending.result(20)
            assert got == count * 65536
            assert cli.stop() == 0
        os.close(read)


def lines_of(fd, count):
    """Reads so many lines, perhaps more."""
    got = 0
    while got < count:
        data = os.read(fd, 1 << 20)
        assert data, f"it ended after {got} lines"
        got += data.count(b"\n")


def test_a_slow_reader_of_stderr_pauses_the_server():
    """Each binary message is a line there; nobody reads it, and memory stays bounded."""
    count = 240000
    with socket.create_server(("127.0.0.1", 0)) as listener:
        read, write = os.pipe()
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        with Cli(*PLAIN, "--ping-interval", "0", url, stderr=write) as cli, \
                upgraded(listener) as link:
            os.close(write)
            link.settimeout(1)
            rest = memoryview(frame(BINARY, b"b" * 100) * count)
            with pytest.raises(TimeoutError):
                while rest:
                    rest = rest[link.send(rest):]
            assert rest, "it comes to a standstill before everything has been sent"
            link.settimeout(None)
            sending = threading.Thread(target=link.sendall, args=(rest,))
            sending.start()
            lines_of(read, count)  # And those of the connection.
            sending.join()
            assert cli.process.poll() is None
            cli.process.kill()
        os.close(read)


def test_the_end_of_stdin_waits_for_a_slow_reader():
    """Everything that the server sends before it answers our close is printed."""
    count = 24000
    with socket.create_server(("127.0.0.1", 0)) as listener:
        read, write = os.pipe()
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        with Cli(*PLAIN, "--ping-interval", "0", "--close-timeout", "20s", "--close-on-eof", url,
                 stdout=write) as cli, upgraded(listener) as link:
            os.close(write)
            link.settimeout(1)
            rest = memoryview(frame(TEXT, b"t" * 1000) * count)
            with pytest.raises(TimeoutError):
                while rest:
                    rest = rest[link.send(rest):]
            cli.end_stdin()
            with pytest.raises(TimeoutError):
                link.recv(1)  # No close frame while nobody reads.
            link.settimeout(None)
            answering = threading.Thread(target=answer_close, args=(link, rest))
            answering.start()
            lines_of(read, count)
            answering.join()
            assert cli.wait() == 0
            assert any("code: 1000" in line for line in cli.err)
        os.close(read)


def test_interrupt_while_nobody_reads():
    """
    A blocked stdout holds up neither the first nor the second Ctrl-C.  Not under valgrind, which
    takes the stack of the thread that is left blocked for a leak.
    """
    with PlainServer() as server:
        read, write = os.pipe()
        with Cli(*PLAIN, "--ping-interval", "0", server.url, stdout=write, wrap=[]) as cli:
            os.close(write)
            cli.wait_open()
            sending = server.send(*["b" * 65535] * 2000)
            with pytest.raises(Exception):
                sending.exception(0.5)  # It has come to a standstill.
            assert cli.insist() in (0, -signal.SIGINT)
        os.close(read)


def test_a_slow_reader_is_not_held_to_the_close_timeout():
    """That is the server's.  What was received before Ctrl-C is written after the close, too."""
    with PlainServer(greeting=["g" * 200000]) as server:
        read, write = os.pipe()
        with Cli(*PLAIN, "--close-timeout", "100ms", server.url, stdout=write, wrap=[]) as cli:
            os.close(write)
            shown = os.read(read, 1)  # It has come.
            cli.signal(signal.SIGINT)
            cli.wait_err("Disconnected")
            time.sleep(0.5)  # Slow: longer than the close may take.
            while len(shown) < 200001 and (piece := os.read(read, 65536)):
                shown += piece
            assert shown == b"g" * 200000 + b"\n"
            assert cli.wait() == 0
        os.close(read)


def test_stdout_is_left_as_it_was():
    """O_NONBLOCK belongs to everybody who shares the pipe, our own stderr included."""
    read, write = os.pipe()
    with PlainServer(greeting=["one"]) as server:
        process = subprocess.Popen([*WRAP, WSTICKET, *PLAIN, server.url], stdout=write,
                                   stderr=write, stdin=subprocess.DEVNULL, env=environment())
        try:
            seen = b""
            while b"one\n" not in seen:
                seen += os.read(read, 4096)
            assert os.get_blocking(write)
            # The two keep their order when they share a pipe.
            assert seen.index(b"Connected") < seen.index(b"one\n")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
    os.close(read)
    os.close(write)


@pytest.mark.quick
def test_echo_sends_each_message_back_with_its_own_type():
    messages = ["text", b"binary", "", b"", "ü" * 1000, b"\x00" * 70000]
    with PlainServer(echo=False, greeting=messages) as server, \
            Cli(*PLAIN, "--echo", "--once", server.url, stdin=subprocess.DEVNULL) as cli:
        eventually(lambda: len(server.received) == len(messages), "all echoes")
        assert server.received == messages
        server.close(1000)
        assert cli.wait() == 0


def test_echo_of_a_large_message():
    big = b"x" * (16 << 20)
    with PlainServer(echo=False, greeting=[big, big, "end"]) as server, \
            Cli(*PLAIN, "--echo", server.url, stdin=subprocess.DEVNULL) as cli:
        eventually(lambda: len(server.received) == 3, "all echoes", 60)
        assert server.received == [big, big, "end"]
        assert cli.stop() == 0
