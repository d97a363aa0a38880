#!/usr/bin/python3
"""The harness itself: a failure that is not counted would make every other test worthless."""

import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import coverage  # noqa: E402
import proc  # noqa: E402
import report  # noqa: E402
from tap import run  # noqa: E402


def outcomes(cases):
    return [(case.outcome, case.reason) for case in cases]


def shell(script, timeout=20):
    with tempfile.NamedTemporaryFile() as log:
        problem = proc.run(["sh", "-c", script], log.name, timeout)
        return problem, log.read().decode()


def tap_counts():
    """TAP: passed, failed with its comment, skipped with its reason"""
    cases, planned = report.from_tap(
        "1..4\nok 1 - a\nnot ok 2 - b\n# 1 != 2\n# at line 3\n"
        "ok 3 - c # SKIP no root\nnoise\nok 4 - d\n")
    assert planned == 4
    assert outcomes(cases) == [("passed", ""), ("failed", "1 != 2\nat line 3"),
                               ("skipped", "no root"), ("passed", "")], cases
    assert report.line(cases) == "2 passed, 1 failed, 1 skipped"
    cmocka, _ = report.from_tap("1..1\n# no danted\nok 1 # SKIP test_danted\n")
    assert cmocka == [report.Case("test_danted", "skipped", "no danted")], cmocka


def crash_counts():
    """a program that crashes, or ends before its plan is done, is a failure"""
    crashed = report.from_program("p", "1..2\nok 1 - a\n", "SIGSEGV")
    assert outcomes(crashed) == [("passed", ""), ("failed", "SIGSEGV")]
    early = report.from_program("p", "1..2\nok 1 - a\n", "")
    assert outcomes(early) == [("passed", ""), ("failed", "only 1 of 2 cases ran")]
    silent = report.from_program("p", "", "exit status 3")
    assert outcomes(silent) == [("failed", "exit status 3")]
    assert outcomes(report.from_program("p", "hello\n", "")) == [("passed", "")]


def meson_counts():
    """meson's log: a failure, a timeout and a skipped program are seen"""
    tests = [
        {"name": "l:base / good", "result": "OK", "stdout": "1..1\nok 1 - x\n"},
        {"name": "l:base / bad", "result": "FAIL", "stdout": "1..1\nnot ok 1 - y\n"},
        {"name": "late", "result": "TIMEOUT", "stdout": "", "stderr": "", "returncode": -9},
        {"name": "not here", "result": "SKIP", "stdout": "needs a kernel module\n"},
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
        log.write("".join(json.dumps(test) + "\n" for test in tests))
        log.flush()
        cases = report.from_meson(log.name)
    assert [case.name for case in cases] == ["good: x", "bad: y", "late", "not here"], cases
    assert [case.outcome for case in cases] == ["passed", "failed", "failed", "skipped"], cases
    assert cases[3].reason == "needs a kernel module"


def meson_notes():
    """lines that begin with "# note: " are seen, whatever else a program says"""
    tests = [{"name": "a", "result": "OK", "stdout": "1..1\n# note: 5 seeds\nok 1 - x\n"},
             {"name": "b", "result": "FAIL", "stderr": "# note: no\n"}]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
        log.write("".join(json.dumps(test) + "\n" for test in tests))
        log.flush()
        assert report.notes_from_meson(log.name) == ["5 seeds"]


def junit_counts():
    """pytest's report: passed, failed, broken in its fixture, skipped"""
    xml = ("<testsuites><testsuite><testcase classname='t.a' name='1'/>"
           "<testcase classname='t.a' name='2'><failure message='no'>why</failure></testcase>"
           "<testcase classname='t.a' name='3'><error message='fixture'/></testcase>"
           "<testcase classname='t.a' name='4'><skipped message='no nginx'/></testcase>"
           "</testsuite></testsuites>")
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as log:
        log.write(xml)
        log.flush()
        cases = report.from_junit(log.name)
    assert [case.outcome for case in cases] == ["passed", "failed", "failed", "skipped"], cases
    assert cases[3].reason == "no nginx"


def status():
    """a command's exit status and output are kept"""
    assert shell("echo said; exit 0") == ("", "$ sh -c echo said; exit 0\nsaid\n")
    assert shell("exit 4")[0] == "exit status 4"


def deadline():
    """a command that does not end is ended, with all that it started"""
    problem, _ = shell("sleep 1000 & trap '' TERM; while :; do wait; done", timeout=0.3)
    assert problem == "not done after 0.3 s", problem
    assert not proc.leftovers(-1), proc.leftovers(-1)


def left_behind():
    """a process that is left behind is killed and told, also when it made a session of its own"""
    problem, _ = shell("setsid sleep 1001 & sleep 1002 & exit 0")
    assert "sleep 1001" in problem and "sleep 1002" in problem, problem
    assert not proc.leftovers(-1), proc.leftovers(-1)


def judge(counts, excuses):
    """The outcome of each case, for a file of core whose lines ran |counts| times."""
    with tempfile.TemporaryDirectory() as top:
        os.makedirs(top + "/lib/core")
        with open(top + "/lib/core/a.c", "w", encoding="utf-8") as source:
            source.write("".join(f"line{number};\n" for number in range(1, len(counts) + 1)))
        with open(top + "/excuses", "w", encoding="utf-8") as file:
            file.write(excuses)
        lines = [{"line_number": number, "count": times,
                  "branches": [{"count": times}, {"count": 1}]}
                 for number, times in enumerate(counts, 1)]
        with open(top + "/report.json", "w", encoding="utf-8") as report_file:
            json.dump({"files": [{"file": "lib/core/a.c", "lines": lines}]}, report_file)
        _, cases = coverage.judge_report(top + "/report.json", top + "/excuses", top)
    # There is no wire: none of it is not all of it.
    return [case.outcome for case in cases if "wire" not in case.name]


def coverage_counts():
    """
    coverage: a line that did not run fails core; an excuse must be needed, speak of one line, and
    have a reason
    """
    good = "lib/core/*: line1;\n    Because.\n"
    assert judge([1] * 10, "") == ["passed"] * 4
    assert judge([0] + [1] * 9, "") == ["failed", "passed", "passed", "passed"]
    assert judge([0, 0] + [1] * 8, "") == ["failed", "failed", "failed", "passed"]
    assert judge([0] + [1] * 9, good) == ["passed"] * 4
    assert judge([0] + [1] * 9, "lib/core/*: line1;\n")[3] == "failed"
    assert judge([1] * 10, good) == ["passed", "passed", "passed", "failed"]
    assert judge([1] * 10, "lib/wire/*: line1;\n    Because.\n")[3] == "failed"
    # Line 1 and line 10; then the one of them.
    assert judge([0] * 1 + [1] * 9, "lib/core/a.c: line1\n    Because.\n")[3] == "failed"
    assert judge([0] * 1 + [1] * 9, "lib/core/a.c: line1;\n    Because.\n") == ["passed"] * 4
    assert judge([1] * 9 + [0], "lib/core/a.c: line9 // line1\n    Because.\n") == ["passed"] * 4
    assert judge([1] * 9 + [0], "lib/core/a.c: line8 // line1\n    Because.\n")[0] == "failed"


proc.adopt_orphans()
run([tap_counts, crash_counts, meson_counts, meson_notes, junit_counts, coverage_counts, status,
     deadline, left_behind])
