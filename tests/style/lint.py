#!/usr/bin/python3
"""The analyzers over every C file of the build: lint.py BUILD."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from tree import TOP, command, files  # noqa: E402
from tap import Skip, run  # noqa: E402

BUILD = sys.argv[1]
ANALYZED = ("lib/", "examples/", "bench/storm/")


def compiled(*folders):
    """The sources below |folders| that this build compiles."""
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as commands:
        paths = {os.path.realpath(os.path.join(entry["directory"], entry["file"]))
                 for entry in json.load(commands)}
    known = {os.path.join(TOP, name) for name in files(".c")}
    return sorted(path for path in paths & known
                  if os.path.relpath(path, TOP).startswith(folders))


def tidy():
    """clang-tidy finds nothing (.clang-tidy)"""
    if not shutil.which("clang-tidy"):
        raise Skip("clang-tidy not installed")

    def one(path):
        done = subprocess.run(["clang-tidy", "--quiet", "-p", BUILD, path], capture_output=True,
                              text=True, cwd=TOP, check=False)
        return done.stdout if done.returncode else ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [said for said in pool.map(one, compiled(*ANALYZED)) if said]
    text = "\n".join(found)
    summary = sorted(set(re.findall(r"\S*?((?:lib|examples|bench|include)/\S+: error: .*)", text)))
    assert not found, text + "\n\n" + "\n".join(summary)


def cppcheck():
    """cppcheck finds nothing"""
    if not shutil.which("cppcheck"):
        raise Skip("cppcheck not installed")
    command("cppcheck", "--quiet", "--std=c11", "--enable=warning,performance,portability",
            "--inline-suppr", "--error-exitcode=1", f"-j{os.cpu_count()}",
            "--suppress=missingIncludeSystem", "--suppress=normalCheckLevelMaxBranches", "-I", os.path.join(BUILD, "include"), "-I",
            os.path.join(TOP, "lib"), *compiled(*ANALYZED), timeout=500)


run([tidy, cppcheck])
