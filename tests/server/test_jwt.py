"""Tokens: real, signed, and refused when anything is wrong with them."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from wire import ask_ticket, get_token, request, TICKET
from wstserver import WRAP, Server

pytestmark = pytest.mark.quick

SECRET = "a secret of the tests"


def part(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(header, claims, secret=SECRET):
    text = part(header) + "." + part(claims)
    return text + "." + part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def read(token):
    return [json.loads(base64.urlsafe_b64decode(piece + "==")) for piece in token.split(".")[:2]]


HS256 = {"alg": "HS256", "typ": "JWT"}


def claims(**more):
    now = int(time.time())
    return {"sub": "x", "userId": None, "iat": now, "exp": now + 3600, "jti": "1", **more}


@pytest.fixture(scope="module")
def server():
    with Server("--jwt-secret", SECRET) as running:
        yield running


def test_claims(server):
    header, body = read(get_token(server))
    assert header == HS256
    assert set(body) == {"sub", "userId", "iat", "exp", "jti"}
    assert body["exp"] - body["iat"] == 3600 and abs(body["iat"] - time.time()) < 30
    assert body["userId"] is None
    header, body = read(get_token(server, user="alice"))
    assert body["sub"] == body["userId"] == "alice"


def test_signature_is_hs256(server):
    token = get_token(server)
    text, _, signature = token.rpartition(".")
    mac = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
    assert part(mac) == signature


def test_ours_is_accepted(server):
    assert ask_ticket(server, sign(HS256, claims())).status == 200


def tampered():
    token = sign(HS256, claims())
    head, _, mac = token.split(".")
    return ".".join((head, part(claims(userId="root")), mac))


@pytest.mark.parametrize("token, reason", [
    (None, "no token"),
    ("", "not a bearer token"),
    ("abc", "not a token"),
    ("a.b.c", "algorithm"),
    (sign(HS256, claims(), secret="another"), "signature"),
    (tampered(), "signature"),
    (sign(HS256, claims())[:-1], "signature"),
    (sign(HS256, claims()) + "A", "signature"),
    (sign(HS256, claims(exp=int(time.time()) - 1)), "expired"),
    (sign(HS256, claims(iat=int(time.time()) + 7200, exp=int(time.time()) + 9000)), "future"),
    (sign(HS256, {"sub": "x"}), "times"),
    (sign(HS256, [1]), "times"),
    (sign(HS256, b"{"), "not a token"),
    (sign({"alg": "none"}, claims()), "algorithm"),
    (part({"alg": "none"}) + "." + part(claims()) + ".", "algorithm"),
    (sign({"alg": "HS512"}, claims()), "algorithm"),
    (sign({"alg": ["HS256"]}, claims()), "algorithm"),
    ("x" * 8000, "not a token"),
], ids=["missing", "empty", "word", "dots", "other-key", "tampered", "short-mac", "long-mac", "expired",
        "future", "no-times", "array", "half-json", "none", "none-unsigned", "hs512", "alg-list",
        "long"])
def test_refused(server, token, reason):
    reply = ask_ticket(server, token) if token != "" else request(
        server, "GET", TICKET, {"Authorization": "Bearer "})
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert reason in reply.json["error"]
    if token and len(token) > 20:
        assert token not in "".join(server.log)


def test_another_scheme(server):
    assert request(server, "GET", TICKET, {"Authorization": "Basic eDp5"}).status == 401


def test_scheme_in_any_case(server):
    token = get_token(server)
    assert request(server, "GET", TICKET, {"authorization": "bearer " + token}).status == 200


def test_ttl_and_expiry():
    with Server("--jwt-ttl", "5" if WRAP else "1") as server:  # Valgrind is slow.
        token = get_token(server)
        assert ask_ticket(server, token).status == 200
        expires = read(token)[1]["exp"]
        while time.time() <= expires:
            time.sleep(0.05)
        assert ask_ticket(server, token).status == 401


def test_open_needs_no_token():
    with Server("--open") as server:
        assert ask_ticket(server).status == 200
        assert ask_ticket(server, "wrong").status == 200


def test_secret_is_random_by_default_and_kept_by_the_environment():
    with Server() as server:
        token = get_token(server)
        server.restart()
        assert ask_ticket(server, token).status == 401
    with Server(env={"WSTICKET_SERVER_JWT_SECRET": SECRET}) as server:
        token = get_token(server)
        server.restart()
        assert ask_ticket(server, token).status == 200


def test_revoked(server):
    token = get_token(server)
    server.faults(revokeTokens=True)
    assert ask_ticket(server, token).status == 401
    assert ask_ticket(server, get_token(server)).status == 200
