"""
Coverage: lines and branches of each room, from gcovr's JSON, less what tests/harness/excuses
excuses.

An excuse is "PATH: TEXT" with its reason on the indented lines below.  It speaks of the one line of
that file that holds TEXT, and of what stands below a label: what of these was not run is not
counted.  "PATH: ABOVE // TEXT" is the line that holds TEXT below one that holds ABOVE.  Where PATH
has a *, it may speak of many lines.
"""

import fnmatch
import json
import os
import textwrap
from collections import namedtuple

from report import FAILED, PASSED, Case

ROOMS = ["base", "core", "wire", "io", "client", "whole"]
# Least per cent of lines and of branches; None: no threshold.
THRESHOLDS = {"core": (100, 95), "wire": (100, 95), "whole": (90, None)}

Excuse = namedtuple("Excuse", "path text reason")
# What one line has: itself and its branches.  |text|: behind the label above it, if there is one.
Row = namedtuple("Row", "path number above text lines branches")


def read_excuses(path):
    excuses = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line[0] in "#\n":
                continue
            if line[0].isspace():
                last = excuses.pop()
                excuses.append(last._replace(reason=f"{last.reason} {line.strip()}".strip()))
            else:
                where, text = line.strip().split(": ", 1)
                excuses.append(Excuse(where, text, ""))
    return excuses


def rows(report, top):
    """A row for each line with code: (run, all) for the line itself and for its branches."""
    with open(report, encoding="utf-8") as text:
        files = json.load(text)["files"]
    for file in files:
        with open(os.path.join(top, file["file"]), encoding="utf-8") as source:
            code = source.read().splitlines()
        for line in file["lines"]:
            if line.get("gcovr/noncode"):
                continue
            taken = sum(branch["count"] > 0 for branch in line["branches"])
            number = line["line_number"]
            text, above = code[number - 1].strip(), code[number - 2].strip() if number > 1 else ""
            yield Row(file["file"], number, above,
                      f"{above} {text}" if above.endswith(":") else text,
                      (int(line["count"] > 0), 1), (taken, len(line["branches"])))


def speaks_of(excuse, row):
    above, _, text = excuse.text.rpartition(" // ")
    return fnmatch.fnmatch(row.path, excuse.path) and text in row.text and above in row.above


def excused(row, excuses):
    return [excuse for excuse in excuses if speaks_of(excuse, row)]


def count(found, excuses):
    """Sums of each room, and what is missing of it: rooms with a threshold for it only."""
    sums = {room: [0, 0, 0, 0] for room in ROOMS}
    missing = []
    for row in found:
        is_excused = bool(excused(row, excuses))
        (line_run, lines), (taken, branches) = row.lines, row.branches
        if is_excused:
            lines, branches = line_run, taken
        room = row.path.split("/")[1]
        for sum_of in (sums[room], sums["whole"]):
            for at, number in enumerate((line_run, lines, taken, branches)):
                sum_of[at] += number
        if room in THRESHOLDS and (line_run < lines or taken < branches):
            missing.append(f"{row.path}:{row.number}: "
                           f"{'not run' if line_run < lines else f'{taken}/{branches} branches'}: "
                           f"{row.text}")
    return sums, missing


def per_cent(run, of):
    return 100 * run / of if of else 100.0


def table(sums):
    return "\n".join(f"  {room:8} lines {per_cent(*sums[room][:2]):6.2f} %   "
                     f"branches {per_cent(*sums[room][2:]):6.2f} %" for room in ROOMS)


def judge(sums, missing):
    """A case for each threshold."""
    cases = []
    for room, least in THRESHOLDS.items():
        for what, at, wanted in (("lines", 0, least[0]), ("branches", 2, least[1])):
            if wanted is None:
                continue
            run, of = sums[room][at:at + 2]
            name = f"coverage: {room}: {wanted} % of {what}"
            good = of > 0 and per_cent(run, of) >= wanted
            lines = [line for line in missing if line.startswith(f"lib/{room}/")
                     and (what == "branches" or ": not run: " in line)]
            reason = "\n".join([*lines, f"{run} of {of}: {per_cent(run, of):.2f} %"])
            cases.append(Case(name, PASSED if good else FAILED, "" if good else reason))
    return cases


def places(found):
    """The numbers of these lines; a label and what stands below it are one."""
    numbers = {row.number for row in found}
    return sorted(row.number for row in found
                  if not (row.above.endswith(":") and row.number - 1 in numbers))


def check_excuses(excuses, found):
    """Each has a reason, and speaks of one line, which there is and which was not all run."""
    wrong = [f"{excuse.path}: {excuse.text}: no reason" for excuse in excuses if not excuse.reason]
    for excuse in excuses:
        of_it = [row for row in found if excused(row, [excuse])]
        if not of_it:
            wrong.append(f"{excuse.path}: {excuse.text}: there is no such line")
        elif "*" not in excuse.path and len(places(of_it)) > 1:
            wrong.append(f"{excuse.path}: {excuse.text}: lines {', '.join(map(str, places(of_it)))}")
        elif all(row.lines[0] and row.branches[0] == row.branches[1] for row in of_it):
            wrong.append(f"{excuse.path}: {excuse.text}: it is covered")
    return Case("coverage: every excuse is needed", FAILED if wrong else PASSED, "\n".join(wrong))


def judge_report(report, excuses_path, top):
    """The table to print, and the cases."""
    found = list(rows(report, top))
    excuses = read_excuses(excuses_path)
    sums, missing = count(found, excuses)
    without, _ = count(found, [])
    text = (f"{table(sums)}\n  Without the {len(excuses)} excuses of "
            f"{os.path.relpath(excuses_path, top)}:\n{textwrap.indent(table(without), '  ')}")
    return text, [*judge(sums, missing), check_excuses(excuses, found)]
