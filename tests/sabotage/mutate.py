#!/usr/bin/python3
"""
Would a test notice?  mutate.py WORK [--every N]: every mutant of lib/core (mutants.py) is compiled
and run against the core's tests, the exploration last.  The survivors must be those of
survivors.txt, where each has its reason: one more is a gap in the tests, one less is stale.
With --every only each N-th mutant is tried, and with --only those with these words in their name.
"""

import argparse
import collections
import concurrent.futures
import glob
import os
import subprocess
import sys
import threading

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))
sys.path.insert(0, os.path.join(TOP, "tests", "style"))

from mutants import mutants_of, mutated  # noqa: E402
from scratch import Scratch, read  # noqa: E402
from tap import command, run  # noqa: E402

SURVIVORS = os.path.join(TOP, "tests", "sabotage", "survivors.txt")
CFLAGS = ["-std=c11", "-O2", "-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE", "-w"]
TESTS = ["rng", "backoff", "verdict", "attempt", "link", "settle", "table", "seeds"]
# The tests that are most likely to notice come first.
FIRST = {"core": "table", "core_attempt": "attempt", "core_link": "link", "core_settle": "settle",
         "backoff": "backoff", "rng": "rng", "verdict": "verdict"}
# Seeds enough to notice; the exploration does the rest.
ARGUMENTS = {"seeds": ["1", "1500"], "explore": ["--short"]}
# A mutant that runs for ever is noticed, too.  The exploration takes the longest, when it passes.
PATIENCE = {"explore": 900}

Options = argparse.ArgumentParser()
Options.add_argument("work")
Options.add_argument("--every", type=int, default=1)
Options.add_argument("--only", default="")
options = Options.parse_args()


class Bench:
    """Objects of the tests and of the core as it is; a mutant replaces one of the core's."""

    def __init__(self, work):
        scratch = Scratch(work)
        scratch.build("tests/core/test_core_rng")  # Configures, and makes the public header.
        self.work = os.path.join(work, "mutants")
        self.tree = scratch.tree
        os.makedirs(self.work, exist_ok=True)
        self.includes = ["-I" + os.path.join(scratch.tree, "lib"),
                         "-I" + os.path.join(scratch.where, "include"),
                         "-I" + os.path.join(scratch.tree, "tests", "core"),
                         "-I" + os.path.join(scratch.tree, "tests", "explore")]
        self.core = {name: self.compile(f"lib/core/{name}.c") for name in FIRST}
        tale = self.compile("tests/core/tale.c")
        self.programs = {name: [self.compile(f"tests/core/test_{name}.c"), tale] for name in TESTS}
        self.programs["explore"] = [self.compile(os.path.relpath(path, self.tree)) for path in
                                    sorted(glob.glob(self.tree + "/tests/explore/*.c"))]

    def compile(self, name, source=None, out=None):
        source = source or os.path.join(self.tree, name)
        out = out or os.path.join(self.work, os.path.basename(name)[:-2] + ".o")
        command("gcc", *CFLAGS, *self.includes, "-c", source, "-o", out)
        return out

    def passes(self, program, core, folder):
        """Does this test pass with these objects of the core?"""
        path = os.path.join(folder, program)
        # The exploration has a generator of its own.
        objects = [obj for name, obj in core.items() if name != "rng" or program != "explore"]
        command("gcc", *self.programs[program], *objects, "-lcmocka", "-o", path)
        try:
            done = subprocess.run([path, *ARGUMENTS.get(program, [])], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, cwd=folder, check=False,
                                  timeout=PATIENCE.get(program, 60))
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def killer(self, name, folder, core):
        """The first test that fails, or "" when none does."""
        for program in sorted([*TESTS, "explore"], key=lambda test: test != FIRST[name]):
            if not self.passes(program, core, folder):
                return program
        return ""

    def try_mutant(self, name, mutant):
        folder = os.path.join(self.work, f"thread-{threading.get_ident()}")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name + ".c")
        with open(path, "w", encoding="utf-8") as out:
            out.write(mutated(self.sources[name], mutant))
        obj = self.compile(name + ".c", path, os.path.join(folder, name + ".o"))
        killer = self.killer(name, folder, {**self.core, name: obj})
        with open(os.path.join(self.work, "log"), "a", encoding="utf-8") as log:
            log.write(f"{killer or 'SURVIVED':8} {name}.c: {mutant.name}\n")
        return killer

    @property
    def sources(self):
        return {name: read(os.path.join(self.tree, f"lib/core/{name}.c")).decode()
                for name in FIRST}


def explained():
    """{name of a survivor: its reason} of survivors.txt."""
    found = {}
    with open(SURVIVORS, encoding="utf-8") as text:
        for line in text:
            if line.startswith("    "):
                found[name] += line.strip()
            elif line.strip() and not line.startswith("#"):
                name = line.strip()
                found[name] = ""
    return found


bench = Bench(options.work)
chosen, killed = [], {}


def all_pass():
    """the tests pass with the core as it is"""
    folder = os.path.join(bench.work, "as-it-is")
    os.makedirs(folder, exist_ok=True)
    killer = bench.killer("core", folder, bench.core)
    assert not killer, killer


def reasons():
    """every survivor that is listed is a mutant, and has its reason"""
    known = {f"{name}.c: {mutant.name}" for name, source in bench.sources.items()
             for mutant in mutants_of(source)}
    wrong = [name for name, why in explained().items() if not why or name not in known]
    assert not wrong, "\n".join(wrong)


def survivors():
    """the survivors among the mutants of lib/core are those that are listed"""
    mutants = [(name, mutant) for name, source in bench.sources.items()
               for mutant in mutants_of(source)]
    chosen[:] = [(name, mutant) for name, mutant in mutants[::options.every]
                 if options.only in f"{name}.c: {mutant.name}"]
    with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count())) as pool:
        killers = list(pool.map(lambda pair: bench.try_mutant(*pair), chosen))
    killed.update(collections.Counter(killers))
    alive = {f"{name}.c: {mutant.name}" for (name, mutant), killer in zip(chosen, killers)
             if not killer}
    tried = {f"{name}.c: {mutant.name}" for name, mutant in chosen}
    listed = set(explained()) & tried
    print(f"# {len(chosen)} of {len(mutants)} mutants, {len(alive)} survivors; noticed by "
          + ", ".join(f"{test} {count}" for test, count in sorted(killed.items()) if test))
    wrong = ([f"survived, but is not listed: {name}" for name in sorted(alive - listed)]
             + [f"is listed, but did not survive: {name}" for name in sorted(listed - alive)])
    assert not wrong, "\n".join(wrong)


run([all_pass, reasons, survivors])
