"""
A name server that does not answer: the loop turns on, and a close does not wait for it.  In network
namespaces, with a resolv.conf of their own.
"""

import os
import subprocess

import pytest

from cli import BUILD, PATIENCE, WRAP, Cli, environment, soon
from netns import Cable, Namespace, needs_root
from wstserver import Server

TURNS = os.path.join(BUILD, "tests", "e2e", "turns")

pytestmark = needs_root


def resolving(prefix, directory, resolver, hosts="127.0.0.1 localhost\n"):
    """The words that run a program in a namespace, with this resolver and these hosts."""
    resolv = directory / "resolv.conf"
    resolv.write_text(f"nameserver {resolver}\noptions timeout:30 attempts:2\n")
    (directory / "hosts").write_text(hosts)
    script = (f"mount --bind {resolv} /etc/resolv.conf && mount --bind {directory}/hosts /etc/hosts"
              ' && exec "$@"')
    return [*prefix, "unshare", "--mount", "sh", "-c", script, "sh"]


@pytest.fixture
def stalled(tmp_path):
    """A namespace whose name server is a host that drops every packet."""
    with Cable() as cable:
        cable.set("server", "down")
        yield resolving(cable.client.prefix, tmp_path, cable.SERVER)


# The process ends while libcurl's thread still waits for the answer: what that thread owns is then
# reachable, and nobody's to free.
resolver_runs_on = pytest.mark.unwrapped


@resolver_runs_on
@pytest.mark.parametrize("hold_ms", [1000, 2500])
def test_the_loop_turns_on(stalled, hold_ms):
    done = subprocess.run([*stalled, TURNS, "http://stalled.example", str(hold_ms)],
                          capture_output=True, text=True, timeout=PATIENCE, env=environment())
    assert (done.returncode, done.stderr) == (0, "")
    ticks, gap_ms, close_ms, state = done.stdout.split()
    # The resolver gives up after 60 s: a loop that joined it would stand as long, and what remains
    # of the lookup would hold up the end of the process beyond our patience.
    assert state == "token" and int(ticks) >= hold_ms / 10 / 4
    assert int(gap_ms) < 5000 and int(close_ms) < 5000


@resolver_runs_on
def test_the_lookup_takes_too_long(stalled):
    """The deadline of the step ends it, with words that name the host's lookup or the time."""
    with Cli("connect", "--json", "--allow-plaintext", "--step-timeout", soon(300), "--base-delay",
             "50ms", "--cap", "50ms", "--max-attempts", "3", "http://stalled.example",
             wrapper=stalled) as cli:
        assert cli.wait() == 3
        causes = [e["cause"] for e in cli.events() if e["event"] == "attempt_failed"]
        assert [c["code"] for c in causes] == ["TIMEOUT"] * 3


@resolver_runs_on
def test_a_signal_during_the_lookup(stalled):
    with Cli("connect", "--json", "--allow-plaintext", "http://stalled.example",
             wrapper=stalled) as cli:
        cli.wait_event("attempt")
        assert cli.stop() == 3


def test_no_name_server_at_all(tmp_path):
    """Refused at once: an error that names the host, and another attempt."""
    with Namespace() as space, Cli(
            "connect", "--json", "--allow-plaintext", "--max-attempts", "2", "--base-delay", "50ms",
            "http://nowhere.example",
            wrapper=resolving(space.prefix, tmp_path, "127.0.0.1")) as cli:
        assert cli.wait() == 3
        causes = [e["cause"] for e in cli.events() if e["event"] == "attempt_failed"]
        assert [c["code"] for c in causes] == ["RESOLVE"] * 2
        assert "nowhere.example" in causes[0]["text"]


def test_the_second_address_of_a_host(tmp_path):
    """Nobody listens at the first, ::1: the next one is taken, in every step."""
    with Namespace() as space, Server(wrapper=[*space.prefix, *WRAP]) as server, Cli(
            "connect", "--json", "--allow-plaintext", f"http://two.example:{server.port}",
            wrapper=resolving(space.prefix, tmp_path, "127.0.0.1",
                              "::1 two.example\n127.0.0.1 two.example\n")) as cli:
        cli.wait_event("open")
        assert cli.stop() == 0
        assert not [e for e in cli.events() if e["event"] == "attempt_failed"]


def test_the_first_address_is_a_black_hole(tmp_path):
    """Happy eyeballs: the second address is tried beside it; the loser leaves nothing behind."""
    with Cable() as cable:
        cable.client.run("ip", "address", "add", "2001:db8::1/64", "dev", "cable", "nodad")
        cable.client.run("ip", "route", "add", "2001:db8:1::/64", "via", "2001:db8::2")
        cable.server.run("ip", "address", "add", "2001:db8::2/64", "dev", "cable", "nodad")
        cable.server.run("ip", "route", "add", "blackhole", "2001:db8:1::/64")
        cable.server.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        with Server(listen=f"{cable.SERVER}:0", wrapper=[*cable.server.prefix, *WRAP]) as server:
            hosts = f"2001:db8:1::5 two.example\n{cable.SERVER} two.example\n"
            with Cli("connect", "--json", "--allow-plaintext", "--base-delay", "50ms",
                     f"http://two.example:{server.port}",
                     wrapper=resolving(cable.client.prefix, tmp_path, cable.SERVER, hosts)) as cli:
                for i in range(1, 4):
                    cli.wait_event("open", i)
                    server.drop_all()
                cli.wait_event("open", 4)
                assert cli.stop() == 0
                assert not [e for e in cli.events() if e["event"] == "attempt_failed"]
