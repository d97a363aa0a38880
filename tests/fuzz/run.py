#!/usr/bin/python3
"""
Fuzzing: run.py BUILD WORK.  Runs each target of BUILD (configured with -Dfuzzing=true) over a copy
of its corpus in WORK, two at a time, each for WST_FUZZ_SECONDS (10).  What breaks a target is kept
in WORK, and told with the command that shows it again.
"""

import concurrent.futures
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "harness"))

from tap import run  # noqa: E402

BUILD, WORK = map(os.path.abspath, sys.argv[1:3])
SECONDS = int(os.environ.get("WST_FUZZ_SECONDS", "10"))
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}
# One input may not take longer (it takes less than a millisecond), nor more memory.
LIMITS = ["-timeout=30", "-rss_limit_mb=2048", "-max_len=4096"]
TARGETS = sorted(os.path.basename(path)[5:-2] for path in glob.glob(HERE + "/fuzz_*.c"))


def fuzz(name):
    """Returns libFuzzer's exit status and what it said."""
    work = os.path.join(WORK, name)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(os.path.join(HERE, "corpus", name), work + "/corpus")
    command = [program(name), f"-max_total_time={SECONDS}", "-print_final_stats=1", *LIMITS,
               f"-artifact_prefix={work}/", work + "/corpus"]
    with open(os.path.join(WORK, name + ".log"), "wb+") as log:
        # A loaded machine may need long for the corpus, after which the time is looked at.
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              env={**os.environ, **SANITIZERS}, check=False,
                              timeout=SECONDS + 300)
        log.seek(0)
        return done.returncode, log.read().decode(errors="replace")


def program(name):
    return os.path.join(BUILD, "tests", "fuzz", "fuzz_" + name)


def explain(name, status, said):
    """What broke it: the first words of it, its input, and how to see it again."""
    what = re.findall(r"^.*(?:not so:|ERROR: |runtime error: ).*$", said, re.M)[:3]
    text = "\n".join(what) or said[-1500:]
    for path in sorted(glob.glob(os.path.join(WORK, name, "*-*"))):
        settings = " ".join(f"{key}={value}" for key, value in SANITIZERS.items())
        text += f"\ninput:     {path}\nonce more: {settings} {shlex.join([program(name), path])}"
    return f"exit status {status}\n{text}\nlog:       {os.path.join(WORK, name)}.log"


def check_of(name, outcome):
    def check():
        status, said = outcome.result()
        assert status == 0, explain(name, status, said)
        runs = re.search(r"^stat::number_of_executed_units:\s*(\d+)$", said, re.M)
        corpus = len(os.listdir(os.path.join(HERE, "corpus", name)))
        assert runs and int(runs.group(1)) >= corpus, f"not even its corpus was run:\n{said[-1500:]}"
    check.__doc__ = f"{name} for {SECONDS} s"
    return check


def main():
    pool = concurrent.futures.ThreadPoolExecutor(2)
    run([check_of(name, pool.submit(fuzz, name)) for name in TARGETS])


main()
