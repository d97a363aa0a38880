"""
tests/run: the suites, one after the other, each in a session of its own with a deadline; and at
the end one line over all of them.  tests/run itself has installed what is needed.
"""

import argparse
import os
import signal
import sys
import time

import debian
import proc
import report
import suites


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/run", description="Runs the tests of libwsticket.",
        epilog="Suites: " + ", ".join(suites.ALL))
    parser.add_argument("--quick", action="store_true",
                        help="the unit tests, the simulated world and the core of end to end")
    parser.add_argument("--only", action="append", default=[], metavar="SUITE",
                        choices=list(suites.ALL), help="this suite (may be repeated)")
    parser.add_argument("--asan", action="store_true",
                        help="the suites under AddressSanitizer and UndefinedBehaviorSanitizer")
    parser.add_argument("--valgrind", action="store_true", help="the suites under valgrind")
    parser.add_argument("--coverage", action="store_true",
                        help="the unit and end-to-end tests with a coverage report")
    parser.add_argument("--long", action="store_true", help="sweeps in their long form (hours)")
    parser.add_argument("--fuzz-seconds", type=int, metavar="N", help="for each fuzz target")
    parser.add_argument("--debian", metavar="RELEASE",
                        help="all of this inside a root of that Debian release, e.g. trixie")
    return parser.parse_args()


def chosen(args):
    names = list(args.only)
    if args.asan:
        names += ["asan", "asan-e2e"]
    if args.valgrind:
        names += ["valgrind-e2e"]
    if args.coverage:
        names += ["coverage"]
    if not names:
        names = suites.QUICK if args.quick else suites.WHOLE
    return list(dict.fromkeys(names))


def show(cases):
    for case in cases:
        if case.outcome == report.FAILED:
            print(f"  FAILED  {case.name}")
            for line in case.reason.splitlines()[-40:]:
                print(f"          {line}")
        elif case.outcome == report.SKIPPED:
            print(f"  skipped {case.name}: {case.reason}")


def run_suite(name, place):
    began = time.monotonic()
    log = place.log(name)
    print(f"{name:12} ", end="", flush=True)
    try:
        cases = suites.ALL[name](place, log)
    except Exception as problem:  # A suite that breaks is a failure, never an end of the run.
        cases = [report.Case(f"{name}: the harness", report.FAILED, repr(problem))]
    if not cases:
        cases = [report.Case(name, report.FAILED, "nothing was run")]
    print(f"{report.line(cases)}  ({time.monotonic() - began:.1f} s)", flush=True)
    for note in place.notes:
        print(f"  {note}", flush=True)
    place.notes = []
    show(cases)
    if report.count(cases, report.FAILED):
        print(f"  the whole output: {os.path.relpath(log)}", flush=True)
    return cases


def main():
    args = arguments()
    proxies = {name: os.environ.pop(name) for name in ("http_proxy", "https_proxy", "no_proxy")
               if name in os.environ}
    if args.debian:
        inner = [word for word in sys.argv[1:]]
        return debian.run(args.debian, debian.without_option(inner), proxies)
    proc.adopt_orphans()
    # Told to end, the harness ends what it has started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tests/run: terminated"))
    place = suites.Place(quick=args.quick, long=args.long, fuzz_seconds=args.fuzz_seconds)
    began = time.monotonic()
    cases = []
    for name in chosen(args):
        cases += run_suite(name, place)
    found = suites.searched(place)
    show(found)
    cases += found
    print(f"seconds: {time.monotonic() - began:.1f}")
    print(report.line(cases))
    return 1 if report.count(cases, report.FAILED) else 0


if __name__ == "__main__":
    sys.exit(main())
