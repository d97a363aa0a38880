"""
The suites.  Each is a function of the place (where things are built) and a log file, and returns
its cases.

Tests that start programs of ours are told by variables:
    WST_BUILD         the build directory: examples/wsticket/wsticket, examples/minimal,
                      examples/server/wsticket-server
    WST_WRAP          words to put before a program of ours, split as a shell does; e.g. valgrind
    WST_PATIENCE      seconds that a test waits for something before it fails
    WST_LONG          "1": sweeps run in their long form
    WST_FUZZ_SECONDS  for each fuzz target (tests/fuzz/run.py)
"""

import glob
import os
import re
import shutil
import time

import proc
from coverage import judge_report as judge_coverage
from report import (FAILED, PASSED, SKIPPED, Case, from_junit, from_meson, from_program,
                    notes_from_meson)

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:allocator_may_return_null=1:"
                    "exitcode=97",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=97",
}
# Of the sweeps, in a whole run; in their long form (suite unit) they know by themselves.
SEEDS = {"WST_SIM_SEEDS": "100000", "WST_CORE_SEEDS": "100000"}
PYTEST_DIRS = ["tests/server", "tests/e2e"]


class Place:
    """Where the builds and logs of this run are, and what was asked for."""

    def __init__(self, quick=False, long=False, fuzz_seconds=None):
        self.top = os.path.join(TOP, "build-run")
        self.begun = time.time()
        self.quick, self.long = quick, long
        self.env = {"WST_LONG": "1"} if long else {}
        if fuzz_seconds is None:
            fuzz_seconds = 3600 if long else 10
        self.env["WST_FUZZ_SECONDS"] = str(fuzz_seconds)
        self.notes = []
        self.built = {}
        os.makedirs(os.path.join(self.top, "logs"), exist_ok=True)

    def log(self, name):
        path = os.path.join(self.top, "logs", name + ".log")
        open(path, "w", encoding="utf-8").close()
        return path

    def empty_dir(self, name):
        path = os.path.join(self.top, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def build(self, name, log, options=(), env=None, targets=()):
        """
        Configures and builds in build-run/NAME, once per run: all of it or |targets|.  Returns the
        directory and the cases: the build itself is one, since a warning is an error in it.
        """
        where = os.path.join(self.top, name)
        if name in self.built:
            broken = Case(f"build {name}", FAILED, "it did not build")
            return where, [] if self.built[name] else [broken]
        meson = ["meson", "setup", where, TOP, "-Dwerror=true", *options]
        if os.path.exists(os.path.join(where, "build.ninja")):
            meson.insert(2, "--reconfigure")
        problem = (proc.run(meson, log, 120, env=env)
                   or proc.run(["ninja", "-C", where, *targets], log, 900, env=env))
        self.built[name] = not problem
        if problem:
            return where, [Case(f"build {name}", FAILED, f"{problem}\n{tail(log)}")]
        return where, [Case(f"build {name} without a warning", PASSED)]


def tail(path, size=3000):
    with open(path, encoding="utf-8", errors="replace") as log:
        return log.read()[-size:]


def missing(*commands):
    return [command for command in commands if not shutil.which(command)]


def need(name, *commands):
    """A skipped case when a command is missing, which tests/run could not install."""
    lacking = missing(*commands)
    return [Case(name, SKIPPED, f"{', '.join(lacking)} not installed")] if lacking else []


def meson_test(place, where, log, options=(), timeout=1500, env=None):
    """`meson test` in |where|; cmocka tells its cases as TAP.  In its long form without deadlines."""
    if place.long:
        options, timeout = [*options, "-t", "0"], None
    found = os.path.join(where, "meson-logs", "testlog.json")
    if os.path.exists(found):
        os.remove(found)
    command = ["meson", "test", "-C", where, "--no-rebuild", "--print-errorlogs", *options]
    problem = proc.run(command, log, timeout,
                       env={**place.env, "CMOCKA_MESSAGE_OUTPUT": "TAP", **(env or {})})
    if not os.path.exists(found):
        return [Case("meson test", FAILED, f"{problem}\n{tail(log)}")]
    cases = from_meson(found)
    place.notes += notes_from_meson(found)
    if problem and not any(case.outcome == FAILED for case in cases):
        cases.append(Case("meson test", FAILED, problem))
    return cases


def pytest(place, where, log, name, options=(), timeout=900, env=None, dirs=PYTEST_DIRS):
    """The end-to-end tests against the programs of the build in |where|."""
    lacking = need(name, "redis-server", "nginx", "openssl", "ip")
    junit = os.path.join(place.top, "logs", name + ".xml")
    if os.path.exists(junit):
        os.remove(junit)
    dirs = [path for path in dirs if os.path.isdir(os.path.join(TOP, path))]
    if not dirs:
        return [Case(name, FAILED, "there are no end-to-end tests")]
    command = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs",
               "--durations=10",
               "-c", "tests/pytest.ini", "--rootdir", TOP, f"--junitxml={junit}",
               # Most of their time they wait.  Tests that cannot stand beside each other carry
               # the mark xdist_group.
               "-n", "4", "--dist", "loadgroup",
               *(["-m", "quick"] if place.quick else []), *options, *dirs]
    problem = proc.run(command, log, timeout, cwd=TOP,
                       env={**place.env, "WST_BUILD": where, "PYTHONHASHSEED": "0",
                            **(env or {})})
    if not os.path.exists(junit):
        return lacking + [Case(name, FAILED, f"{problem}\n{tail(log)}")]
    cases = lacking + from_junit(junit)
    # A deadline is told beside the failures: what came after it was not run.
    if problem and (problem.startswith("not done")
                    or not any(case.outcome == FAILED for case in cases)):
        cases.append(Case(name, FAILED, problem))
    return cases


def script(path, log, arguments, name, timeout=600, env=None):
    """A program that tells its cases as TAP."""
    problem = proc.run([path, *arguments], log, timeout, cwd=TOP, env=env)
    with open(log, encoding="utf-8", errors="replace") as output:
        return from_program(name, output.read(), f"{problem}\n{tail(log)}" if problem else "")


def reports(pattern, name):
    """One failed case for each report that a sanitizer or valgrind wrote."""
    cases = []
    for path in sorted(glob.glob(pattern)):
        if os.path.getsize(path):
            cases.append(Case(f"{name}: {os.path.basename(path)}", FAILED, tail(path)))
    return cases


# ---- The suites themselves ---------------------------------------------------------------------

def unit(place, log):
    where, cases = place.build("gcc", log, env={"CC": "gcc"})
    if not place.built["gcc"]:
        return cases
    # The analyzers take their time, and so do the torture, the exploration and many simulated worlds:
    # the 2,000 of the default will do for every commit.
    seeds = {} if place.quick or place.long else SEEDS
    slow = ["--no-suite", "lint", "--no-suite", "torture", "--no-suite", "explore"]
    return cases + meson_test(place, where, log, slow if place.quick else [], env=seeds)


def clang(place, log):
    if lacking := need("clang", "clang"):
        return lacking
    where, cases = place.build("clang", log, env={"CC": "clang"})
    if not place.built["clang"]:
        return cases
    # The instruction counts are asserted for gcc; the core is explored once.
    return cases + meson_test(place, where, log, ["--no-suite", "style", "--no-suite", "perf",
                                                  "--no-suite", "torture", "--no-suite", "explore"],
                              env=SEEDS if place.long else {})


def build_asan(place, log):
    return place.build("asan", log, ["-Db_sanitize=address,undefined", "-Db_lundef=false"],
                       {"CC": "gcc"})


def asan(place, log):
    where, cases = build_asan(place, log)
    if not place.built["asan"]:
        return cases
    return cases + meson_test(place, where, log,
                              ["--no-suite", "style", "--no-suite", "abi", "--no-suite", "perf",
                               "-t", "3"],
                              env={**SANITIZERS, **(SEEDS if place.long else {})})


def e2e(place, log):
    where, cases = place.build("gcc", log, env={"CC": "gcc"})
    return cases + (pytest(place, where, log, "e2e") if place.built["gcc"] else [])


def interop(place, log):
    where, cases = place.build("gcc", log, env={"CC": "gcc"})
    if not place.built["gcc"]:
        return cases
    return cases + pytest(place, where, log, "interop", dirs=["tests/interop"])


def asan_e2e(place, log):
    where, cases = build_asan(place, log)
    if not place.built["asan"]:
        return cases
    # Reports go to files: the tests compare what the programs write.
    logs = place.empty_dir("asan-reports")
    env = {key: f"{value}:log_path={logs}/{key[:4].lower()}" for key, value in SANITIZERS.items()}
    cases += pytest(place, where, log, "asan-e2e", env=env)
    return cases + reports(logs + "/*", "sanitizer")


def under_valgrind(place, log, name, options, dirs):
    if lacking := need(name, "valgrind"):
        return lacking
    where, cases = place.build("gcc", log, env={"CC": "gcc"})
    if not place.built["gcc"]:
        return cases
    logs = place.empty_dir("valgrind-reports")
    wrap = ["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=all",
            "--errors-for-leak-kinds=all", "--num-callers=30", "--error-exitcode=97",
            "--child-silent-after-fork=yes", "--vgdb=no",
            f"--suppressions={TOP}/tests/valgrind.supp", "--gen-suppressions=all",
            f"--log-file={logs}/%p"]
    # Two at a time: more on two processors, and a step's deadline passes before its answer comes.
    cases += pytest(place, where, log, name, ["--timeout=300", "-n", "2", *options], timeout=3600,
                    dirs=dirs,
                    env={"WST_WRAP": " ".join(wrap), "WST_PATIENCE": "90"})
    return cases + reports(logs + "/*", "valgrind")


def valgrind_core(place, log):
    """The core of it; all of it is tests/run --valgrind."""
    return under_valgrind(place, log, "valgrind-core", ["-m", "quick"], ["tests/e2e"])


def valgrind_e2e(place, log):
    return under_valgrind(place, log, "valgrind-e2e", [], PYTEST_DIRS)


def setup(place, log):
    return script("tests/setup/check.py", log, [place.empty_dir("setup")], "setup")


def consumer(place, log):
    where, cases = place.build("gcc", log, env={"CC": "gcc"})
    if not place.built["gcc"]:
        return cases
    work = place.empty_dir("consumer")
    return cases + script("tests/consumer/check.py", log, [where, work], "consumer")


def docs(place, log):
    where, cases = place.build("gcc", log, env={"CC": "gcc"})
    if not place.built["gcc"]:
        return cases
    work = place.empty_dir("docs")
    return cases + script("tests/docs/check.py", log, [where, work], "docs")


def fuzz(place, log):
    if lacking := need("fuzz", "clang"):
        return lacking
    names = [os.path.basename(path)[:-2] for path in glob.glob(TOP + "/tests/fuzz/fuzz_*.c")]
    where, cases = place.build("fuzz", log, ["-Dfuzzing=true", "-Dcli=false", "-Dserver=disabled",
                                             "-Db_sanitize=address,undefined",
                                             "-Db_lundef=false"], {"CC": "clang"},
                               ["tests/fuzz/" + name for name in names])
    if not place.built["fuzz"]:
        return cases
    seconds = int(place.env["WST_FUZZ_SECONDS"])
    return cases + script("tests/fuzz/run.py", log, [where, place.empty_dir("fuzz-work")], "fuzz",
                          timeout=600 + seconds * len(names), env=place.env)


def sabotage(place, log):
    """Can the checks fail?  In a copy of the tree, which is kept for the next run."""
    work = os.path.join(place.top, "sabotage")
    thorough = ["--thorough"] if place.long else []
    return (script("tests/sabotage/run.py", log, [work], "sabotage", 1200)
            + script("tests/sabotage/mutate.py", place.log("mutants"), [work, *thorough],
                     "mutants", 7200))


def coverage(place, log):
    # Without inlining, which would count a branch for each copy of it.
    where, cases = place.build("coverage", log, ["-Db_coverage=true", "-Dbuildtype=debug"],
                               {"CC": "gcc"})
    if not place.built["coverage"]:
        return cases
    for path in glob.glob(where + "/**/*.gcda", recursive=True):
        os.remove(path)
    cases += meson_test(place, where, log, ["--no-suite", "style", "--no-suite", "abi",
                                            "--no-suite", "perf", "--no-suite", "lint"])
    cases += pytest(place, where, log, "coverage-e2e")
    target = place.empty_dir("coverage-report")
    report = target + "/report.json"
    command = ["gcovr", "--root", TOP, "--object-directory", where, "--filter", "lib/",
               "--exclude-unreachable-branches", "--exclude-throw-branches",
               "--json", report, "--txt", target + "/lines.txt",
               "--html-details", target + "/index.html"]
    problem = proc.run(command, log, 300, cwd=TOP)
    cases.append(Case("coverage report", FAILED if problem else PASSED, problem))
    if not problem:
        table, judged = judge_coverage(report, TOP + "/tests/harness/excuses", TOP)
        print(f"\n{table}\n  {os.path.relpath(target)}/index.html")
        cases += judged
    return cases


def chaos(place, log):
    """One process with many clients, real parts, and faults; the seed is in the log."""
    if lacking := need("chaos", "haproxy", "nginx", "redis-server", "openssl", "ip"):
        return lacking
    where, cases = place.build("gcc", log, env={"CC": "gcc"})
    if not place.built["gcc"]:
        return cases
    size = ["--clients", "1000", "--faults", "60"] if "WST_LONG" in place.env else []
    return cases + script("tests/chaos/chaos.py", log, [where, place.empty_dir("chaos"), *size],
                          "chaos", timeout=1800 if size else 400)


# What tests plant as secrets, and how a JWT begins.
SECRETS = re.compile(rb"c4n4ry|l3ft0v3r|eyJhbGciOi[\w-]+\.[\w-]+")


# Where sources are copied to (as are subprojects), and inputs that look like tokens.
QUOTED = ("sabotage", "fuzz-work")


def written(place):
    """Logs, reports and what suites leave in their directories; of builds, the logs of tests."""
    for folder in os.scandir(place.top):
        if folder.name in QUOTED or not folder.is_dir():
            continue
        is_build = os.path.exists(os.path.join(folder, "build.ninja"))
        for path in glob.glob(folder.path + ("/meson-logs/*" if is_build else "/**"),
                              recursive=True, include_hidden=True):
            if os.path.isfile(path) and not os.path.islink(path) and "/subprojects/" not in path:
                yield path


def searched(place):
    """Nothing that any suite has written holds a secret; logs of earlier runs were searched then."""
    guilty = []
    for path in written(place):
        if os.path.getmtime(path) < place.begun - 1:
            continue
        with open(path, "rb") as content:
            if SECRETS.search(content.read()):
                guilty.append(os.path.relpath(path, place.top))
    return [Case("no secret in any log", FAILED if guilty else PASSED, ", ".join(guilty))]


ALL = {
    "unit": unit, "clang": clang, "setup": setup, "consumer": consumer, "docs": docs, "e2e": e2e,
    "interop": interop, "chaos": chaos, "fuzz": fuzz, "asan": asan, "asan-e2e": asan_e2e,
    "sabotage": sabotage, "valgrind-core": valgrind_core, "valgrind-e2e": valgrind_e2e,
    "coverage": coverage,
}
QUICK = ["unit", "e2e", "interop"]
# All of end to end under valgrind is a mode of its own, as coverage is: it takes too long for a
# submission.
WHOLE = [name for name in ALL if name not in ("valgrind-e2e", "coverage")]
