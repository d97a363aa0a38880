"""stdin of wsticket: files, pipes and terminals; nothing is lost, nothing is read too early."""

import os
import pty
import signal
import socket
import subprocess
import time
import zlib

import pytest

from cli import PATIENCE, WRAP, WSTICKET, Cli, eventually, run
from plainserver import PlainServer
from rawserver import BINARY, CLOSE, FIN, RSV1, TEXT, frame, frames, upgraded

PLAIN = ["connect", "--no-ticket", "--base-delay", "20ms", "--cap", "100ms"]


@pytest.fixture
def server():
    with PlainServer() as running:
        yield running


@pytest.mark.quick
def test_lines_of_a_pipe(server):
    with Cli(*PLAIN, server.url) as cli:
        cli.wait_open()
        cli.send("one\n\ntwo words\n")
        cli.wait_out("two words")
        assert cli.out == ["one", "", "two words"]
        assert server.received == ["one", "", "two words"]
        assert cli.stop() == 0


@pytest.mark.quick
def test_a_file_and_its_last_line_without_a_line_feed(server, tmp_path):
    path = tmp_path / "lines"
    path.write_text("first\nlast")
    with open(path, "rb") as lines, Cli(*PLAIN, "--close-on-eof", server.url, stdin=lines) as cli:
        assert cli.wait() == 0
    eventually(lambda: server.received == ["first", "last"], "both lines")


def test_two_hundred_thousand_lines_in_order(server, tmp_path):
    """More than the queue's low-water mark and than any buffer on the way."""
    wanted = [f"line {i} " + "x" * (i % 97) for i in range(200000)]
    path = tmp_path / "lines"
    path.write_text("\n".join(wanted) + "\n")
    server.echo = False
    with open(path, "rb") as lines, Cli(*PLAIN, "--close-on-eof", server.url, stdin=lines) as cli:
        assert cli.wait(120) == 0
    eventually(lambda: len(server.received) >= len(wanted), "all lines")
    assert server.received == wanted


def test_stdin_stays_unread_while_the_server_does_not_read(server):
    """What the queue cannot take stays with the writer: our memory is bounded."""
    server.reading(False)
    with Cli(*PLAIN, "--max-queue", "256k", "--ping-interval", "0", server.url) as cli:
        cli.wait_open()
        os.set_blocking(cli.process.stdin.fileno(), False)
        line = b"y" * 1023 + b"\n"
        written = 0
        stuck = 0
        while stuck < 50 and written < 64 << 20:
            try:
                written += os.write(cli.process.stdin.fileno(), line)
                stuck = 0
            except BlockingIOError:
                stuck += 1
                time.sleep(0.02)
        # Our queue, and what the kernel and the server's library hold; far from all of it.
        assert written < 32 << 20
        server.echo = False
        server.reading(True)
        eventually(lambda: sum(map(len, server.received)) >= written // 1024 * 1023, "the rest")
        assert set(server.received) == {line[:-1].decode()}
        assert cli.stop() == 0


@pytest.mark.quick
def test_lines_written_before_it_is_open_are_not_lost():
    with PlainServer() as first:
        port = first.port
    # Nobody listens now; the lines wait in the pipe.
    with Cli(*PLAIN, f"ws://127.0.0.1:{port}/") as cli:
        cli.send("early\n")
        cli.wait_err("Failed to connect")
        cli.send("bird\n")
        cli.wait_err("Failed to connect", 2)
        with PlainServer(port=port) as server:
            cli.wait_out("bird")
            assert server.received == ["early", "bird"]
            assert cli.stop() == 0


@pytest.mark.quick
def test_lines_written_between_two_connections_are_not_lost():
    with PlainServer() as first, Cli(*PLAIN, first.url) as cli:
        cli.wait_open()
        port = first.port
        first.stop()
        cli.wait_err("Failed to connect")
        cli.send("between\n")
        with PlainServer(port=port) as second:
            cli.wait_out("between")
            assert second.received == ["between"]
            assert cli.stop() == 0


@pytest.mark.quick
def test_the_end_of_stdin_is_not_the_end(server):
    with Cli(*PLAIN, server.url, stdin=subprocess.DEVNULL) as cli:
        cli.wait_open()
        server.send("still here").result(10)
        cli.wait_out("still here")
        assert cli.process.poll() is None
        assert cli.stop() == 0


@pytest.mark.quick
def test_close_on_eof(server):
    with Cli(*PLAIN, "--close-on-eof", server.url) as cli:
        cli.wait_open()
        cli.send("last words\n")
        cli.end_stdin()
        assert cli.wait() == 0
        eventually(lambda: server.received == ["last words"], "them")
        assert cli.err[-1] == "[WS] Disconnected { code: 1000, reason: '', wasClean: true }"


def test_closed_stdin(server):
    done = subprocess.run(["/bin/sh", "-c", '"$@" <&-', "sh", *WRAP, WSTICKET, *PLAIN,
                           "--close-on-eof", server.url],
                          capture_output=True, timeout=PATIENCE, text=True)
    assert done.returncode == 0
    assert "Connected" in done.stderr


def test_a_directory_as_stdin(server):
    fd = os.open("/", os.O_RDONLY)
    try:
        with Cli(*PLAIN, "--close-on-eof", server.url, stdin=fd) as cli:
            assert cli.wait() == 1
            assert any("stdin cannot be read: illegal operation on a directory" in line
                       for line in cli.err)
    finally:
        os.close(fd)


@pytest.mark.quick
def test_lines_that_cannot_be_sent(server):
    with Cli(*PLAIN, "--max-queue", "4k", server.url) as cli:
        cli.wait_open()
        cli.send(b"good\n\xff\xfe\n" + b"z" * 5000 + b"\nafter\n")
        cli.wait_out("after")
        assert server.received == ["good", "after"]
        cli.wait_err(r"^\[WS\] Line 2 of stdin was not sent: a text message must be valid UTF-8$")
        cli.wait_err(r"^\[WS\] Line 3 of stdin was not sent: longer than \d+ bytes")
        assert cli.stop() == 0


@pytest.mark.quick
@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"z" * 5000 + b"\n"])
def test_a_script_sees_that_a_line_was_not_sent(server, line):
    with Cli(*PLAIN, "--max-queue", "4k", "--close-on-eof", "--quiet", server.url) as cli:
        cli.send(line + b"after\n")
        cli.end_stdin()
        assert cli.wait() == 1
        assert server.received == ["after"]
        assert len(cli.err) == 1
        assert cli.err[0].startswith("[WS] Line 1 of stdin was not sent: ")


def test_an_endless_line_is_not_collected(server):
    with Cli(*PLAIN, "--max-queue", "64k", server.url) as cli:
        cli.wait_open()
        for _ in range(64):
            cli.send(b"e" * 65536)
        cli.send(b"\nshort\n")
        cli.wait_out("short")
        assert server.received == ["short"]
        cli.wait_err("Line 1 of stdin was not sent")
        with open(f"/proc/{cli.process.pid}/status", encoding="ascii") as status:
            peak = next(line for line in status if line.startswith("VmHWM"))
        assert int(peak.split()[1]) < 200000
        assert cli.stop() == 0
        assert sum("was not sent" in line for line in cli.err) == 1


@pytest.mark.quick
def test_binary_lines(server):
    with Cli(*PLAIN, "--binary", server.url) as cli:
        cli.wait_open()
        cli.send(b"\x00\xff\x80\n")
        cli.until(lambda c: c.raw["out"] == b"\x00\xff\x80", "the raw echo")
        assert server.received == [b"\x00\xff\x80"]
        assert cli.stop() == 0


@pytest.mark.quick
@pytest.mark.parametrize("how, opcode", [([], TEXT), (["--binary"], BINARY)],
                         ids=["text", "binary"])
def test_large_lines_are_compressed(tmp_path, how, opcode):
    """Below 1 KiB they are sent as they are."""
    lines = [b"short", b"long " * 20000, b"s" * 1023, b"l" * 1024]
    path = tmp_path / "lines"
    path.write_bytes(b"\n".join(lines))
    window = zlib.decompressobj(wbits=-15)
    heard = []
    with open(path, "rb") as stdin, socket.create_server(("127.0.0.1", 0)) as listener, \
            Cli(*PLAIN, "--compress", "--close-on-eof", "--once", *how,
                f"ws://127.0.0.1:{listener.getsockname()[1]}/", stdin=stdin) as cli, \
            upgraded(listener, "permessage-deflate") as link:
        for first, payload in frames(link):
            if first == FIN | CLOSE:
                link.sendall(frame(CLOSE, payload))
                link.shutdown(socket.SHUT_WR)
                continue
            heard.append((hex(first), window.decompress(payload + b"\0\0\xff\xff")
                          if first & RSV1 else payload, len(payload)))
        assert cli.wait() == 0
    assert [(first, line) for first, line, _ in heard] == [
        (hex(FIN | opcode | (RSV1 if len(line) >= 1024 else 0)), line) for line in lines]
    assert heard[1][2] < len(lines[1]) // 10


@pytest.mark.quick
def test_a_terminal_as_stdin(server):
    ours, theirs = pty.openpty()
    try:
        with Cli(*PLAIN, server.url, stdin=theirs) as cli:
            cli.wait_open()
            os.write(ours, b"typed\n")
            cli.wait_out("typed")
            os.write(ours, b"\x04")  # Ctrl-D: the end of stdin, and no more.
            server.send("later").result(10)
            cli.wait_out("later")
            assert server.received == ["typed"]
            assert cli.stop() == 0
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_pipe_is_left_as_it_was(server):
    """O_NONBLOCK belongs to everybody who shares the pipe."""
    read, write = os.pipe()
    try:
        with Cli(*PLAIN, server.url, stdin=read) as cli:
            cli.wait_open()
            os.write(write, b"hello\n")
            cli.wait_out("hello")
            assert cli.stop() == 0
        assert os.get_blocking(read)
    finally:
        os.close(read)
        os.close(write)


def test_interrupted_with_input_waiting(server):
    """Input that cannot be sent does not hold up the end."""
    server.reading(False)
    with Cli(*PLAIN, "--max-queue", "64k", "--close-timeout", "300ms", server.url) as cli:
        cli.wait_open()
        os.set_blocking(cli.process.stdin.fileno(), False)
        try:
            for _ in range(1000):
                os.write(cli.process.stdin.fileno(), b"w" * 65535 + b"\n")
        except BlockingIOError:
            pass
        cli.signal(signal.SIGINT)
        cli.signal(signal.SIGTERM)
        assert cli.wait() == 0


def test_run_without_anything_to_say(server):
    done = run(*PLAIN, "--close-on-eof", server.url, stdin="")
    assert done.returncode == 0 and done.stdout == ""


@pytest.fixture
def blocked():
    """A stdin that is no stream, and whose read blocks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        yield theirs


# Not under valgrind, which takes the stack of the thread that is left blocked for a leak.
@pytest.mark.quick
@pytest.mark.parametrize("by", ["the server", "a signal", "a signal between two connections"])
def test_a_read_that_blocks_does_not_hold_up_the_end(server, blocked, by):
    between = by == "a signal between two connections"
    how = ["--once"] if by == "the server" else ["--base-delay", "60s", "--cap", "60s"]
    with Cli(*PLAIN, *how, server.url, stdin=blocked, wrap=[]) as cli:
        cli.wait_open()
        if by == "the server":
            server.close(1000)
        if between:
            server.drop()
            cli.wait_err("Reconnecting in")
        if how != ["--once"]:
            cli.signal(signal.SIGINT)
        assert cli.wait() == 0
        assert between or any("code: 1000" in line for line in cli.err)


def left_in_good_order(log):
    """The dynamic linker tells of exit(), and not of _exit()."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs, PlainServer() as server, \
            Cli(*PLAIN, "--once", server.url, stdin=theirs, wrap=[], LD_DEBUG="files",
                LD_DEBUG_OUTPUT=str(log)) as cli:
        cli.wait_open()
        server.close(1001)
        cli.wait_err("Disconnected")
        ours.send(b"")  # As the end of a file is read.
        assert cli.wait() == 0
        return "calling fini" in log.with_name(f"{log.name}.{cli.process.pid}").read_text()


def test_a_read_that_is_about_to_end_is_waited_for(tmp_path):
    """One of a few tries: on a busy machine what ends it may be later than its second."""
    assert any(left_in_good_order(tmp_path / f"log{n}") for n in range(5))


def test_a_read_is_given_a_second_and_a_signal_meanwhile_is_no_failure(server, blocked):
    for signals in (0, 1):
        with Cli(*PLAIN, "--once", server.url, stdin=blocked, wrap=[]) as cli:
            cli.wait_open()
            begin = time.monotonic()
            server.close(1000)
            cli.wait_err("Disconnected")
            if signals:
                assert cli.insist() == 0, "it had ended well"
            else:
                assert cli.wait() == 0
                assert time.monotonic() - begin > 0.95


def test_a_read_that_blocks_does_not_cut_off_the_output(blocked):
    """More than a pipe takes is written to its end, and then the program leaves."""
    read, write = os.pipe()
    with PlainServer(greeting=["g" * 200000]) as server, \
            Cli(*PLAIN, "--once", server.url, stdin=blocked, stdout=write, wrap=[]) as cli:
        os.close(write)
        cli.wait_open()
        server.close(1000)
        cli.wait_err("Disconnected")
        shown = b""
        while len(shown) < 200001 and (piece := os.read(read, 65536)):
            shown += piece
        assert shown == b"g" * 200000 + b"\n"
        assert cli.wait() == 0
    os.close(read)


OFFLINE = [*PLAIN, "--offline-messages", "3"]


@pytest.fixture
def free_port():
    """Of a server that is not there yet."""
    with PlainServer() as server:
        return server.port


@pytest.mark.quick
def test_lines_wait_for_the_connection(free_port):
    with Cli(*OFFLINE, f"ws://127.0.0.1:{free_port}/") as cli:
        cli.send("one\ntwo\nthree\nfour\n")  # The fourth stays with us until there is room.
        cli.wait_err(r"^\[WS\] Reconnecting")
        with PlainServer(port=free_port) as server:
            cli.wait_out("four")
            assert server.received == cli.out == ["one", "two", "three", "four"]
            assert cli.stop() == 0


def test_the_end_of_stdin_waits_for_the_connection_too(free_port, tmp_path):
    path = tmp_path / "lines"
    path.write_text("first\nlast")
    with open(path, "rb") as lines, Cli(*OFFLINE, "--close-on-eof",
                                        f"ws://127.0.0.1:{free_port}/", stdin=lines) as cli:
        cli.wait_err(r"^\[WS\] Reconnecting")
        with PlainServer(port=free_port) as server:
            assert cli.wait() == 0
            eventually(lambda: server.received == ["first", "last"], "both lines")


def test_lines_that_are_too_old(free_port):
    with Cli(*OFFLINE, "--offline-age", "100ms", f"ws://127.0.0.1:{free_port}/") as cli:
        cli.send("one\ntwo\nthree\nfour\n")
        cli.wait_err("was not sent", 4)
        assert [line for line in cli.err if "was not sent" in line] == [
            f"[WS] A message of {n} bytes was not sent: it waited for too long to be sent"
            for n in (3, 3, 5, 4)]
        assert cli.stop() == 3
