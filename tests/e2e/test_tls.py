"""
Certificates that must not be accepted, in each of the three steps; and those that must.  What is
wrong is named, and with --once the exit status is 4.
"""

import json

import pytest

from ca import Ca, pin
from cli import Cli, run
from daemon import CachingNginx
from wstserver import Server

STEPS = ["token", "ticket", "connect"]


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"), "Other CA")


def serve(certificate, *options):
    pem, key = certificate
    return Server("--open", "--cert", pem, "--key", key, *options)


@pytest.fixture(scope="module")
def good(ca):
    """A server that |ca| vouches for."""
    with serve(ca.issue("good")) as server:
        yield server


@pytest.fixture(scope="module")
def stranger(other_ca):
    """A server that |other_ca| vouches for."""
    with serve(other_ca.issue("stranger")) as server:
        yield server


def local(server, host="localhost"):
    return f"https://{host}:{server.port}"


def only(step, good_server, bad_server, host="localhost"):
    """Options that send one step to the bad server and the others to the good one."""
    urls = {"token": "/api/v1/auth/token", "ticket": "/api/v1/ws-ticket", "connect": "/ws"}
    option = {"token": "--token-url", "ticket": "--ticket-url", "connect": "--ws-url"}[step]
    scheme = "wss" if step == "connect" else "https"
    return [option, f"{scheme}://{host}:{bad_server.port}{urls[step]}", local(good_server)]


def the_failure(done):
    """The one attempt that failed, of what --json --once wrote."""
    (failed,) = [event for event in map(json.loads, done.stdout.splitlines())
                 if event["event"] == "attempt_failed"]
    return failed


def refused(step, *args, **env):
    """
    One attempt that must end with the certificate of that step (None: of the first one that was
    looked at); its cause.
    """
    done = run("connect", "--json", "--once", *args, **env)
    cause = the_failure(done)["cause"]
    assert (cause["code"], cause["class"]) == ("TLS_VERIFY", "transient")
    assert step in (None, cause["step"])
    assert done.returncode == 4
    return cause


def opens(*args, **env):
    with Cli("connect", "--json", *args, **env) as cli:
        cli.wait_event("open")
        assert cli.stop() == 0


def test_a_private_ca(good, ca):
    opens("--ca-file", ca.pem, local(good))
    opens("--ca-file", ca.pem, local(good, "127.0.0.1"))
    with open(ca.pem, encoding="ascii") as pem:
        opens("--ca-pem", pem.read(), local(good))


@pytest.mark.parametrize("step", STEPS)
def test_expired(ca, good, step):
    with serve(ca.issue("expired", days=-1)) as bad:
        cause = refused(step, "--ca-file", ca.pem, *only(step, good, bad))
    assert "expired" in cause["text"] and cause["tls_verify"] == 10
    assert "localhost" in cause["text"]


@pytest.mark.parametrize("step", STEPS)
def test_wrong_name(ca, good, step):
    with serve(ca.issue("elsewhere", san="DNS:elsewhere.example")) as bad:
        cause = refused(step, "--ca-file", ca.pem, *only(step, good, bad))
    assert "localhost" in cause["text"] and "name" in cause["text"]


@pytest.mark.parametrize("step", STEPS)
def test_an_address_that_the_certificate_does_not_have(ca, good, step):
    with serve(ca.issue("names", san="DNS:localhost")) as bad:
        cause = refused(step, "--ca-file", ca.pem, *only(step, good, bad, "127.0.0.1"))
    assert "127.0.0.1" in cause["text"]


@pytest.mark.parametrize("step", STEPS)
def test_an_unknown_ca(ca, good, stranger, step):
    cause = refused(step, "--ca-file", ca.pem, *only(step, good, stranger))
    assert cause["tls_verify"] in (19, 20, 21)


def test_the_system_does_not_know_it(good):
    cause = refused(None, local(good))
    assert "--ca-file" in cause["text"] or "ca_file" in cause["text"]


@pytest.mark.parametrize("step", STEPS)
def test_a_private_ca_admits_no_ca_of_the_system(ca, other_ca, good, stranger, step):
    """The system trusts |other_ca|; who names a CA file trusts that one only."""
    opens(local(stranger), SSL_CERT_FILE=other_ca.pem)
    refused(step, "--ca-file", ca.pem, *only(step, good, stranger), SSL_CERT_FILE=other_ca.pem)


@pytest.mark.parametrize("step", STEPS)
def test_a_wrong_pin(ca, good, step):
    with serve(ca.issue("pinned")) as other:
        pem, _ = ca.issue("unused")
        opens("--ca-file", ca.pem, "--pinned-key", pin(f"{ca.dir}/pinned.pem"), local(other))
        both = f"{pin(f'{ca.dir}/good.pem')};{pin(pem)}"
        cause = refused(step, "--ca-file", ca.pem, "--pinned-key", both, *only(step, good, other))
    assert "pinned" in cause["text"]


def test_a_pin_does_not_replace_the_ca(good, ca):
    refused(None, "--pinned-key", pin(f"{ca.dir}/good.pem"), local(good))


def test_insecure_takes_anything(ca):
    with serve(ca.issue("worst", san="DNS:elsewhere.example", days=-1)) as bad:
        opens("--insecure", local(bad))


def test_attempts_used_up(good):
    done = run("connect", "--max-attempts", "2", "--base-delay", "50ms", local(good))
    assert done.returncode == 4
    assert "certificate" in done.stderr


def test_it_heals(ca, good, tmp_path):
    """A wrong certificate is no reason to give up: clocks and captive portals heal."""
    expired = serve(ca.issue("healing", days=-1))
    with expired:
        with Cli("connect", "--json", "--ca-file", ca.pem, "--base-delay", "50ms", "--cap", "100ms",
                 local(expired)) as cli:
            cli.wait_event("attempt_failed", 2)
            pem, key = ca.issue("healed")
            expired.args = ["--open", "--cert", pem, "--key", key]
            expired.restart()
            cli.wait_event("open")
            assert cli.stop() == 0


@pytest.mark.parametrize("step", STEPS)
def test_another_protocol_is_chosen(ca, good, step):
    """The server insists on h2, which we did not offer."""
    with serve(ca.issue("alpn"), "--alpn", "h2") as bad:
        done = run("connect", "--json", "--once", "--ca-file", ca.pem, *only(step, good, bad))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (failed,) = [e for e in events if e["event"] == "attempt_failed"]
    assert failed["cause"]["step"] == step and done.returncode == 3


def test_plain_text_where_tls_is_expected(ca):
    with CachingNginx(upstream=1) as plain:
        done = run("connect", "--json", "--once", "--ca-file", ca.pem, local(plain))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (failed,) = [e for e in events if e["event"] == "attempt_failed"]
    assert failed["cause"]["code"] == "TLS" and done.returncode == 3


# ---- Certificates of our own --------------------------------------------------------------------

def test_a_key_that_does_not_fit(ca, good):
    pem, _ = ca.issue("mine")
    _, key = ca.issue("yours")
    done = run("connect", "--once", "--ca-file", ca.pem, "--client-cert", pem, "--client-key", key,
               local(good))
    assert done.returncode in (1, 2)
    assert "--client-key" in done.stderr or "--client-cert" in done.stderr


@pytest.mark.parametrize("option", ["--ca-file", "--client-cert", "--client-key"])
def test_a_file_that_is_no_pem(ca, good, tmp_path, option):
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    pem, key = ca.issue("fine")
    options = {"--ca-file": ca.pem, "--client-cert": pem, "--client-key": key}
    options[option] = str(nonsense)
    words = [word for pair in options.items() for word in pair]
    done = run("connect", "--once", *words, local(good))
    assert done.returncode in (1, 2)
    assert option in done.stderr and "nonsense.pem" in done.stderr


@pytest.mark.parametrize("value", ["sha256//nonsense", "md5//abc", "sha256//", ""])
def test_a_pin_that_is_none(good, value):
    done = run("connect", "--once", "--pinned-key", value, local(good))
    assert done.returncode == 1
    assert "--pinned-key" in done.stderr


@pytest.mark.parametrize("option", ["--ca-file", "--ca-dir", "--ca-pem", "--client-cert"])
def test_an_empty_option_is_not_the_default(good, ca, option):
    """As when a shell's variable is not set: it must not fall back to the system's CAs."""
    done = run("connect", "--once", option, "", local(good), SSL_CERT_FILE=ca.pem)
    assert done.returncode in (1, 2)
    assert option in done.stderr


@pytest.mark.parametrize("args,text", [([], "; does it want TLS (https)?"),
                                       (["--no-ticket"], "; does it want TLS (wss)?")])
def test_plain_http_to_a_tls_port(good, args, text):
    done = run("connect", "--json", "--once", *args, f"http://localhost:{good.port}")
    failed = the_failure(done)
    assert failed["cause"]["text"].endswith(text), failed


def test_tls_to_a_plain_port():
    """libwebsockets waits for the rest of what it takes for a request."""
    with Server("--open") as server:
        done = run("connect", "--json", "--once", "--step-timeout", "300ms",
                   f"https://localhost:{server.port}")
    failed = the_failure(done)
    assert "is it a TLS port?" in failed["other"]["text"], failed


def test_a_wrong_path_is_named(good, ca):
    done = run("connect", "--json", "--once", "--ca-file", ca.pem, "--ws-url",
               f"wss://localhost:{good.port}/nothing", local(good))
    failed = the_failure(done)
    assert failed["cause"]["text"].endswith("status 404; check ws_url"), failed
    assert done.returncode == 2
