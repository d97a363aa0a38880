#!/usr/bin/python3
"""Measures and prints the table: bench.py PROGRAMS (see bench/run)."""

import argparse
import os
import tempfile

import cells
import table
from measure import Bench

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cpu_us(result):
    return (result["user"] + result["sys"]) * 1e6 / result["count"]


def p50_us(result):
    return result["p50_us"]


def per_second(result):
    return result["count"] / result["wall"]


def timed_rows(bench, args):
    """Everything that is compared with the wire, round by round."""
    for cell, value, unit in [(cell, cpu_us, "µs") for cell in cells.CPU] + \
                             [(cell, p50_us, "µs") for cell in cells.LATENCY]:
        if not args.wants(f"{cell.name}"):
            continue
        results = bench.rounds(cell, args.rounds)
        found = {name: {at: value(result) for at, result in rounds.items()}
                 for name, rounds in results.items()}
        if "wire" in found and "wst" in found:
            what = ", p50" if value is p50_us else ""
            peer = cells.PEER_GOAL.get(f"{cell.mode} {cell.size} {cell.type}", 0)
            yield table.ratio_row(cell.name + what, unit, found, cell.goal, peer)
            if cell.mode == "conn":
                yield speed_row(cell, results)


def speed_row(cell, results):
    """How many connections one after another make in a second."""
    speeds = {name: [per_second(result) for result in rounds.values()]
              for name, rounds in results.items()}
    ours = speeds.pop("wst")
    peers = {name: table.median(values) for name, values in speeds.items()}
    name = cell.name.replace("open and close", "connections per second")
    return table.value_row(name, "/s", ours, 0, peers)


def idle_rows(bench, args):
    """What one more connection costs, from one count to the next."""
    counts = cells.IDLE_COUNTS
    for tls in (0, 1):
        where = "TLS" if tls else "plain"
        if not args.wants(f"idle connection, {where}"):
            continue
        found = bench.idle(tls, counts, min(args.rounds, cells.IDLE_ROUNDS))
        for i in range(1, len(counts)):
            step = counts[i] - counts[i - 1]
            slopes = {name: [(sizes[i] - sizes[i - 1]) / step for sizes in rounds]
                      for name, rounds in found.items()}
            name = f"idle connection, {where} ({counts[i - 1]} to {counts[i]})"
            goal = cells.IDLE_GOAL[tls] if i == 1 else 0
            if "wst" in slopes:
                ours = slopes.pop("wst")
                peers = {peer: table.median(values) for peer, values in slopes.items()}
                yield table.value_row(name, "KiB", ours, goal, peers)


def instruction_rows(bench, args):
    for mode, size, kind, count, goal in cells.INSTRUCTIONS:
        cell = cells.Cell(mode, 0, size, kind, count)
        if not args.wants(f"instructions {cell.name}"):
            continue
        found = {name: bench.instructions(name, cell) for name in ("wire", "wst", "libwebsockets")
                 if name in bench.clients(cell)}
        if any(count is None for count in found.values()):
            continue
        name = f"instructions: {cell.name}"
        beyond = mode == cells.BEYOND_LOOP
        if beyond:
            more = {client: count - found["wire"] for client, count in found.items()
                    if client != "wire"}
            yield table.value_row(name + ", beyond the bare loop", "", [more.pop("wst")], goal,
                                  more)
        yield table.value_row(name, "", [found.pop("wst")], 0 if beyond else goal, found)


def engine_rows(bench, args):
    for what, size, kind, count in cells.ENGINE:
        words = {"recv": "receive", "send": "send"}[what]
        cell = cells.Cell("recv", 0, size, kind)
        name = "in memory: " + cell.name.replace("receive", words).removesuffix(", plain")
        if args.wants(name):
            times = [bench.engine(what, size, kind, count) for _ in range(args.rounds)]
            yield table.value_row(name, "ns", times, 0)


def wan_rows(bench, args):
    for mode, goal in cells.ROUND_TRIPS.items():
        if not args.wants(f"time to open, {mode}"):
            continue
        trips = bench.round_trips(mode, args.rounds, 100)
        if trips:
            yield table.value_row(f"time to open, {mode}", "round trips", trips, goal)


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run")
    parser.add_argument("programs", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5,
                        help="of everything, of idle connections at most 3; default 5")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--clients", help="only these columns, comma-separated; wire,wst always")
    parser.add_argument("--keep", action="store_true", help="do not write docs/performance.md")
    parser.add_argument("--realtime", action="store_true",
                        help="real-time priority, for a machine that others use, too (root)")
    args = parser.parse_args()
    args.wants = lambda name: args.only in name
    if args.clients is not None:
        wanted = {"wire", "wst", *args.clients.split(",")}
        for name in set(cells.CLIENTS) - wanted:
            del cells.CLIENTS[name]
    return args


def main():
    args = arguments()
    rows = []
    with tempfile.TemporaryDirectory(prefix="wst-bench-") as folder:
        bench = Bench(args.programs, folder, args.realtime)
        with bench.server():
            for part in (timed_rows, idle_rows, instruction_rows, engine_rows, wan_rows):
                for row in part(bench, args):
                    rows.append(row)
                    print(" | ".join(row), flush=True)
    text = f"Measured on: {table.machine()}; {args.rounds} rounds.\n\n" + table.markdown(rows)
    print("\n" + text)
    if not args.keep and not args.only and args.clients is None:
        table.write(os.path.join(TOP, "docs", "performance.md"), text)


main()
