"""
What a server can answer that is of no use: each ends in a clear error that names the field, never
in a crash, a hang, or a ticket on the screen.
"""

import json
import urllib.parse

import pytest

from cli import Cli, run
from relay import Relay

CANARY = "c4n4ry-0f-4-t1ck3t"


def attempt(server, *options, **faults):
    """One attempt against these faults; the finished process and its cause of failure."""
    server.faults(reset=True, **faults)
    done = run("connect", "--json", "--once", "--log-level", "debug", *options, server.url)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [e for e in events if e["event"] == "attempt_failed"]
    assert len(failed) == 1 and events[-1]["event"] == "ended"
    assert done.returncode in (2, 3)
    assert CANARY not in done.stdout + done.stderr
    return failed[0]["cause"]


def ticket(value, **more):
    return json.dumps({"ticket": value, **more})


TICKET_REPLIES = {
    "html": ("<!DOCTYPE html><title>Login</title>" + CANARY, "BAD_REPLY", "HTML"),
    "half a json": ('{"ticket": "' + CANARY, "BAD_REPLY", "in the middle of its JSON"),
    "text": (CANARY, "BAD_REPLY", "not JSON"),
    "no ticket": ('{"tickets": "' + CANARY + '"}', "BAD_REPLY", "/ticket is missing"),
    "an array": ('["' + CANARY + '"]', "BAD_REPLY", "/ticket is missing"),
    "a number": ('{"ticket": 7}', "BAD_REPLY", "/ticket is a number"),
    "null": ('{"ticket": null}', "BAD_REPLY", "/ticket"),
    "an object": ('{"ticket": {"a": "' + CANARY + '"}}', "BAD_REPLY", "/ticket is an object"),
    "empty": (ticket(""), "BAD_REPLY", "/ticket is empty"),
    "line feed": (ticket(CANARY + "\r\nX-Evil: 1"), "BAD_REPLY", "/ticket has a control char"),
    "nul": (ticket(CANARY + "\0"), "BAD_REPLY", "NUL"),
    "delete": (ticket(CANARY + "\x7f"), "BAD_REPLY", "/ticket has a control char"),
    "5 KiB": (ticket(CANARY * 300), "BAD_REPLY", "/ticket is 5400 bytes long"),
    "zero life": (ticket(CANARY, expiresInSeconds=0), "BAD_REPLY", "/expiresInSeconds is zero"),
    "negative life": (ticket(CANARY, expiresInSeconds=-1), "BAD_REPLY",
                      "/expiresInSeconds is zero or negative"),
    "absurd life": (ticket(CANARY, expiresInSeconds=10**9), "BAD_REPLY",
                    "/expiresInSeconds is more than a day"),
    "infinite life": ('{"ticket": "' + CANARY + '", "expiresInSeconds": 1e999}', "BAD_REPLY",
                      "/expiresInSeconds"),
    "life in words": (ticket(CANARY, expiresInSeconds="soon"), "BAD_REPLY", "/expiresInSeconds"),
    "deep": ("[" * 100_000, "REPLY_TOO_LARGE", ""),
    "rather deep": ("[" * 20_000, "BAD_REPLY", "JSON"),
    "not utf-8": ("{\"ticket\": \"\\ud800\"}", "BAD_REPLY", "JSON"),
}


@pytest.mark.parametrize("name", TICKET_REPLIES)
def test_ticket_reply(backend, name):
    body, code, text = TICKET_REPLIES[name]
    cause = attempt(backend, ticket={"status": 200, "body": body})
    assert (cause["step"], cause["code"]) == ("ticket", code)
    assert text in cause["text"]
    assert backend.stats()["upgradeRequests"] == 0


TOKEN_REPLIES = {
    "html": ("<html>" + CANARY, "HTML"),
    "half a json": ('{"token": "' + CANARY, "in the middle of its JSON"),
    "nothing": ("{}", "none of the fields /token, /access_token, /accessToken"),
    "a number": ('{"token": 7}', "/token is a number"),
    "empty": ('{"access_token": ""}', "/access_token is empty"),
    "line feed": (json.dumps({"token": CANARY + "\r\nX: y"}), "/token has a control char"),
    "a space": (json.dumps({"token": CANARY + " b"}), "/token has a character"),
    "utf-8": (json.dumps({"token": CANARY + "ü"}), "/token has a character"),
    "20 KiB": (json.dumps({"token": CANARY * 1200}), "/token is 21600 bytes long"),
    "negative life": (json.dumps({"token": CANARY, "expires_in": -5}), "/expires_in is zero or"),
    "absurd life": (json.dumps({"token": CANARY, "expiresIn": 1e18}), "/expiresIn is more than 10"),
}


@pytest.mark.parametrize("name", TOKEN_REPLIES)
def test_token_reply(backend, name):
    body, text = TOKEN_REPLIES[name]
    cause = attempt(backend, token={"status": 200, "body": body})
    assert (cause["step"], cause["code"]) == ("token", "BAD_REPLY")
    assert text in cause["text"]
    assert backend.stats()["ticketRequests"] == 0


@pytest.mark.parametrize("step", ["token", "ticket", "upgrade"])
@pytest.mark.parametrize("status", [200, 500])
def test_ten_megabytes(backend, step, status):
    """Of a reply that should have a few bytes: given up at the ceiling, not read to its end."""
    cause = attempt(backend, **{step: {"status": status, "bodySize": 10 << 20}})
    assert cause["step"] == ("connect" if step == "upgrade" else step)
    if step != "upgrade":
        # A refusal stays a refusal however long its page is.
        assert cause["code"] == ("HTTP_STATUS" if status == 500 else "REPLY_TOO_LARGE")
        assert cause.get("http_status") == (500 if status == 500 else None)


@pytest.mark.parametrize("pointer", ["/url", "/a~1b"])
def test_own_pointers_are_named(backend, pointer):
    cause = attempt(backend, "--ticket-pointer", pointer, "--no-token",
                    ticket={"status": 200, "body": ticket(CANARY)})
    assert pointer in cause["text"]


@pytest.mark.parametrize("url", ["ws://elsewhere.example/ws?ticket=TICKET", "http://a/TICKET",
                                 "nonsense TICKET", "wss://user:TICKET@a/ws", ""])
def test_a_whole_url_that_cannot_be_used(backend, url):
    url = url.replace("TICKET", CANARY)  # Not in the test's name: names are logged.
    cause = attempt(backend, "--url-pointer", "/url", ticket={"status": 200, "body":
                                                               json.dumps({"url": url})})
    assert cause["step"] == "ticket" and cause["code"] == "BAD_REPLY"
    assert "url" in cause["text"]


def test_a_redirect_is_not_followed(backend):
    for step in ("token", "ticket", "upgrade"):
        cause = attempt(backend, **{step: {"status": 302, "location":
                                           f"https://elsewhere.example/?t={CANARY}"}})
        assert cause["code"] == "REDIRECTED"
        assert "elsewhere.example" in cause["text"] and "not followed" in cause["text"]


def test_200_instead_of_101(backend):
    cause = attempt(backend, upgrade={"status": 200, "body": "<html>" + CANARY})
    assert cause["step"] == "connect" and cause["class"] == "transient"
    assert cause["http_status"] == 200


# ---- Tickets that are fine, however they look ---------------------------------------------------

@pytest.mark.parametrize("value", ["a&b=c+d/e%f", "a b", "Grüße, 世界 🎟", "x" * 4096, "?#[]@!$'()*,;",
                                   "100%25", "-._~"])
def test_a_ticket_arrives_encoded(backend, value):
    """As encodeURIComponent does: nothing of it is taken for the query's own."""
    backend.faults(ticket={"status": 200, "body": ticket(value)})
    with Relay(backend.port) as relay, Cli(
            "connect", "--json", "--once", "--ws-url", f"ws://127.0.0.1:{relay.port}/ws?room=1",
            backend.url) as cli:
        cli.wait()
        (line,) = relay.requests
    method, target, _ = line.split(" ")
    assert method == "GET" and target.startswith("/ws?room=1&ticket=")
    encoded = target[len("/ws?room=1&ticket="):]
    assert encoded == urllib.parse.quote(value, safe="-_.!~*'()")
    assert urllib.parse.unquote(encoded) == value
