"""The table: rows of text cells in, Markdown out."""

import os
import platform
import re
import statistics

from cells import CLIENTS

BEGIN = "<!-- bench/run writes from here -->"
END = "<!-- to here -->"


def columns():
    """The peers, as far as they are wanted."""
    return [name for name in CLIENTS if name not in ("wire", "wst")]


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def median(values):
    return statistics.median(values)


def spread(values):
    """Median, with the quartiles."""
    if len(values) < 2:
        return number(values[0])
    lower, _, upper = statistics.quantiles(values, method="inclusive")
    return f"{number(median(values))} ({number(lower)}–{number(upper)})"


def verdict(value, goal):
    if not goal:
        return ""
    return f"≤ {goal:g} " + ("✓" if value <= goal else "**missed**")


def ratio_row(name, unit, found, goal, peer_goal=0):
    """One row: wire in |unit|, everybody else as ratios to it, taken within a round."""
    wire = found["wire"]
    ratios = {client: [value / wire[at] for at, value in values.items() if at in wire]
              for client, values in found.items() if client != "wire"}
    ours = median(ratios["wst"])
    peers = [median(ratios[peer]) for peer in columns() if ratios.get(peer)]
    if peer_goal and peers:
        said = f"≤ {peer_goal:g} x best peer " + (
            "✓" if ours <= peer_goal * min(peers) else "**missed**")
    else:
        said = verdict(ours, goal)
    return [name, f"{number(median(wire.values()))} {unit}", spread(ratios["wst"]), said,
            *(number(median(ratios[peer])) if ratios.get(peer) else "" for peer in columns())]


def value_row(name, unit, ours, goal, others=None):
    """One row of absolute values: |ours| a list of rounds, |others| {client: value}."""
    others = others or {}
    wire = f"{number(others['wire'])} {unit}" if "wire" in others else ""
    return [name, wire, f"{spread(ours)} {unit}", verdict(median(ours), goal),
            *(number(others[peer]) if others.get(peer) is not None else "" for peer in columns())]


def markdown(rows):
    head = ["work", "wire", "libwsticket", "goal", *columns()]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = re.search(r"model name\s*: (.*)", info.read())
    return (f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} processors, "
            f"Linux {platform.release()}")


def write(path, text):
    """Puts |text| between the marks of the page; what is written by hand stays."""
    with open(path, encoding="utf-8") as page:
        old = page.read()
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    with open(path, "w", encoding="utf-8") as page:
        page.write(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
