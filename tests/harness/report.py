"""Cases: what was run, how it ended, and the one line at the end."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections import namedtuple

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

# One thing that was tried.  |reason| says why, unless it passed.
Case = namedtuple("Case", "name outcome reason", defaults=("",))

TAP_LINE = re.compile(r"^(not )?ok\b *\d* *-? *(.*?)(?: *# *(SKIP)\b *(.*))?$", re.IGNORECASE)
TAP_PLAN = re.compile(r"^1\.\.(\d+)(?: *# *(?:SKIP)\b *(.*))?$", re.IGNORECASE)


def from_tap(text):
    """The cases of a TAP stream, and how many its plan promised (None without a plan)."""
    cases, planned, lines = [], None, text.splitlines()
    for at, line in enumerate(lines):
        plan = TAP_PLAN.match(line)
        if plan:
            planned = int(plan.group(1))
            continue
        found = TAP_LINE.match(line)
        if not found:
            continue
        bad, name, skip, why = found.groups()
        if skip:
            # cmocka has the name in the place of the reason: the reason is the comment before it.
            before = lines[at - 1].lstrip("# ") if at and lines[at - 1].startswith("#") else ""
            cases.append(Case(name or why, SKIPPED, why if name else before or "no reason given"))
        elif bad:
            cases.append(Case(name, FAILED, comment_after(lines, at)))
        else:
            cases.append(Case(name, PASSED))
    return cases, planned


def comment_after(lines, at):
    """The comment lines that follow a failed TAP line: its reason."""
    comment = []
    for line in lines[at + 1:]:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return "\n".join(comment)


def from_program(name, output, problem):
    """
    The cases of one test program: those of its TAP output, or itself as one.  |problem| says what
    was wrong with its end ("" when nothing was): a crash counts, and so do cases never reached.
    """
    cases, planned = from_tap(output)
    cases = [case._replace(name=f"{name}: {case.name}") for case in cases]
    failed = any(case.outcome == FAILED for case in cases)
    if planned is not None and planned > len(cases) and not problem:
        problem = f"only {len(cases)} of {planned} cases ran"
    if problem and not failed:
        cases.append(Case(name, FAILED, problem))
    return cases or [Case(name, PASSED)]


def from_meson(path):
    """The cases of `meson test`, from its testlog.json: one JSON object per test program."""
    cases = []
    with open(path, encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            name, output = test["name"].rsplit(" / ", 1)[-1], test.get("stdout") or ""
            if test["result"] == "SKIP":
                said = output.strip().splitlines()
                cases.append(Case(name, SKIPPED, said[-1] if said else "no reason given"))
                continue
            problem = ""
            if test["result"] not in ("OK", "EXPECTEDFAIL"):
                tail = (output + (test.get("stderr") or "")).strip()[-3000:]
                problem = f"{test['result']} (exit {test.get('returncode')})\n{tail}"
            cases += from_program(name, output, problem)
    return cases


def notes_from_meson(path):
    """What the test programs want to be seen in every run: their lines "# note: ..."."""
    notes = []
    with open(path, encoding="utf-8") as log:
        for line in log:
            said = json.loads(line).get("stdout") or ""
            notes += [text[len("# note: "):] for text in said.splitlines()
                      if text.startswith("# note: ")]
    return notes


def from_junit(path):
    """The cases of pytest's --junitxml."""
    cases = []
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname', '').split('.')[-1]}::{case.get('name')}"
        bad = case.find("failure")
        if bad is None:
            bad = case.find("error")
        skip = case.find("skipped")
        if bad is not None:
            cases.append(Case(name, FAILED, f"{bad.get('message', '')}\n{bad.text or ''}"[-4000:]))
        elif skip is not None:
            cases.append(Case(name, SKIPPED, skip.get("message", "")))
        else:
            cases.append(Case(name, PASSED))
    return cases


def count(cases, outcome):
    return sum(case.outcome == outcome for case in cases)


def line(cases):
    return ", ".join(f"{count(cases, kind)} {kind}" for kind in (PASSED, FAILED, SKIPPED))
