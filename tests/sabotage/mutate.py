#!/usr/bin/python3
"""
Would a test notice?  mutate.py WORK [--thorough] [--only WORDS]: every mutant of lib/core
(mutants.py) runs against the core's tests, the exploration last.  The survivors must be those of
survivors.txt, where each has its reason: one more is a gap in the tests, one less is stale.

Those that are listed are not explored, which takes the longest, unless --thorough.
"""

import argparse
import collections
import concurrent.futures
import glob
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))
sys.path.insert(0, os.path.join(TOP, "tests", "style"))

from mutants import mutants_of, with_all  # noqa: E402
from scratch import Scratch, read  # noqa: E402
from tap import command, run  # noqa: E402

SURVIVORS = os.path.join(TOP, "tests", "sabotage", "survivors.txt")
CFLAGS = ["-std=c11", "-O2", "-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE", "-w"]
TESTS = ["attempt", "link", "settle", "table", "backoff", "verdict", "rng", "seeds"]
# The test that is most likely to notice comes first.
FIRST = {"core.c": "table", "core_attempt.c": "attempt", "core_link.c": "link",
         "core_settle.c": "settle", "backoff.c": "backoff", "rng.c": "rng",
         "verdict.c": "verdict", "core_int.h": "attempt"}
# Seeds enough to notice; the exploration does the rest.
ARGUMENTS = {"seeds": ["1", "1500"], "explore": ["--short", "-"]}
# A mutant that runs for ever is noticed, too.  The exploration takes long when it passes.
PATIENCE = {"explore": 900}
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
            ((self.tree, "lib"), (scratch.where, "include"), (self.tree, "tests", "core"),
             (self.tree, "tests", "explore"))]
        self.mutants = []
        core = self.make_core()
        tale = self.compile("tests/core/tale.c")
        for name in TESTS:
            self.link(name, [self.compile(f"tests/core/test_{name}.c"), tale, *core.values()])
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

    def passes(self, program, number):
        try:
            done = subprocess.run([os.path.join(self.work, program), *ARGUMENTS.get(program, [])],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "WST_MUTANT": str(number)}, check=False,
                                  timeout=PATIENCE.get(program, 60))
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def killer(self, name, number, explored=True):
        """The first test that fails with this mutant, or "" when none does."""
        for program in sorted(TESTS, key=lambda test: test != FIRST[name]):
            if not self.passes(program, number):
                return program
        return "explore" if explored and not self.passes("explore", number) else ""


def explained():
    """{name of a survivor: its reason} of survivors.txt."""
    found = {}
    with open(SURVIVORS, encoding="utf-8") as text:
        for line in text:
            if line.startswith("    "):
                found[name] += line.strip() + " "
            elif line.strip() and not line.startswith("#"):
                name = line.strip()
                found[name] = ""
    return found


bench = Bench(options.work)
listed = explained()


def all_pass():
    """the tests pass while no mutant is at work"""
    killer = bench.killer("core.c", 0)
    assert not killer, killer


def reasons():
    """every survivor that is listed is a mutant, and has its reason"""
    known = {mutant for _, mutant in bench.mutants}
    assert len(known) == len(bench.mutants)
    wrong = [name for name, why in listed.items() if not why or name not in known]
    assert not wrong, "\n".join(wrong)


def survivors():
    """the survivors among the mutants of lib/core are those that are listed"""
    chosen = [(number, *mutant) for number, mutant in enumerate(bench.mutants, 1)
              if options.only in mutant[1]]

    def try_one(entry):
        number, name, mutant = entry
        return bench.killer(name, number, options.thorough or mutant not in listed)

    with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count())) as pool:
        killers = list(pool.map(try_one, chosen))
    alive = {mutant for (_, _, mutant), killer in zip(chosen, killers) if not killer}
    expected = set(listed) & {mutant for _, _, mutant in chosen}
    counts = collections.Counter(killer for killer in killers if killer)
    print(f"# {len(chosen)} of {len(bench.mutants)} mutants, {len(alive)} survivors; noticed by "
          + ", ".join(f"{test} {count}" for test, count in counts.most_common()))
    wrong = ([f"survived, but is not listed: {name}" for name in sorted(alive - expected)]
             + [f"is listed, but did not survive: {name}" for name in sorted(expected - alive)])
    assert not wrong, "\n".join(wrong)


run([all_pass, reasons, survivors])
