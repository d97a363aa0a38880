"""TAP for test programs in Python: each check is a function whose docstring is its name."""

import subprocess
import sys
import traceback


class Skip(Exception):
    """Raised by a check that cannot run here, with the reason."""


def command(*words, **options):
    """Runs a command and returns its output; a failure is an assertion that shows it."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                          timeout=options.pop("timeout", 300), **options)
    assert done.returncode == 0, (
        f"exit status {done.returncode}: {' '.join(map(str, words))}\n{done.stdout[-3000:]}")
    return done.stdout


def run(checks):
    """Runs the checks in order, prints TAP, and exits: 1 when one failed."""
    failed = False
    print(f"1..{len(checks)}", flush=True)
    for number, check in enumerate(checks, 1):
        name = " ".join((check.__doc__ or check.__name__).split()).rstrip(".")
        try:
            check()
            print(f"ok {number} - {name}", flush=True)
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception as problem:
            failed = True
            text = str(problem) or traceback.format_exc()
            print(f"not ok {number} - {name}")
            print("".join(f"# {line}\n" for line in text.splitlines()), end="", flush=True)
    sys.exit(1 if failed else 0)
