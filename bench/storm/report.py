#!/usr/bin/python3
"""Writes the tables and pictures of docs/storms.md: report.py STORM [--only NAME,...] [--jobs N].

Every run is named by its options, and its figures depend on nothing else: the same command gives the
same tables.  A table stands between two comments, "table NAME" and "end NAME".
"""

import argparse
import csv
import io
import math
import os
import re
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(TOP, "docs", "storms.md")
PICTURES = os.path.join(TOP, "docs", "storms")

BIG = ["--clients", "1000000", "--capacity", "20000"]
SMALL = ["--clients", "200000", "--capacity", "4000"]
PICTURE = ["--clients", "50000", "--capacity", "1000"]  # A line is a few hundred points wide.
OURS = ["default", "sized"]
TEXTBOOK = ["none", "full", "equal", "decorrelated"]
PUBLISHED = ["phoenix", "socket.io", "signalr", "graphql-ws", "reconnecting-ws", "centrifuge",
             "every-second", "nats", "paho", "aws-mqtt5", "librdkafka", "grpc"]
OTHERS = ["rolling", "accept-close", "auth-outage", "ws-outage", "flapping", "wake"]


def runs(size, scenarios, schedules, *options, label=None):
    """(options, label) of each run; without a label its schedule is it."""
    return [(size + ["--scenario", scenario, "--schedule", schedule, *options], label or schedule)
            for scenario in scenarios for schedule in schedules]


def steering(scenario):
    return [run for how in ("none", "retry-after", "slots", "spread")
            for run in runs(SMALL, [scenario], ["default"], "--steer", how, label=how)]


TABLES = {
    "ours": runs(BIG, ["crash", "outage"], OURS + TEXTBOOK),
    "published": runs(SMALL, ["crash", "outage"], OURS + PUBLISHED),
    "others": runs(SMALL, OTHERS, OURS + TEXTBOOK),
    "long": runs(SMALL, ["outage"], OURS + TEXTBOOK, "--outage", "600"),
    "down": [run for how in ("refuse", "503", "silent")
             for run in runs(SMALL, ["ws-outage"], ["default"], "--down", how, label=how)],
    "steering": [run for scenario in ("crash", "outage", "rolling", "wake")
                 for run in steering(scenario)],
    "big-steering": runs(BIG, ["crash"], ["default"], "--steer", "spread", label="spread"),
    "restart": [run for ms in ("5000", "15000", "25000", "50000")
                for run in runs(SMALL, ["rolling"], ["default"], "--restart-spread", ms,
                                label=ms + " ms")],
    "tokens": (runs(SMALL, ["crash"], OURS, "--token-age", "3600")
               + runs(SMALL, ["crash"], ["default"], "--token-age", "3600", "--steer", "spread",
                      label="default, spread")),
    "first": [run for base, cap, jitter in (("250", "30000", "50"), ("250", "30000", "100"),
                                            ("2500", "30000", "100"), ("5000", "30000", "100"),
                                            ("12500", "30000", "100"), ("25000", "30000", "100"),
                                            ("25000", "50000", "100"))
              for run in runs(SMALL, ["crash", "outage"], ["default"], "--base", base, "--cap", cap,
                              "--jitter", jitter, label=f"{base} / {cap} / {jitter}")],
    "size": [run for clients in (100, 1000, 10000, 100000)
             for run in runs(["--clients", str(clients), "--capacity", "2000"], ["crash"],
                             ["default"], label=f"{clients}")],
    "seeds": [run for seed in range(1, 11)
              for run in runs(SMALL, ["crash"], ["default"], "--seed", str(seed),
                              label=f"seed {seed}")],
}
PLOTS = {
    "ours.svg": PICTURE + ["--scenario", "crash,outage", "--schedule", ",".join(OURS + TEXTBOOK)],
    "published.svg": PICTURE + ["--scenario", "crash,outage",
                          "--schedule", ",".join(OURS + ["phoenix", "socket.io", "centrifuge",
                                                         "every-second", "nats", "librdkafka",
                                                         "grpc"])],
    "others.svg": PICTURE + ["--scenario", ",".join(OTHERS), "--schedule", ",".join(OURS)],
    "steered.svg": PICTURE + ["--scenario", "crash,outage,rolling", "--schedule", ",".join(OURS),
                        "--steer", "spread"],
}

COLUMNS = ["scenario", "", "ticket peak, 100 ms", "1 s", "upgrade peak, 1 s", "50 %", "99 %",
           "100 %", "x ideal", "refused", "wasted", "minted", "expired", "alive", "JWT calls",
           "at cap"]


def number(row, key):
    return float(row[key]) if row[key] else None


def seconds(row, key):
    return f"{number(row, key) / 1000:.1f}" if row[key] else "never"


def thousands(value):
    return f"{value:,.0f}".replace(",", " ")


def cells(label, row):
    clients, capacity = number(row, "clients"), number(row, "capacity")
    gathered, waits = number(row, "gathered_at_cap"), max(number(row, "waits"), 1)
    times = [seconds(row, f"open{share}_ms") for share in (50, 99, 100)]
    if number(row, "gave_up"):
        times[-1] += f" ({100 * number(row, 'gave_up') / clients:.0f} % gave up)"
    return [row["scenario"], label,
            f"{number(row, 'ticket_peak_100ms') / (capacity / 10):.1f}",
            f"{number(row, 'ticket_peak_1s') / capacity:.1f}",
            f"{number(row, 'upgrade_peak_1s') / capacity:.2f}", *times,
            f"{number(row, 'ratio100'):.2f}" if row["ratio100"] else "-",
            f"{number(row, 'refused_per_client'):.2f}", f"{number(row, 'wasted_per_client'):.2f}",
            *(thousands(number(row, key)) for key in ("minted", "expired", "most_alive",
                                                      "token_calls")),
            f"{100 * gathered / waits:.1f} %" if gathered else "0"]


def markdown(rows):
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- " * len(COLUMNS) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def intervals(rows):
    """Mean and 95 % interval of the mean (Student's t, nine degrees of freedom) over ten seeds."""
    assert len(rows) == 10
    lines = ["| | mean | 95 % |", "| --- | --- | --- |"]
    for what, key, unit, digits in (("ticket peak, 100 ms", "ticket_peak_100ms", 400, 2),
                                    ("ticket peak, 1 s", "ticket_peak_1s", 4000, 2),
                                    ("seconds until 50 % are open", "open50_ms", 1000, 2),
                                    ("seconds until 99 %", "open99_ms", 1000, 2),
                                    ("seconds until 100 %", "open100_ms", 1000, 2),
                                    ("refused for each client", "refused_per_client", 1, 4),
                                    ("tickets expired", "expired", 1, 1)):
        values = [number(row, key) / unit for row in rows]
        half = 2.262 * statistics.stdev(values) / math.sqrt(len(values))
        lines.append(f"| {what} | {statistics.mean(values):.{digits}f} | ± {half:.{digits}f} |")
    return "\n".join(lines)


def storm(program, options):
    done = subprocess.run([program, "--csv", "-", *options], stdout=subprocess.PIPE, text=True,
                          check=True)
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    print("done:", " ".join(options), flush=True)
    return row


def write(name, text):
    with open(PAGE, encoding="utf-8") as page:
        old = page.read()
    pattern = rf"(<!-- table {name} -->\n).*?(<!-- end {name} -->)"
    new, count = re.subn(pattern, lambda found: found[1] + text + "\n" + found[2], old,
                         flags=re.DOTALL)
    assert count == 1, f"docs/storms.md has {count} places for the table {name}"
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write(new)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("storm")
    parser.add_argument("--only", help="tables and pictures by name, with commas", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at the same time")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else [*TABLES, *PLOTS]
    for name in wanted:
        if name not in TABLES and name not in PLOTS:
            parser.error(f"--only {name}: there are {', '.join([*TABLES, *PLOTS])}")
    os.makedirs(PICTURES, exist_ok=True)
    with ThreadPoolExecutor(args.jobs) as pool:
        begun = {name: [pool.submit(storm, args.storm, options) for options, _ in TABLES[name]]
                 for name in TABLES if name in wanted}
        drawn = [pool.submit(subprocess.run, [args.storm, "--svg", f"{PICTURES}/{name}",
                                              *options], check=True, stdout=subprocess.DEVNULL)
                 for name, options in PLOTS.items() if name in wanted]
        for name, rows in begun.items():
            rows = [row.result() for row in rows]
            write(name, intervals(rows) if name == "seeds"
                  else markdown([cells(label, row)
                                 for (_, label), row in zip(TABLES[name], rows)]))
        for picture in drawn:
            picture.result()


main()
