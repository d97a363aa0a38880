#!/usr/bin/python3
"""
Can the checks fail?  run.py WORK [WORDS OF A NAME]: copies the tree to WORK, applies each sabotage of sabotages.py
to the copy, one at a time, builds what its check needs, and expects the check to fail, in the way
that the sabotage says: a failure of another kind is no proof.  Without any, all those checks must
pass.
"""

import os
import re
import signal
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))
sys.path.insert(0, os.path.join(TOP, "tests", "style"))

from sabotages import SABOTAGES  # noqa: E402
from scratch import Scratch, play  # noqa: E402
from tap import run  # noqa: E402

WORK = sys.argv[1]
CHOSEN = " ".join(sys.argv[2:])
# Every one of these must be covered.
WANTED = [f"promise {number}" for number in range(1, 15)] + [
    "row: transient", "row: soft", "row: 401 in step 2", "row: ticket", "row: token", "row: auth",
    "row: refused", "row: protocol", "row: the application's verdict",
    "a ticket reused", "a ticket fetched before the wait", "a late answer accepted",
    "the counter reset at open", "the clamp after the jitter", "a dial left behind by stop",
    "the trust store widened", "https_proxy ignored"]
PATIENCE = 400
# Programs that name no cases, but the promises that are broken.
PROMISES = {
    "explore/test_explore": r"^not ok - .*: a promise is broken\n# [^:\n]+:\d+: (.*)$",
    "sim/test_sim_seeds": r"^# (?:\[[ \d]+\] )?!!! ([^:\n]*)"}
cases = {}  # Of each program, in their order.
scratch = Scratch(WORK)


def check_of(sabotage):
    """The words of the command that must fail."""
    program, *words = sabotage.program.split()
    return [scratch.program(program),
            *(os.path.join(scratch.tree, word) if "/" in word else word for word in words)]


def outcome(sabotage):
    """How the check ended ("passed", "failed", "late", the name of a signal), and its output."""
    status, said = play(check_of(sabotage), PATIENCE, CMOCKA_MESSAGE_OUTPUT="TAP")
    if status is None:
        return "late", said
    if status < 0:
        return signal.Signals(-status).name, said
    return "failed" if status else "passed", said


def is_told(sabotage, said):
    """
    Does the output name what the sabotage breaks?  A case by its line; one that the program did not
    survive by the lines of all before it; a promise, where |case| is one, by its own words, and so
    is what a telling of the torture found.
    """
    program, case = sabotage.program.split()[0], sabotage.case
    if program == "torture/test_torture":
        return re.search(rf"^FAILED .*{re.escape(case)}", said, re.MULTILINE)
    if program in PROMISES:
        return case in re.findall(PROMISES[program], said, re.MULTILINE)
    if sabotage.how == "failed":
        return re.search(rf"not ok \d+ - {case}\b", said)  # Behind words, too.
    told = re.findall(r"^ok \d+ - (\w+)", said, re.MULTILINE)
    return told + [case] == cases[program][:len(told) + 1]


def coverage():
    """every promise, every row of the failure table and every named mistake has a sabotage"""
    covered = {what for sabotage in SABOTAGES for what in sabotage.covers}
    names = [sabotage.name for sabotage in SABOTAGES]
    assert len(set(names)) == len(names) >= 25
    assert covered == set(WANTED), covered ^ set(WANTED)


def baseline():
    """without a sabotage, all checks pass"""
    programs = {sabotage.program: sabotage for sabotage in SABOTAGES if CHOSEN in sabotage.name}
    scratch.build(*(scratch.target(program.split()[0]) for program in programs))
    for program, sabotage in programs.items():
        how, said = outcome(sabotage)
        assert how == "passed", f"{program}, by itself: {how}\n{said[-3000:]}"
        cases[program.split()[0]] = re.findall(r"^ok \d+ - (\w+)", said, re.MULTILINE)


def case_of(sabotage):
    def check():
        with scratch.changed(sabotage.file, sabotage.old, sabotage.new):
            scratch.build(scratch.target(sabotage.program.split()[0]))
            how, said = outcome(sabotage)
        assert how != "passed", f"survived: {' '.join(check_of(sabotage))}"
        assert how == sabotage.how and is_told(sabotage, said), (
            f"{how}, but not as expected ({sabotage.how}: {sabotage.case})\n{said[-2000:]}")

    check.__doc__ = f"caught: {sabotage.name}"
    return check


run([coverage, baseline] + [case_of(sabotage) for sabotage in SABOTAGES if CHOSEN in sabotage.name])
