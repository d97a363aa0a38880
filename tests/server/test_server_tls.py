"""TLS: the throw-away authority, given certificates, versions, resumption, ALPN."""

import os
import socket
import ssl
import stat
import subprocess

import pytest

from wire import TOKEN, echoes, get_ticket, get_token, request, trust
from wstserver import PATIENCE, Server, server_binary

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def server():
    with Server("--name", "app.example.test", "--name", "10.1.2.3", tls=True) as running:
        yield running


def dial(server, name="localhost", context=None):
    link = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    return (context or trust(server)).wrap_socket(link, server_hostname=name)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "app.example.test", "10.1.2.3"])
def test_names_of_the_certificate(server, name):
    with dial(server, name) as tls:
        names = {value for _, value in tls.getpeercert()["subjectAltName"]}
        assert {"localhost", "127.0.0.1", "app.example.test", "10.1.2.3"} <= names


def test_another_name_is_refused(server):
    with pytest.raises(ssl.SSLCertVerificationError, match="doesn't match|mismatch"):
        dial(server, "other.example.test")


def test_nobody_else_trusts_it(server):
    with pytest.raises(ssl.SSLCertVerificationError):
        dial(server, context=ssl.create_default_context())
    server.wait_log("[TLS] Handshake failed { reason: 'tlsv1 alert unknown ca' }")


def test_the_sequence_over_tls(server):
    assert echoes(server, get_ticket(server))


def test_openssl_verifies_the_chain(server):
    done = subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile",
                           server.ca_file, os.path.join(server.dir, "tls", "server.pem")],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr


def test_files_are_kept_and_private(server):
    folder = os.path.join(server.dir, "tls")
    assert sorted(os.listdir(folder)) == ["ca.pem", "server.key", "server.pem"]
    assert stat.S_IMODE(os.stat(os.path.join(folder, "server.key")).st_mode) == 0o600
    before = open(server.ca_file, "rb").read()
    server.restart()
    assert open(server.ca_file, "rb").read() == before
    assert request(server, "POST", TOKEN).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumption(server, version):
    context = trust(server)
    context.minimum_version = context.maximum_version = version
    with dial(server, context=context) as first:
        first.sendall(f"POST {TOKEN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert first.recv(1000).startswith(b"HTTP/1.1 200")
        session = first.session
        assert not first.session_reused
    link = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    with context.wrap_socket(link, server_hostname="localhost", session=session) as second:
        assert second.session_reused and second.version() == version.name.replace("_", ".")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_refused(server):
    context = trust(server)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        dial(server, context=context)


def test_alpn(server):
    context = trust(server)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with dial(server, context=context) as tls:
        assert tls.selected_alpn_protocol() == "http/1.1"
    context.set_alpn_protocols(["h2"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        dial(server, context=context)


def test_forced_alpn():
    with Server("--alpn", "wrong/1", tls=True) as server:
        got = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-alpn",
                              "http/1.1"], stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, timeout=PATIENCE, check=False)
        # Newer clients see through it, older ones report it.
        assert "ALPN protocol: http/1.1" not in got.stdout
        assert "ALPN protocol: wrong/1" in got.stdout or "alpn" in got.stderr.lower()


def test_given_certificate(tmp_path):
    cert, key = str(tmp_path / "c.pem"), str(tmp_path / "k.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "1",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True, timeout=PATIENCE)
    with Server("--cert", cert, "--key", key) as server:
        assert server.url.startswith("https://localhost:")
        server.ca_file = cert
        assert get_token(server)


def test_in_memory_with_ca_out(tmp_path):
    ca = str(tmp_path / "ca.pem")
    with Server("--tls-self-signed", "--ca-out", ca) as server:
        server.ca_file = ca
        assert get_token(server)
        assert server.stdout[1] == (
            f"trust it with: wsticket connect --ca-file {ca} https://localhost:{server.port}")
        assert sorted(os.listdir(tmp_path)) == ["ca.pem"]  # No key is ever written.


def test_temporary_ca_is_removed(tmp_path):
    with Server("--tls-self-signed", env={"TMPDIR": str(tmp_path)}) as server:
        server.ca_file = str(tmp_path / os.listdir(tmp_path)[0])
        assert f"--ca-file {server.ca_file} " in server.stdout[1]
        assert get_token(server)
        server.stop()
        assert os.listdir(tmp_path) == []


def fails(*args):
    done = subprocess.run([server_binary(), "--listen", "127.0.0.1:0", *args], capture_output=True,
                          text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1 and not done.stdout
    return done.stderr


def test_bad_files(tmp_path, server):
    bad = tmp_path / "bad.pem"
    bad.write_text("nonsense")
    folder = os.path.join(server.dir, "tls")
    good_cert, good_key = folder + "/server.pem", folder + "/server.key"
    assert "certificate" in fails("--cert", "/nonexistent", "--key", good_key)
    assert "certificate" in fails("--cert", str(bad), "--key", good_key)
    assert "private key" in fails("--cert", good_cert, "--key", str(bad))
    assert "private key" in fails("--cert", server.ca_file, "--key", good_key)
    assert "does not have every --name" in fails("--tls-dir", folder, "--name", "new.example")
    assert "certificate" in fails("--tls-self-signed", "--name", "a,IP:9.9.9.9")
    assert "cannot write" in fails("--tls-self-signed", "--ca-out", "/nonexistent/ca.pem")
    assert "directory" in fails("--tls-dir", "/nonexistent/dir/tls")
