"""How wsticket ends: exit statuses, signals, --once."""

import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from cli import FAR, Cli, run
from plainserver import PlainServer
from rawserver import CLOSE, answer_close, frame, upgraded
from wstserver import Server

PLAIN = ["connect", "--no-ticket", "--base-delay", "20ms", "--cap", "100ms"]


@pytest.fixture
def nobody():
    """The URL of a port on which nobody listens, held so that nobody else takes it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{s.getsockname()[1]}/"


@pytest.fixture
def silent():
    """The URL of a server that accepts and never says a word."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield f"ws://127.0.0.1:{s.getsockname()[1]}/"


@pytest.mark.quick
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_in_good_order(number):
    with PlainServer() as server, Cli(*PLAIN, server.url) as cli:
        cli.wait_open()
        cli.signal(number)
        assert cli.wait() == 0
        assert cli.err[-1] == "[WS] Disconnected { code: 1000, reason: '', wasClean: true }"


@pytest.mark.quick
def test_interrupted_before_it_was_open(silent):
    with Cli(*PLAIN, "--step-timeout", FAR, "--attempt-timeout", FAR, silent) as cli:
        cli.wait_err("Step 3/3|Connecting")
        cli.signal(signal.SIGINT)
        assert cli.wait() == 3
        assert cli.err[-1] == "[WS] Interrupted before it was open"


@pytest.mark.quick
def test_interrupted_while_it_waits(nobody):
    with Cli("connect", "--no-ticket", "--base-delay", "60s", "--cap", "60s", nobody) as cli:
        cli.wait_err("Reconnecting in")
        cli.signal(signal.SIGTERM)
        assert cli.wait() == 3
        assert cli.err[-1] == "[WS] Interrupted before it was open"


@pytest.mark.quick
def test_interrupted_while_it_waits_after_it_was_open():
    with PlainServer() as server, Cli("connect", "--no-ticket", "--base-delay", "60s", "--cap",
                                      "60s", server.url) as cli:
        cli.wait_open()
        server.drop()
        cli.wait_err("Reconnecting in")
        cli.signal(signal.SIGINT)
        assert cli.wait() == 0, "it was open, and ended as asked"


def test_a_server_that_does_not_answer_the_close(deaf):
    with Cli(*PLAIN, "--ping-interval", "0", deaf) as cli:
        cli.wait_open()
        start = time.monotonic()
        cli.signal(signal.SIGINT)
        assert cli.wait() == 0
        assert time.monotonic() - start > 4.9, "close_timeout_ms, and not for ever"


@pytest.mark.quick
def test_a_second_signal_does_not_wait(deaf):
    with Cli(*PLAIN, "--ping-interval", "0", "--close-timeout", FAR, deaf) as cli:
        cli.wait_open()
        cli.signal(signal.SIGINT)
        time.sleep(0.2)  # So that the next is another signal and not the same.
        assert cli.process.poll() is None, "the first one waits for the answer"
        assert cli.insist() == 0


@pytest.mark.quick
def test_a_signal_that_comes_twice_at_once_is_one():
    """timeout(1) sends it to its child, then to the group that the child is in."""
    with PlainServer() as server, Cli(*PLAIN, server.url) as cli:
        cli.wait_open()
        for _ in range(20):
            cli.signal(signal.SIGTERM)
        assert cli.wait() == 0
        assert cli.err[-1] == "[WS] Disconnected { code: 1000, reason: '', wasClean: true }"


@pytest.fixture
def deaf():
    """A WebSocket server that upgrades and then reads nothing any more."""
    with PlainServer() as server:
        server.reading(False)
        with Relay(server.port) as relay:
            yield f"ws://127.0.0.1:{relay.port}/"


class Relay:
    """Passes the upgrade on, then keeps what the client sends to itself."""

    def __init__(self, port):
        self.to = port

    def __enter__(self):
        import threading
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def serve(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        with client, socket.create_connection(("127.0.0.1", self.to)) as server:
            server.sendall(client.recv(65536))
            client.sendall(server.recv(65536))
            while client.recv(65536):
                pass

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(20)


@pytest.mark.quick
@pytest.mark.parametrize("code,status", [(1000, 0), (1001, 0), (1011, 3), (4000, 3), (4401, 2),
                                         (1002, 3)])
def test_once_ends_with_the_connection(code, status):
    with PlainServer() as server, \
            Cli(*PLAIN, "--once", server.url, stdin=subprocess.DEVNULL) as cli:
        cli.wait_open()
        server.close(code, "bye")
        assert cli.wait() == status
        assert server.opened == 1
        assert not any("Reconnecting" in line for line in cli.err)
        assert f"[WS] Disconnected {{ code: {code}, reason: 'bye', wasClean: true }}" in cli.err
        assert any("Giving up" in line for line in cli.err) == (status != 0)


def test_once_after_a_stable_link():
    """A link that was stable would be followed by another one, but for --once."""
    with PlainServer() as server, \
            Cli(*PLAIN, "--once", "--stable", "10ms", server.url) as cli:
        cli.wait_open()
        time.sleep(0.3)  # Longer than --stable.
        server.drop()
        assert cli.wait() == 3
        assert server.opened == 1
        assert cli.err[-1] == "[WS] Giving up: the connection was lost (--once)"


@pytest.mark.parametrize("tls", [False, True])
def test_ends_after_connections_that_were_refused(tls):
    """libcurl 7.88 closes their sockets silently; they must not keep the loop alive."""
    with Server(tls=tls) as server:
        ca = ["--ca-file", server.ca_file] if tls else []
        with Cli("connect", *ca, "--step-timeout", FAR, "--attempt-timeout", FAR, "--base-delay",
                 "20ms", "--cap", "100ms", server.url) as cli:
            cli.wait_open()
            server.kill()
            cli.wait_err("Failed to connect", 3)
            server.start()
            cli.wait_open(2)
            assert cli.stop() == 0


@pytest.mark.quick
def test_once_failed(nobody):
    done = run("connect", "--no-ticket", "--once", nobody)
    assert done.returncode == 3
    assert "[WS] Failed to connect (network error)" in done.stderr
    assert "Reconnecting" not in done.stderr
    assert "[WS] Giving up: 1 attempt was made" in done.stderr


def test_interface_is_named_as_given(nobody):
    done = run(*PLAIN, "--once", "--interface", "nope", nobody)
    assert done.returncode == 3
    assert done.stderr.count("--interface: nope cannot be used") == 2
    assert "if!" not in done.stderr


@pytest.mark.quick
def test_attempts_used_up(nobody):
    done = run(*PLAIN, "--max-attempts", "3", nobody)
    assert done.returncode == 3
    assert done.stderr.count("Failed to connect") == 3
    assert done.stderr.count("Reconnecting in") == 2
    assert "[WS] Giving up: " in done.stderr


@pytest.mark.quick
def test_quiet_tells_only_why_it_ends(nobody):
    done = run(*PLAIN, "--max-attempts", "2", "--quiet", nobody)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("[WS] Giving up: ")


def answer_close_with(listener, code):
    """Accepts one upgrade, and answers the client's close frame with |code|."""
    with upgraded(listener) as link, link.makefile("rb") as stream:
        assert stream.read(2) == b"\x88\x82"  # Close, masked, with a code.
        stream.read(6)
        link.sendall(frame(CLOSE, code.to_bytes(2, "big")))


def reset(link):
    """Ends a connection with a RST."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


@pytest.mark.parametrize("by,status", [("the end of stdin", 1), ("a signal, later", 0),
                                       ("a signal, before", 0)])
def test_a_line_that_was_taken_and_not_sent(by, status):
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            Cli(*PLAIN, "--close-on-eof",
                f"ws://127.0.0.1:{listener.getsockname()[1]}/") as cli:
        link = upgraded(listener)
        cli.send(b"a" * 12000000 + b"\n")  # More than the kernel takes.
        link.recv(1)
        if by == "a signal, before":
            cli.signal(signal.SIGINT)
            cli.signal(signal.SIGTERM)
            assert cli.wait() == status
            link.close()
            return
        reset(link)
        cli.wait_err(r"Not sent: 1 messages \(12000000 bytes\) that were queued")
        with upgraded(listener) as link:
            cli.wait_open(2)
            if by == "the end of stdin":
                cli.end_stdin()
            else:
                cli.signal(signal.SIGINT)
            answer_close(link)
            assert cli.wait() == status


@pytest.mark.quick
@pytest.mark.parametrize("code,status", [(4401, 2), (1000, 0)])
def test_a_refusal_that_crosses_our_close(code, status):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer_close_with, args=(listener, code))
        server.start()
        done = run(*PLAIN, "--once", "--close-on-eof",
                   f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        server.join()
    assert f"code: {code}" in done.stderr
    assert done.returncode == status
