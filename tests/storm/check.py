#!/usr/bin/python3
"""What storms must show: check.py STORM [million] [SABOTAGE=PROGRAM...].

The promises are checked on 20,000 clients for each scenario.  Then each sabotaged program, in which
one line of the core is changed, must break the check that is named beside it.
"""

import csv
import io
import os
import re
import resource
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))

from tap import run  # noqa: E402

STORM = sys.argv[1]
MILLION = "million" in sys.argv  # Not under sanitizers, which have their own time and memory.
SABOTAGED = dict(word.split("=", 1) for word in sys.argv[2:] if "=" in word)
STORMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "storms.md")
CLIENTS = 20000
CAPACITY = 400
SCENARIOS = ["crash", "outage", "rolling", "accept-close", "auth-outage", "ws-outage", "flapping",
             "wake"]


def text_of(program, *options, clients=CLIENTS):
    done = subprocess.run([program, "--csv", "-", "--clients", str(clients), *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300,
                          check=False)
    if done.returncode != 0:  # No AssertionError: a sabotaged program that crashes proves nothing.
        raise RuntimeError(f"exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def storms(program, *options, **more):
    """Each run's row, numbers as numbers (None: never)."""
    def value(word):
        try:
            return float(word) if word else None
        except ValueError:
            return word

    return [{key: value(word) for key, word in row.items()}
            for row in csv.DictReader(io.StringIO(text_of(program, *options, **more)))]


def storm(program, *options, **more):
    (row,) = storms(program, *options, **more)
    return row


def name(row):
    return f"{row['scenario']}, {row['schedule']}"


KEPT = {}


def ours(program, scenarios=SCENARIOS):
    """Both of our schedules in these scenarios, one after the other, each run once."""
    for scenario in scenarios:
        if (program, scenario) not in KEPT:
            KEPT[program, scenario] = storms(program, "--scenario", scenario, "--schedule",
                                             "default,sized")
            assert len(KEPT[program, scenario]) == 2
        yield from KEPT[program, scenario]


# ---- The checks: each takes the program -----------------------------------------------------------

def tickets(program):
    """every upgrade spends a ticket of its own, none is too old, and the book adds up"""
    for row in ours(program):
        assert row["without_ticket"] == 0, name(row)
        assert row["too_old"] == 0, name(row)
        assert row["redeemed"] == row["opens"], name(row)
        assert row["minted"] == row["redeemed"] + row["expired"], name(row)
        assert row["attempts"] <= row["minted"] + row["refused"] + row["wasted"], name(row)


def all_back(program):
    """every client is open at the end, and none gave up"""
    for row in ours(program):
        assert row["gave_up"] == 0 and row["lost"] > 0, name(row)
        assert row["open50_ms"] <= row["open99_ms"] <= row["open100_ms"], name(row)


def no_gathering(program):
    """no delays gather at the cap"""
    for row in ours(program):
        assert row["gathered_at_cap"] == 0, f"{name(row)}: {row['waits_at_cap']:.0f}"


def soon_back(program):
    """the last client is back within three times the ideal"""
    for row in ours(program, [scenario for scenario in SCENARIOS if scenario != "rolling"]):
        if row["schedule"] == "default":
            assert row["ratio100"] <= 3, f"{name(row)}: {row['ratio100']}"


def no_herd_after_an_outage(program):
    """after an outage no second sees more than three times the capacity"""
    for row in ours(program, ["outage"]):
        assert row["ticket_peak_1s"] <= 3 * CAPACITY, f"{name(row)}: {row['ticket_peak_1s']}"


def sized_for_the_fleet(program):
    """with the advised setting the peak stays near the capacity, in a crash and after an outage"""
    for row in ours(program, ["crash", "outage"]):
        if row["schedule"] == "sized":
            assert row["ticket_peak_1s"] <= 1.3 * CAPACITY, f"{name(row)}: {row['ticket_peak_1s']}"


def token_calls(program):
    """a cached JWT is used: no call for one, unless the fleet needs it"""
    for row in ours(program):
        if row["scenario"] == "auth-outage":
            # Who has a JWT is open again before the auth service is.
            assert row["token_calls"] >= CLIENTS / 2 and row["lost"] == CLIENTS / 2, name(row)
        else:
            assert row["token_calls"] == 0, f"{name(row)}: {row['token_calls']}"


def accept_and_close(program):
    """a server that accepts and closes is met ever more seldom: at most 12 times a minute"""
    row = storm(program, "--scenario", "accept-close", "--capacity", "10000000")
    assert row["attempts"] / CLIENTS <= 12, row["attempts"] / CLIENTS


def retry_after(program):
    """Retry-After is no appointment: whoever obeys it comes back spread out"""
    row = storm(program, "--steer", "retry-after")
    assert row["ratio100"] is not None and row["ratio100"] <= 3.5, row["ratio100"]
    assert row["refused_per_client"] <= 3, row["refused_per_client"]


def slots(program):
    """retryAfterMs from a virtual queue: about one refusal for a client"""
    row = storm(program, "--steer", "slots")
    assert row["refused_per_client"] <= 1.2, row["refused_per_client"]
    assert row["ratio100"] <= 2.5, row["ratio100"]


def spread(program):
    """reconnectSpreadMs brings the peak near the capacity, and everyone back in its time"""
    row = storm(program, "--steer", "spread", clients=200000)
    assert row["capacity"] == 4000
    assert row["ticket_peak_1s"] <= 1.5 * 4000, row["ticket_peak_1s"]
    assert row["ticket_peak_100ms"] <= 1.6 * 400, row["ticket_peak_100ms"]
    assert row["ratio100"] <= 1.25, row["ratio100"]


def restart(program):
    """close 1012 spreads the clients of a node over the configured window"""
    row = storm(program, "--scenario", "rolling", "--restart-spread", "25000")
    assert row["ticket_peak_1s"] <= 1.5 * CAPACITY, row["ticket_peak_1s"]


CHECKS = [tickets, all_back, no_gathering, soon_back, no_herd_after_an_outage,
          sized_for_the_fleet, token_calls, accept_and_close, retry_after, slots, spread, restart]
# Which check must notice which sabotage (tests/storm/meson.build says what each is).
NOTICES = {
    "no-jitter": no_herd_after_an_outage,
    "clamp-after-jitter": no_gathering,
    "reset-at-open": accept_and_close,
    "retry-after-exact": retry_after,
    "no-spread": spread,
    "no-restart-spread": restart,
    "upgrade-without-ticket": tickets,
    "token-dropped": token_calls,
}


# ---- The program itself ---------------------------------------------------------------------------

def deterministic():
    """the same seed is the same storm, another seed is another"""
    options = ["--scenario", "outage", "--schedule", "default,full,aws-mqtt5"]
    first = text_of(STORM, *options, "--seed", "7")
    assert first == text_of(STORM, *options, "--seed", "7")
    assert first != text_of(STORM, *options, "--seed", "8")


def every_schedule():
    """every schedule runs; those that give up are told, and clamped ones gather at their cap"""
    rows = {row["schedule"]: row
            for row in storms(STORM, "--scenario", "outage", "--schedule", "all", clients=5000)}
    assert len(rows) == 18, list(rows)
    gave_up = {key for key, row in rows.items() if row["gave_up"] > 0}
    assert gave_up == {"signalr", "graphql-ws"}, gave_up
    assert rows["signalr"]["gave_up"] == 5000 and rows["signalr"]["open50_ms"] is None
    assert rows["signalr"]["attempts"] == 4 * 5000
    assert rows["graphql-ws"]["attempts"] == 5 * 5000
    for key in ("socket.io", "phoenix", "librdkafka", "none"):
        assert rows[key]["gathered_at_cap"] > 5000, (key, rows[key]["gathered_at_cap"])
    for key in ("default", "sized", "full", "equal", "grpc", "nats"):
        assert rows[key]["gathered_at_cap"] == 0, (key, rows[key]["gathered_at_cap"])


def down():
    """refused, 503 and silent are three outages: only the second is asked for tickets"""
    refused, says, silent = (storm(STORM, "--scenario", "ws-outage", "--down", how)
                             for how in ("refuse", "503", "silent"))
    assert says["expired"] > 2 * refused["expired"], (says["expired"], refused["expired"])
    assert silent["attempts"] < refused["attempts"], "deadlines take longer than refusals"
    for row in (refused, says, silent):
        assert row["open100_ms"] and row["redeemed"] == CLIENTS and row["token_calls"] == 0


def old_tokens():
    """a fleet whose JWTs have expired needs one token each, and gets it"""
    row = storm(STORM, "--token-age", "3600")
    assert row["token_calls"] >= CLIENTS and row["open100_ms"], row["token_calls"]
    row = storm(STORM, "--token-age", "3000", "--scenario", "auth-outage", "--outage", "30")
    assert row["open100_ms"], "an ageing token will do while there is no other"


def a_million():
    """a million clients take less than a minute of one processor and 4 GiB, and are as the paper says"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    row = storm(STORM, "--capacity", "20000", clients=1000000)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime
    print(f"# {seconds:.0f} s, {after.ru_maxrss / 1024:.0f} MiB")
    assert seconds < 60 and after.ru_maxrss < 4 << 20, (seconds, after.ru_maxrss)
    with open(STORMS, encoding="utf-8") as paper:
        said = re.search(r"^\| crash \| default \| (.*) \|$", paper.read(), re.MULTILINE).group(1)
    said = said.replace(" ", "").split("|")
    seen = {3: row["open50_ms"] / 1000, 4: row["open99_ms"] / 1000, 5: row["open100_ms"] / 1000,
            6: row["ratio100"], 7: row["refused_per_client"], 8: row["wasted_per_client"],
            9: row["minted"], 10: row["expired"], 11: row["most_alive"], 12: row["token_calls"]}
    wrong = {at: value for at, value in seen.items() if abs(float(said[at]) - value) > 0.006}
    assert not wrong, (said, wrong)


def pictures():
    """the pictures are well-formed SVG with a line for each schedule"""
    from xml.etree import ElementTree

    path = os.path.join(os.environ.get("MESON_BUILD_ROOT", "."), "storm-check.svg")
    options = ["--scenario", "crash,outage", "--schedule", "default,signalr,none", "--svg", path]
    text_of(STORM, *options, clients=1000)
    root = ElementTree.parse(path).getroot()
    os.remove(path)
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2 * 2 * 3, len(lines)
    assert all(line.get("points").strip() for line in lines)


def table():
    """the table has a line for each run, under its heads"""
    done = subprocess.run([STORM, "--clients", "1000", "--scenario", "crash,wake", "--schedule",
                           "default,phoenix"], stdout=subprocess.PIPE, text=True, timeout=60,
                          check=True)
    rows = [line.split()[:2] for line in done.stdout.splitlines()[3:-1]]
    assert rows == [["crash", "default"], ["crash", "phoenix"], ["wake", "default"]], rows


def bad_input():
    """bad input is refused with a sentence that names it"""
    cases = {
        ("--clients", "0"): "--clients 0: expected a number from 1 to 10000000",
        ("--clients", "12x"): "--clients 12x: expected a number",
        ("--clients", "-1"): "--clients -1: expected a number",
        ("--clients", ""): "--clients : expected a number",
        ("--seed", "99999999999999999999"): "--seed 99999999999999999999: expected a number",
        ("--capacity", "0"): "--capacity 0: expected a number",
        ("--jitter", "101"): "--jitter 101: expected a number from 0 to 100",
        ("--scenario", "flood"): "--scenario flood: expected names that --list shows",
        ("--scenario", "crash,"): "--scenario crash,: expected names that --list shows",
        ("--schedule", "default,x"): "--schedule default,x: expected names that --list shows",
        ("--down", "up"): "--down up: expected refuse, 503 or silent",
        ("--steer", "left"): "--steer left: expected none, retry-after, slots or spread",
        ("--base", "2000", "--cap", "1000"): "--base is larger than --cap",
        ("--outage", "60", "--limit", "60"): "--limit is not larger than --outage",
        ("--scenario", "wake", "--schedule", "nats"): "the wake of other clients is not known",
        ("--svg", "/nonexistent/x.svg"): "/nonexistent/x.svg: No such file or directory",
        ("--csv", "/nonexistent/x.csv"): "/nonexistent/x.csv: No such file or directory",
        ("--clients", "10", "--csv", "/dev/full"): "/dev/full: could not be written",
        ("extra",): "extra: unexpected argument",
        ("--nonsense",): "Try wsticket-storm --help",
        ("--clients",): "Try wsticket-storm --help",
    }
    for words, sentence in cases.items():
        done = subprocess.run([STORM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60, check=False)
        assert done.returncode in (1, 2), f"{words}: exit status {done.returncode}"
        assert sentence in done.stderr, f"{words}: {done.stderr}"


# ---- All of it ------------------------------------------------------------------------------------

def on_the_product(check):
    def checked():
        check(STORM)

    checked.__doc__ = check.__doc__
    return checked


def on_sabotage(what, program):
    def checked():
        check = NOTICES[what]
        try:
            check(program)
        except AssertionError as noticed:
            print(f"# {check.__name__}: {noticed}")
            return
        raise AssertionError(f"{check.__name__} did not notice")

    checked.__doc__ = f"sabotage {what} is noticed"
    return checked


if SABOTAGED:
    assert set(SABOTAGED) == set(NOTICES), set(SABOTAGED) ^ set(NOTICES)
run([on_the_product(check) for check in CHECKS]
    + [a_million] * MILLION
    + [deterministic, every_schedule, down, old_tokens, pictures, table, bad_input]
    + [on_sabotage(what, program) for what, program in SABOTAGED.items()])
