"""Counts the instructions per message with callgrind and compares them with their bounds.

Two runs, of N and of 2N messages: the difference is what N messages cost.
Usage: perf_message.py PERF_MESSAGE.  Exit status 77: skipped, there is no valgrind.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

# What, how many, bound.  Measured on Debian 12 (gcc 12, -O2): 190, 282, 160, 380, 6015, 927, 140,
# 228, 984.
WORK = [
    ("receive-text-64", 20000, 240),
    ("receive-multi-64", 20000, 330),
    ("receive-binary-64", 20000, 170),
    ("receive-text-1024", 4000, 520),
    ("receive-text-16384", 600, 7000),
    ("receive-packed-1024", 400, 1080),
    ("send-burst-64", 8000, 165),
    ("send-turn-64", 8000, 260),
    ("send-chunks-256", 4000, 1130),
]
# Of what is compressed most is zlib's, and differs with its version: only the program's own code is
# counted there, without what zlib and libc do for it.
OWN = "packed"


def own_part(profile, program):
    """What was counted in the program's own object, by callgrind's file."""
    names, current, total, skip = {}, "", 0, False
    for line in profile:
        found = re.match(r"(c?)ob=\((\d+)\)(?: (.*))?", line)
        if found:  # An object is named where it is first spoken of, be it as the one that is called.
            called, number, name = found.groups()
            names.setdefault(number, name)
            current = current if called else names[number]
        elif line.startswith("calls="):
            skip = True  # In the next line is what the call cost, where it is counted, too.
        elif re.match(r"[\d+*-]", line):
            if not skip and os.path.basename(current) == os.path.basename(program):
                total += int(line.split()[1])
            skip = False
    return total


def instructions(program, what, count):
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as out:
        run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out.name,
                              program, what, str(count)],
                             capture_output=True, text=True, timeout=120, check=True)
        if OWN in what:
            return own_part(out, program)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def main():
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        return 77
    failed = 0
    for what, count, bound in WORK:
        cost = (instructions(sys.argv[1], what, 2 * count)
                - instructions(sys.argv[1], what, count)) / count
        verdict = "TOO MANY" if cost > bound else "ok" if cost > 0 else "NOT COUNTED"
        failed += verdict != "ok"
        print(f"{what:20} {cost:7.1f} instructions, at most {bound}: {verdict}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
