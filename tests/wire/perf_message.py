"""Counts the instructions per message with callgrind and compares them with their bounds.

Two runs, of N and of 2N messages: the difference is what N messages cost.
Usage: perf_message.py PERF_MESSAGE.  Exit status 77: skipped, there is no valgrind.
"""

import re
import shutil
import subprocess
import sys

# What, how many, bound.  Measured on Debian 12 (gcc 12, -O2): 190, 282, 160, 380, 140, 228.
WORK = [
    ("receive-text-64", 20000, 240),
    ("receive-multi-64", 20000, 330),
    ("receive-binary-64", 20000, 170),
    ("receive-text-1024", 4000, 520),
    ("send-burst-64", 8000, 165),
    ("send-turn-64", 8000, 260),
]


def instructions(program, what, count):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, what, str(count)],
        capture_output=True, text=True, timeout=120, check=True)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def main():
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        return 77
    failed = 0
    for what, count, bound in WORK:
        cost = (instructions(sys.argv[1], what, 2 * count)
                - instructions(sys.argv[1], what, count)) / count
        verdict = "ok" if cost <= bound else "TOO MANY"
        failed += cost > bound
        print(f"{what:20} {cost:7.1f} instructions, at most {bound}: {verdict}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
