"""wsticket on a terminal: colour, NO_COLOR, the live countdown."""

import os
import pty
import re
import select
import signal
import socket
import time

import pytest

from cli import PATIENCE, WRAP, WSTICKET, Cli, environment, run
from plainserver import PlainServer

PLAIN = ["connect", "--no-ticket"]
ESCAPE = "\x1b["


class Terminal:
    """The other end of a pseudo-terminal, and all that was written there."""

    def __enter__(self):
        self.ours, self.theirs = pty.openpty()
        self.text = ""
        return self

    def __exit__(self, *_):
        os.close(self.ours)
        os.close(self.theirs)

    def wait(self, pattern):
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            ready, _, _ = select.select([self.ours], [], [], max(0, end - time.monotonic()))
            assert ready, f"waited for {pattern!r}, saw {self.text!r}"
            self.text += os.read(self.ours, 65536).decode()
        return self.text

    def screen(self):
        """What a person sees at the end: ESC [K erases what stands on the line."""
        lines = []
        for line in self.text.split("\n"):
            shown = ""
            for piece in re.split(r"(\r|\x1b\[K|\x1b\[\d+m)", line):
                if piece == "\x1b[K":
                    shown = ""
                elif not piece.startswith("\x1b") and piece != "\r":
                    shown += piece
            lines.append(shown)
        return lines


@pytest.fixture
def nobody():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{s.getsockname()[1]}/"


@pytest.mark.quick
def test_colour_on_a_terminal():
    with Terminal() as term, PlainServer() as server, \
            Cli(*PLAIN, server.url, stderr=term.theirs, TERM="xterm") as cli:
        term.wait("Connected ✅")
        assert "\x1b[32m[WS] Connected ✅\x1b[0m" in term.wait("\x1b\\[0m\r\n")
        assert cli.stop() == 0


@pytest.mark.quick
@pytest.mark.parametrize("env", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"},
                                 {"TERM": None}])
def test_no_colour(env):
    with Terminal() as term, PlainServer() as server, \
            Cli(*PLAIN, server.url, stderr=term.theirs, **env) as cli:
        term.wait("Connected ✅\r\n")
        assert ESCAPE not in term.text
        assert cli.stop() == 0


def test_an_empty_no_color_does_not_count():
    with Terminal() as term, PlainServer() as server, \
            Cli(*PLAIN, server.url, stderr=term.theirs, TERM="xterm", NO_COLOR="") as cli:
        term.wait("\x1b\\[32m")
        assert cli.stop() == 0


@pytest.mark.quick
def test_no_colour_in_a_pipe(nobody):
    done = run(*PLAIN, "--once", nobody, TERM="xterm")
    assert ESCAPE not in done.stderr and "\r" not in done.stderr


@pytest.mark.quick
def test_the_countdown_counts_and_is_erased(nobody):
    with Terminal() as term, \
            Cli(*PLAIN, "--base-delay", "1500ms", "--jitter", "0", "--max-attempts", "2", nobody,
                stderr=term.theirs, TERM="xterm", NO_COLOR="1") as cli:
        assert cli.wait() == 3
        term.wait("Giving up")
        left = [float(x) for x in re.findall(r"next attempt in (\d\.\d) s", term.text)]
        assert left == sorted(left, reverse=True) and len(set(left)) >= 8
        assert left[0] <= 1.5 and left[-1] <= 0.3
        # Without colour it is still drawn and erased: that is no colour.
        assert "\x1b[3" not in term.text
        assert not any(re.search(r"next attempt in \d+\.\d s", line) for line in term.screen())


def test_the_countdown_is_erased_by_an_interrupt(nobody):
    with Terminal() as term, \
            Cli(*PLAIN, "--base-delay", "60s", "--cap", "60s", nobody, stderr=term.theirs,
                TERM="xterm") as cli:
        term.wait(r"next attempt in \d+\.\d s")
        cli.signal(signal.SIGINT)
        assert cli.wait() == 3
        term.wait(r"\r\x1b\[K\S+\[WS\] Interrupted before it was open\S+\r\n$")


def test_the_countdown_goes_on_below_a_line(nobody):
    with Terminal() as term, \
            Cli(*PLAIN, "--base-delay", "60s", "--cap", "60s", "--offline-messages", "1",
                "--offline-age", "1ms", nobody, stderr=term.theirs, TERM="xterm") as cli:
        term.wait(r"next attempt in \d+\.\d s")
        cli.send("a line\n")
        term.wait(r"(?s)was not sent.*next attempt in \d+\.\d s")
        assert sum("next attempt in" in line for line in term.screen()) == 2, "the cause, and it"
        cli.signal(signal.SIGINT)
        assert cli.wait() == 3
        term.wait(r"\r\x1b\[K\S+\[WS\] Interrupted before it was open\S+\r\n$")


def test_quiet_draws_no_countdown(nobody):
    with Terminal() as term, \
            Cli(*PLAIN, "--base-delay", "300ms", "--max-attempts", "2", "--quiet", nobody,
                stderr=term.theirs, TERM="xterm") as cli:
        assert cli.wait() == 3
        term.wait("Giving up")
        assert "next attempt" not in term.text


@pytest.mark.quick
def test_a_terminal_that_nobody_reads_does_not_hold_up_the_loop():
    """It takes a few bytes more and more slowly than a pipe; pings are answered meanwhile."""
    wanted = [f"{i} " + "x" * 1000 for i in range(200)]
    with Terminal() as term, PlainServer() as server, \
            Cli(*PLAIN, server.url, stdout=term.theirs) as cli:
        cli.wait_open()
        server.send(*wanted).result(PATIENCE)
        server.ping().result(PATIENCE)  # It comes after the messages.
        assert os.get_blocking(term.theirs), "the terminal is not ours alone"
        assert term.wait("199 x{1000}\r\n").split("\r\n") == [*wanted, ""]
        assert cli.stop() == 0


@pytest.mark.quick
def test_both_outputs_on_one_terminal_keep_their_order():
    with Terminal() as term, PlainServer(greeting=["one", "two"]) as server, \
            Cli(*PLAIN, server.url, stdout=term.theirs, stderr=term.theirs,
                TERM="dumb") as cli:
        assert "Connected ✅\r\none\r\ntwo\r\n" in term.wait("two\r\n")
        assert cli.stop() == 0


def test_the_other_end_of_a_terminal():
    """It is a terminal, too, but opening it anew makes another one: the pool writes."""
    with Terminal() as term, PlainServer(greeting=["one"]) as server, \
            Cli(*PLAIN, server.url, stdout=term.ours) as cli:
        ready, _, _ = select.select([term.theirs], [], [], PATIENCE)
        assert ready and os.read(term.theirs, 100) == b"one\n"
        assert cli.stop() == 0


def test_ctrl_c_on_the_terminal_itself():
    """The terminal sends SIGINT to the foreground process group, stdin is that terminal."""
    with PlainServer() as server:
        pid, ours = pty.fork()
        if pid == 0:
            command = [*WRAP, WSTICKET, *PLAIN, server.url]
            os.execvpe(command[0], command, environment(TERM="xterm"))
        seen = b""
        while b"Connected" not in seen:
            seen += os.read(ours, 4096)
        os.write(ours, b"typed\n")
        while seen.count(b"typed") < 2:  # The terminal's echo, and the server's.
            seen += os.read(ours, 4096)
        os.write(ours, b"\x03")
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # The other end is gone.
                break
            if not piece:
                break
            seen += piece
        _, status = os.waitpid(pid, 0)
        os.close(ours)
        assert os.waitstatus_to_exitcode(status) == 0
        assert b"code: 1000" in seen
        assert server.received == ["typed"]
