"""
What wsticket prints, compared line by line: the console lines (their wording is part of the
design) and the JSON objects (docs/json.md).  Numbers that differ from run to run are made equal.
"""

import json
import os
import re
import signal
import stat
import subprocess
import urllib.request

import pytest

from cli import MINIMAL, TOP, WRAP, Cli, environment, eventually, normal, run
from daemon import free_port
from plainserver import PlainServer
from wstserver import Server

pytestmark = pytest.mark.quick

FAST = ["--base-delay", "20ms", "--cap", "100ms"]

FIRST = """\
[WS] Step 1/3: Ensuring JWT token exists...
[Auth] Fetching JWT token from backend...
[Auth] ✅ JWT token acquired
[WS] JWT ready
""".splitlines()
TICKET = """\
[WS] Step 2/3: Requesting NEW WebSocket ticket (one-time, 30s TTL)...
[WS] Ticket obtained, connecting to WebSocket...
[WS] Step 3/3: Connecting with ticket...
[WS] Connected ✅
""".splitlines()
AGAIN = """\
[WS] Step 1/3: Ensuring JWT token exists...
[WS] JWT ready
""".splitlines()
CLOSED = ["[WS] Disconnected { code: 1000, reason: '', wasClean: true }"]
REQUEST = TICKET[:1]


@pytest.fixture
def server():
    with Server() as running:
        yield running


def detail(lines):
    """Our own lines, beside those of the design: what happened in words."""
    return [line for line in lines if re.match(r"\[WS\] (and )?(token|ticket|connect): ", line)]


def design(lines):
    return [line for line in normal(lines) if line not in normal(detail(lines))]


# ---- The console --------------------------------------------------------------------------------

def test_connect_talk_close(server):
    with Cli("connect", server.url) as cli:
        cli.wait_open()
        cli.send("hello\n")
        cli.wait_out("hello")
        assert cli.stop() == 0
        assert cli.err == FIRST + TICKET + CLOSED
        assert cli.out == ["hello"]


def test_over_tls():
    with Server(tls=True) as server, Cli("connect", "--ca-file", server.ca_file,
                                         server.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
        assert cli.err == FIRST + TICKET + CLOSED


def test_lost_and_found_with_a_new_ticket(server):
    with Cli("connect", *FAST, server.url) as cli:
        cli.wait_open()
        server.drop_all()
        cli.wait_open(2)
        assert cli.stop() == 0
        assert design(cli.err) == FIRST + TICKET + [
            "[WS] Disconnected { code: 1006, reason: '', wasClean: false }",
            "[WS] Reconnecting in Nms (attempt 1) - will fetch NEW ticket",
        ] + AGAIN + TICKET + CLOSED
        (reset,) = detail(cli.err)
        assert re.fullmatch(r"\[WS\] connect: .+ \(transient, attempt 1, next attempt in \d+ ms\)",
                            reset)
    stats = server.stats()
    assert (stats["ticketsGenerated"], stats["redeemed"]) == (2, 2)
    assert len({line.split("ticketHash")[1] for line in server.log if "Ticket generated" in line}) == 2


def test_service_unavailable(server):
    server.faults(ticket={"status": 503, "count": 2})
    with Cli("connect", *FAST, server.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
        failed = REQUEST + [
            "[WS] Failed to connect HttpErrorResponse { status: 503 }",
            "[WS] Soft failure - service unavailable (503), will retry",
            "[WS] Reconnecting in Nms (attempt {}) - will fetch NEW ticket",
        ]
        assert design(cli.err) == (FIRST + [line.replace("{}", "1") for line in failed] + AGAIN
                                   + [line.replace("{}", "2") for line in failed] + AGAIN
                                   + TICKET + CLOSED)
        assert normal(detail(cli.err)) == [
            f"[WS] ticket: the ticket request was answered 503 Service Unavailable (soft, attempt "
            f"{i}, next attempt in Nms)" for i in (1, 2)]


def test_too_many_requests(server):
    server.faults(ticket={"status": 429, "count": 1})
    with Cli("connect", *FAST, server.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
        assert "[WS] Failed to connect HttpErrorResponse { status: 429 }" in cli.err
        assert "[WS] Soft failure - too many requests (429), will retry" in cli.err


def test_nobody_listens(server):
    url = server.url
    server.stop()
    done = run("connect", *FAST, "--max-attempts", "2", url)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    network = [line for line in design(lines) if "Step" not in line and "[Auth]" not in line]
    assert network == [
        "[WS] Failed to connect (network error)",
        "[WS] Reconnecting in Nms (attempt 1) - will fetch NEW ticket",
        "[WS] Failed to connect (network error)",
        network[-1],
    ]
    assert network[-1].startswith("[WS] Giving up: ")
    assert "Connection refused" in detail(lines)[0]
    assert re.search(r"\(transient, attempt 1, next attempt in \d+ ms\)$", detail(lines)[0])
    assert re.search(r"\(transient, attempt 2, no further attempt\)$", detail(lines)[-1])


def test_reason_of_the_server(server):
    server.faults(open={"closeCode": 4000, "closeReason": "it's \\ over", "count": 1})
    with Cli("connect", *FAST, server.url) as cli:
        cli.wait_err("Disconnected")
        cli.wait_open(2)
        assert cli.stop() == 0
        assert ("[WS] Disconnected { code: 4000, reason: 'it\\'s \\\\ over', wasClean: true }"
                in cli.err)


def test_reason_cannot_steer_the_terminal():
    with PlainServer() as server, Cli("connect", "--no-ticket", "--once", server.url) as cli:
        cli.wait_open()
        server.close(4000, "\x1b[31mred\x07")
        cli.wait()
        assert ("[WS] Disconnected { code: 4000, reason: '\\x1b[31mred\\x07', wasClean: true }"
                in cli.err)


def test_what_we_close_for_is_told_in_our_words():
    with PlainServer(greeting=["x" * 1001]) as server:
        done = run("connect", "--no-ticket", "--once", "--max-message", "1000", server.url)
    assert done.returncode == 3
    assert detail(done.stderr.splitlines()) == [
        "[WS] connect: the server sent a message larger than --max-message (protocol, attempt 1, "
        "no further attempt)"]
    assert "max_message" not in done.stderr


def test_a_reason_is_not_told_in_our_words():
    with PlainServer() as server, Cli("connect", "--no-ticket", "--once", server.url) as cli:
        cli.wait_open()
        server.close(4000, "max_message_bytes")
        cli.wait()
        assert detail(cli.err)[0].startswith(
            "[WS] connect: the server closed the WebSocket with code 4000: max_message_bytes (")


def test_the_life_that_is_configured(server):
    with Cli("connect", "--ticket-life", "90s", server.url) as cli:
        cli.wait_err(re.escape("(one-time, 90s TTL)..."))
        cli.wait_open()
        assert cli.stop() == 0


def test_the_life_that_the_server_tells():
    """Only its reply knows: the line before the request names what is configured."""
    with Server("--ticket-ttl", "300") as server, Cli("connect", "-v", server.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
        assert "[log] info: the ticket is good for 300000 ms" in cli.err


def test_without_a_ticket():
    with PlainServer(subprotocols=["chat"]) as server, \
            Cli("connect", "--no-ticket", "--subprotocol", "chat", server.url) as cli:
        cli.wait_open()
        cli.wait_err("Subprotocol")
        assert cli.stop() == 0
        assert cli.err == ["[WS] Step 3/3: Connecting without ticket...", "[WS] Connected ✅",
                           "[WS] Subprotocol: chat", *CLOSED]


def test_verbose_tells_states(server):
    with Cli("connect", "-v", server.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
        states = [line for line in cli.err if line.startswith("[WS] state: ")]
        assert states[0].startswith("[WS] state: idle -> ")
        assert states[-1].endswith("-> idle")
        assert "[WS] attempt 1 begins" in cli.err
        assert [line for line in cli.err if line in FIRST + TICKET + CLOSED] == \
            FIRST + TICKET + CLOSED


def test_a_failure_is_told_once():
    """Also with --verbose; the library's own lines about attempts are there for who asks for its log."""
    url = f"http://localhost:{free_port()}"
    for options, times in ((["-v"], 1), ([], 1), (["--log-level", "info"], 2)):
        done = run("connect", "--max-attempts", "2", "--base-delay", "1ms", *options, url)
        told = [line for line in done.stderr.splitlines()
                if "refused" in line and not line.startswith("[WS] Giving up")]
        assert len(told) == 2 * times, done.stderr
        assert any(line.startswith("[log]") for line in told) == (times == 2)


def test_quiet(server):
    with Cli("connect", "-q", server.url) as cli:
        cli.send("hello\n")
        cli.wait_out("hello")
        assert cli.stop() == 0
        assert cli.err == []


def test_timing(server):
    with Cli("connect", "--timing", server.url) as cli:
        cli.wait_err("^  ping +[0-9.]+ ms$")
        assert cli.stop() == 0
        begin = cli.err.index("[WS] Timing")
        table = [line.split() for line in cli.err[begin + 1:begin + 9]]
        assert [row[0] for row in table] == \
            ["dns", "tcp", "tls", "token", "ticket", "upgrade", "open", "ping"]
        took = {row[0]: float(row[1]) for row in table if row[1] != "-"}
        assert set(took) >= {"token", "ticket", "upgrade", "open", "ping"}
        assert took["open"] >= took["ticket"] and took["open"] >= took["upgrade"]
        assert sum(line == "[WS] Timing" for line in cli.err) == 1


def test_timing_measures(server):
    server.faults(ticket={"delayMs": 300})
    with Cli("connect", "--timing", "--json", server.url) as cli:
        timing = cli.wait_event("timing")
        assert cli.stop() == 0
        # A timer of libuv's may be a millisecond early: it counts whole ones.
        assert 299000 <= timing["ticket_us"] <= timing["open_us"]
        assert timing["tls_us"] is None


# ---- Exit statuses that need the ticket server ---------------------------------------------------

@pytest.mark.parametrize("fault,status", [
    ({"token": {"status": 403}}, 2), ({"ticket": {"status": 403}}, 2),
    ({"ticket": {"status": 404}}, 2), ({"ticket": {"status": 401}}, 2),
    ({"upgrade": {"status": 403}}, 2), ({"ticket": {"status": 503}}, 3),
    ({"ticket": {"drop": "rst"}}, 3), ({"ticket": {"status": 200, "body": "{\"ticket\": 7}"}}, 3)])
def test_once_refused_or_failed(server, fault, status):
    server.faults(**fault)
    done = run("connect", "--once", server.url)
    assert done.returncode == status, done.stderr
    assert "Reconnecting" not in done.stderr and "will retry" not in done.stderr


def test_refused_before_the_first_open(server):
    server.faults(ticket={"status": 403})
    done = run("connect", *FAST, server.url)
    assert done.returncode == 2
    assert "HttpErrorResponse { status: 403 }" in done.stderr
    assert "[WS] Giving up: the ticket request was answered 403 Forbidden" in done.stderr


@pytest.mark.parametrize("args", [["--once"], ["--max-attempts", "2"]])
def test_unknown_certificate(args):
    with Server(tls=True) as server:
        done = run("connect", *FAST, *args, server.url)
        assert done.returncode == 4, done.stderr
        assert "certificate" in done.stderr


def test_a_certificate_that_is_none(tmp_path):
    """It looks like one: the first attempt finds out."""
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with Server(tls=True) as server:
        done = run("connect", "--ca-file", str(nonsense), server.url)
        assert done.returncode == 2, done.stderr
        assert "ca" in done.stderr


def test_insecure_warns_and_works():
    with Server(tls=True) as server, Cli("connect", "--insecure", server.url) as cli:
        cli.wait_open()
        assert cli.err[0].startswith("wsticket: warning: --insecure: the server is not verified")
        assert cli.stop() == 0


def test_compress():
    text = "the same again and again, " * 400
    with PlainServer(compression="deflate") as plain, \
            Cli("connect", "--compress", "--no-ticket", "-v", plain.url) as cli:
        cli.wait_open()
        eventually(lambda: plain.extensions() == ["permessage-deflate"], "the extension")
        cli.send("short\n" + text + "\n")
        cli.wait_out(".", times=2)
        assert cli.out == ["short", text]
        assert cli.stop() == 0
        assert any("permessage-deflate: the server agreed" in line for line in cli.err)


def test_compress_that_the_server_does_not_want():
    with PlainServer() as plain, Cli("connect", "--compress", "--no-ticket", "-v",
                                     plain.url) as cli:
        cli.send("anything\n")
        cli.wait_out("anything")
        assert plain.extensions() == []
        assert cli.stop() == 0
        assert any("permessage-deflate: the server declined" in line for line in cli.err)


# ---- Tokens -------------------------------------------------------------------------------------

def fetch_token(server):
    request = urllib.request.Request(server.url + "/api/v1/auth/token", method="POST", data=b"")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["token"]


@pytest.mark.parametrize("way", ["option", "file", "environment"])
def test_a_token_to_begin_with(server, tmp_path, way):
    token = fetch_token(server)
    path = tmp_path / "token"
    path.write_text(f"\n  {token}\n\n")
    args, env = {"option": (["--token", token], {}), "file": (["--token-file", str(path)], {}),
                 "environment": ([], {"WSTICKET_TOKEN": token})}[way]
    with Cli("connect", "--verbose", "--log-level", "debug", *args, server.url, **env) as cli:
        cli.wait_open()
        assert FIRST[1] not in cli.err, "no other token is fetched"
        with open(f"/proc/{cli.process.pid}/cmdline", "rb") as visible:
            assert WRAP or token.encode() not in visible.read()
        assert cli.stop() == 0
        assert token not in "\n".join(cli.err + cli.out + server.log)


def test_token_cache(server, tmp_path):
    cache = tmp_path / "token.json"
    for run_number in range(3):
        with Cli("connect", "--token-cache", str(cache), server.url) as cli:
            cli.wait_open()
            assert (FIRST[1] in cli.err) == (run_number == 0)
            eventually(cache.exists, "the cache")
            assert cli.stop() == 0
    assert stat.S_IMODE(os.stat(cache).st_mode) == 0o600
    assert server.stats()["tokensIssued"] == 1


def test_no_token():
    with Server("--open") as server, Cli("connect", "--no-token", server.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
        assert cli.err[0] == REQUEST[0]
        assert server.stats()["tokensIssued"] == 0


def test_headers_go_to_their_step(server):
    with Cli("connect", "--header", "connect:Origin:https://app.example.com", server.url) as cli:
        cli.wait_open()
        server.wait_log("websocket_connected { originHost: 'app.example.com' }")
        assert cli.stop() == 0


@pytest.mark.parametrize("place", ["query", "header", "subprotocol"])
def test_places_of_the_ticket(place):
    with Server("--ticket-in", place) as server, \
            Cli("connect", "--ticket-in", place, server.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0


# ---- JSON ---------------------------------------------------------------------------------------

COMMON = {"time", "event"}
CAUSE = {"code", "step", "class", "http_status", "close_code", "errno", "tls_verify", "text"}
FAILURE = {"cause", "other", "attempt", "failures", "next_delay_ms", "retry_after_ms"}
FIELDS = {
    "state": {"from", "to"}, "attempt": {"attempt"}, "progress": {"progress"},
    "attempt_failed": FAILURE, "open": {"subprotocol"}, "pong": {"rtt_us"},
    "closed": FAILURE | {"code", "reason", "was_clean", "unsent_messages", "unsent_bytes"},
    "timing": {name + "_us" for name in
               ("dns", "tcp", "tls", "token", "ticket", "upgrade", "open", "ping")},
    "note": {"text"}, "log": {"level", "text"}, "ended": {"state", "cause", "exit_status"}}


def check_schema(events):
    for event in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        if event["event"] == "message":
            wanted = {"type", "text" if event["type"] == "text" else "base64"}
        else:
            wanted = FIELDS[event["event"]]
        assert set(event) == COMMON | wanted, event
        for name in ("cause", "other"):
            assert event.get(name) is None or set(event[name]) == CAUSE


def without(events, *names):
    """Events as short texts, without those names."""
    def short(e):
        more = {"progress": "progress", "message": "text", "closed": "code", "open": "subprotocol",
                "attempt": "attempt", "ended": "exit_status"}.get(e["event"])
        return e["event"] + (f" {e[more]}" if more else "")
    return [short(e) for e in events if e["event"] not in names]


STEPS = [f"progress {p}" for p in ("token_ensure", "token_fetch", "token_acquired", "token_ready",
                                   "ticket_request", "ticket_ready", "upgrade")]


def test_json_transcript(server):
    server.faults(ticket={"status": 503, "count": 1})
    with Cli("connect", "--json", *FAST, server.url) as cli:
        cli.wait_event("open")
        cli.send("hello\n")
        cli.wait_event("message")
        server.close_all(1012, "restart")
        cli.wait_event("closed")
        assert cli.stop() == 0
        assert cli.err == []
        events = cli.events()
    check_schema(events)
    assert without(events, "state", "pong", "log") == [
        "attempt 1", *STEPS[:5], "attempt_failed",
        "attempt 2", STEPS[0], *STEPS[3:], "open ", "message hello", "closed 1012", "ended 0"]
    failed = next(e for e in events if e["event"] == "attempt_failed")
    assert failed["cause"]["code"] == "HTTP_STATUS"
    assert failed["cause"]["step"] == "ticket"
    assert failed["cause"]["class"] == "soft"
    assert failed["cause"]["http_status"] == 503
    assert failed["cause"]["close_code"] is None
    assert failed["other"] is None
    assert (failed["attempt"], failed["failures"]) == (1, 1)
    assert 10 <= failed["next_delay_ms"] <= 100
    closed = next(e for e in events if e["event"] == "closed")
    assert closed["reason"] == "restart" and closed["was_clean"] is True
    assert closed["cause"]["class"] == "soft"
    assert closed["cause"]["close_code"] == 1012
    states = [(e["from"], e["to"]) for e in events if e["event"] == "state"]
    assert states[0][0] == "idle" and states[-1][1] == "idle"
    for (_, to), (frm, _) in zip(states, states[1:]):
        assert to == frm, "no state is skipped"


def test_json_messages():
    text = "quote \" backslash \\ tab \t nul \0 line\nfeed \x7f é ✅ 𝄞 \x80\x9b31m\x9f\xa0"
    with PlainServer(greeting=[text, b"\x00\xff\x10", b"", b"ab", ""]) as server, \
            Cli("connect", "--no-ticket", "--json", server.url) as cli:
        cli.wait_event("message", 5)
        assert cli.stop() == 0
        events = cli.events()
        check_schema(events)
        messages = [e for e in events if e["event"] == "message"]
        assert [(m["type"], m.get("text"), m.get("base64")) for m in messages] == [
            ("text", text, None), ("binary", None, "AP8Q"), ("binary", None, ""),
            ("binary", None, "YWI="), ("text", "", None)]
        for line in cli.out:
            assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
        assert r"\u0080\u009b31m\u009f" "\xa0" in cli.out[events.index(messages[0])]


def test_json_when_it_gives_up(server):
    server.faults(ticket={"status": 403})
    done = run("connect", "--json", "--timing", server.url)
    assert done.returncode == 2 and done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    check_schema(events)
    assert events[-1]["event"] == "ended"
    assert events[-1]["state"] == "failed"
    assert events[-1]["exit_status"] == 2
    assert events[-1]["cause"]["http_status"] == 403
    assert next(e for e in events if e["event"] == "attempt_failed")["next_delay_ms"] is None


def test_json_interrupted():
    with PlainServer() as server, Cli("connect", "--no-ticket", "--json", server.url) as cli:
        cli.wait_event("open")
        cli.signal(signal.SIGINT)
        assert cli.wait() == 0
        check_schema(cli.events())
        assert without(cli.events(), "state", "pong", "progress", "attempt") == [
            "open ", "closed 1000", "ended 0"]


def test_the_document_names_every_event_and_field():
    with open(os.path.join(TOP, "docs", "json.md"), encoding="utf-8") as text:
        document = text.read()
    for event, fields in FIELDS.items():
        assert f"| `{event}` |" in document
        for field in fields | CAUSE:
            assert f"`{field}`" in document, field


# ---- Secrets ------------------------------------------------------------------------------------

def test_no_secret_on_the_screen(server):
    server.faults(ticket={"status": 503, "count": 1})
    with Cli("connect", "-v", "--log-level", "debug", *FAST, "--header", "X-Key: pl4nted",
             "--token-body", '{"password": "pl4nted"}', server.url) as cli:
        cli.wait_open()
        assert cli.stop() == 0
        said = "\n".join(cli.err + cli.out)
    with Cli("connect", "--json", "--log-level", "debug", *FAST, "--header", "X-Key: pl4nted",
             server.url) as cli:
        cli.wait_event("open")
        assert cli.stop() == 0
        said += "\n".join(cli.err + cli.out)
    assert "pl4nted" not in said
    assert not re.search(r"[0-9a-f]{32}", said), "a ticket"
    assert "eyJ" not in said, "a JWT"
    assert "ticket=" not in said


# ---- The smallest program ------------------------------------------------------------------------

def test_minimal():
    with Server(tls=True) as server:
        done = subprocess.run([*WRAP, MINIMAL, server.url, server.ca_file], capture_output=True,
                              text=True, timeout=60, env=environment())
        assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_minimal_is_told_why():
    with Server(tls=True) as server:
        server.faults(token={"status": 403})
        done = subprocess.run([*WRAP, MINIMAL, server.url, server.ca_file], capture_output=True,
                              text=True, timeout=60, env=environment())
        assert done.returncode == 1
        assert "403" in done.stderr and "giving up" in done.stderr
    with open(os.path.join(TOP, "examples", "minimal.c"), encoding="utf-8") as source:
        assert len(source.readlines()) < 80
