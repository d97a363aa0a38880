#!/usr/bin/python3
"""
Would a test notice?  mutate.py WORK [--thorough] [--only WORDS]: every mutant of lib/core
(mutants.py) runs against the core's tests, the exploration last.  The survivors must be those of
survivors.txt, where each has its reason: one more is a gap in the tests, one less is stale.  The
same holds for those that no test finds wrong, but which run until the patience is over: late.txt.

Those that are listed are not explored, which takes the longest, unless --thorough.
"""

import argparse
import collections
import concurrent.futures
import glob
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))
sys.path.insert(0, os.path.join(TOP, "tests", "style"))

from mutants import mutants_of, with_all  # noqa: E402
from scratch import Scratch, play, read  # noqa: E402
from tap import command, run  # noqa: E402

HERE = os.path.join(TOP, "tests", "sabotage")
CFLAGS = ["-std=c11", "-O2", "-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE", "-w"]
TESTS = ["attempt", "link", "settle", "table", "backoff", "verdict", "rng", "seeds"]
# The test that is most likely to notice comes first.
FIRST = {"core.c": "table", "core_attempt.c": "attempt", "core_link.c": "link",
         "core_settle.c": "settle", "backoff.c": "backoff", "rng.c": "rng",
         "verdict.c": "verdict", "core_int.h": "attempt"}
SEEDS = ["core/book", "core/play", "lib/sweep"]  # What its test needs beside.
ARGUMENTS = {"explore": ["--short", "-"]}
# Seeds enough to notice; the exploration does the rest.
VARIABLES = {"WST_CORE_SEEDS": "1500"}
# In seconds: of the exploration, which takes long when it passes; the others need milliseconds.
PATIENCE = {"explore": 900}
PASSED, FAILED, LATE = "passed", "failed", "late"
SWITCH = """
#include <stdlib.h>
int wst_mutant;
__attribute__((constructor)) static void read_mutant(void)
{
    const char *number = getenv("WST_MUTANT");

    wst_mutant = number ? atoi(number) : 0;
}
"""

parser = argparse.ArgumentParser()
parser.add_argument("work")
parser.add_argument("--thorough", action="store_true")
parser.add_argument("--only", default="")
options = parser.parse_args()


class Bench:
    """The core's tests, linked with a core that has all mutants in it."""

    def __init__(self, work):
        scratch = Scratch(work)
        scratch.build("tests/core/test_core_rng")  # Configures, and makes the public header.
        self.work = os.path.join(work, "mutants")
        self.tree = scratch.tree
        os.makedirs(os.path.join(self.work, "core"), exist_ok=True)
        self.includes = ["-I" + self.work] + [
            "-I" + os.path.join(*path) for path in
            ((self.tree, "lib"), (scratch.where, "include"), (self.tree, "tests"),
             (self.tree, "tests", "core"), (self.tree, "tests", "explore"))]
        self.mutants = []
        core = self.make_core()
        tale = self.compile("tests/core/tale.c")
        seeds = [self.compile(f"tests/{name}.c") for name in SEEDS]
        for name in TESTS:
            self.link(name, [self.compile(f"tests/core/test_{name}.c"), tale,
                             *(seeds if name == "seeds" else []), *core.values()])
        # The exploration has a generator of its own.
        del core["rng.c"]
        self.link("explore", [self.compile(os.path.relpath(path, self.tree)) for path in
                              sorted(glob.glob(self.tree + "/tests/explore/*.c"))]
                  + list(core.values()))

    def make_core(self):
        """{source: object} with all mutants in them; numbers them on the way, from 1."""
        switch = os.path.join(self.work, "switch.c")
        with open(switch, "w", encoding="utf-8") as out:
            out.write(SWITCH)
        for name in sorted(FIRST, reverse=True):  # The header first.
            source = read(os.path.join(self.tree, "lib", "core", name)).decode()
            numbered = {}
            for mutant in mutants_of(source):
                self.mutants.append((name, f"{name}: {mutant.name}"))
                numbered[len(self.mutants)] = mutant
            with open(os.path.join(self.work, "core", name), "w", encoding="utf-8") as out:
                out.write("extern int wst_mutant;\n" + with_all(source, numbered))
        objects = {name: self.compile(f"core/{name}", os.path.join(self.work, "core", name))
                   for name in FIRST if name.endswith(".c")}
        return {**objects, "switch.c": self.compile("switch.c", switch)}

    def compile(self, name, source=None):
        out = os.path.join(self.work, name.replace("/", "-")[:-2] + ".o")
        command("gcc", *CFLAGS, *self.includes, "-c", source or os.path.join(self.tree, name),
                "-o", out)
        return out

    def link(self, program, objects):
        command("gcc", *objects, "-lcmocka", "-o", os.path.join(self.work, program))

    def outcome(self, program, number):
        status, _ = play([os.path.join(self.work, program), *ARGUMENTS.get(program, [])],
                         PATIENCE.get(program, 15), **VARIABLES, WST_MUTANT=str(number))
        return LATE if status is None else FAILED if status else PASSED

    def killer(self, name, number, explored=True):
        """
        The first test that fails with this mutant; LATE when none does, but one does not end, and
        PASSED when all pass.
        """
        verdict = PASSED
        for program in sorted(TESTS, key=lambda test: test != FIRST[name]):
            outcome = self.outcome(program, number)
            if outcome == FAILED:
                return program
            if outcome == LATE:
                verdict = LATE
        if not explored or verdict == LATE:
            return verdict
        outcome = self.outcome("explore", number)
        return "explore" if outcome == FAILED else outcome


def explained(name):
    """{name of a mutant: its reason} of one of the lists."""
    found = {}
    with open(os.path.join(HERE, name), encoding="utf-8") as text:
        for line in text:
            if line.startswith("    "):
                found[name] += line.strip() + " "
            elif line.strip() and not line.startswith("#"):
                name = line.strip()
                found[name] = ""
    return found


bench = Bench(options.work)
# By what comes of them.
listed = {PASSED: explained("survivors.txt"), LATE: explained("late.txt")}


def all_pass():
    """the tests pass while no mutant is at work"""
    killer = bench.killer("core.c", 0)
    assert killer == PASSED, killer


def reasons():
    """every mutant that is listed, surviving or late, is one, and has its reason"""
    known = {mutant for _, mutant in bench.mutants}
    assert len(known) == len(bench.mutants)
    wrong = [name for names in listed.values() for name, why in names.items()
             if not why or name not in known]
    assert not wrong, "\n".join(wrong)


def survivors():
    """the mutants of lib/core that survive, or are only late, are those that are listed"""
    chosen = [(number, *mutant) for number, mutant in enumerate(bench.mutants, 1)
              if options.only in mutant[1]]

    def try_one(entry):
        number, name, mutant = entry
        return bench.killer(name, number, options.thorough or mutant not in listed[PASSED])

    with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count())) as pool:
        killers = list(pool.map(try_one, chosen))
    counts = collections.Counter(killers)
    print(f"# {len(chosen)} of {len(bench.mutants)} mutants: {counts.pop(PASSED, 0)} survive, "
          f"{counts.pop(LATE, 0)} only run too long; noticed by "
          + ", ".join(f"{test} {count}" for test, count in counts.most_common()))
    wrong = []
    for verdict, names in listed.items():
        found = {mutant for (_, _, mutant), killer in zip(chosen, killers) if killer == verdict}
        expected = set(names) & {mutant for _, _, mutant in chosen}
        wrong += [f"{verdict}, but is not listed: {name}" for name in sorted(found - expected)]
        wrong += [f"is listed, but is not {verdict}: {name}" for name in sorted(expected - found)]
    assert not wrong, "\n".join(wrong)


run([all_pass, reasons, survivors])
