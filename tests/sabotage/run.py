#!/usr/bin/python3
"""
Can the checks fail?  run.py WORK [WORDS OF A NAME]: copies the tree to WORK, applies each sabotage of sabotages.py
to the copy, one at a time, builds what its check needs, and expects the check to fail.  Without
any, all those checks must pass.
"""

import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))
sys.path.insert(0, os.path.join(TOP, "tests", "style"))

from sabotages import SABOTAGES  # noqa: E402
from scratch import Scratch  # noqa: E402
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
PATIENCE = 120
scratch = Scratch(WORK)


def check_of(sabotage):
    """The words of the command that must fail."""
    program, *words = sabotage.program.split()
    return [scratch.program(program),
            *(os.path.join(scratch.tree, word) if "/" in word else word for word in words)]


def outcome(sabotage):
    """What the check said: (did it pass, the failed cases, its output)."""
    try:
        done = subprocess.run(check_of(sabotage), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=PATIENCE, check=False,
                              env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
    except subprocess.TimeoutExpired as late:
        return False, [], (late.output or b"").decode(errors="replace") + "\n(not done)"
    said = done.stdout.decode(errors="replace")
    failed = re.findall(r"not ok \d+ - (\w+)", said)
    return done.returncode == 0, failed, said


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
        passed, _, said = outcome(sabotage)
        assert passed, f"{program} fails by itself\n{said[-3000:]}"
        assert sabotage.case is None or " - " in said, f"{program} tells no cases"


def case_of(sabotage):
    def check():
        with scratch.changed(sabotage.file, sabotage.old, sabotage.new):
            scratch.build(scratch.target(sabotage.program.split()[0]))
            passed, failed, said = outcome(sabotage)
        assert not passed, f"survived: {' '.join(check_of(sabotage))}"
        # A crash ends the program before it tells.
        assert sabotage.case is None or sabotage.case in failed or not failed, (
            f"another check failed: {failed}\n{said[-2000:]}")

    check.__doc__ = f"caught: {sabotage.name}"
    return check


run([coverage, baseline] + [case_of(sabotage) for sabotage in SABOTAGES if CHOSEN in sabotage.name])
