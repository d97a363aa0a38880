"""The files of the tree, for the checks beside."""

import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))

from tap import command  # noqa: E402


def files(*endings, under=""):
    """Files that git knows or would add, relative to the top."""
    listed = command("git", "-C", TOP, "ls-files", "-z", "--cached", "--others",
                     "--exclude-standard", "--", under or ".").split("\0")
    return sorted(name for name in listed if name.endswith(endings or ("",))
                  and name and os.path.isfile(os.path.join(TOP, name)))


def text(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as content:
        return content.read()


def hits(pattern, names):
    """FILE:LINE: TEXT of every match of a compiled pattern, line by line."""
    return [f"{name}:{number}: {line.strip()}" for name in names
            for number, line in enumerate(text(name).splitlines(), 1) if pattern.search(line)]
