"""A copy of the tree with a build of its own, in which lines are changed and put back."""

import contextlib
import os
import shutil
import signal
import subprocess

from tap import command
from tree import TOP, files


class Scratch:
    """The copy in |work|/tree, built in |work|/build.  A copy of before is brought up to date."""

    def __init__(self, work, options=()):
        self.tree = os.path.join(work, "tree")
        self.where = os.path.join(work, "build")
        self.options = options
        self.copy()

    def copy(self):
        names = files()
        for name in names:
            self.put(name, read(os.path.join(TOP, name)), os.stat(os.path.join(TOP, name)).st_mode)
        known = set(names)
        for folder, _, found in os.walk(self.tree):
            for name in found:
                path = os.path.join(folder, name)
                if os.path.relpath(path, self.tree) not in known:
                    os.remove(path)

    def put(self, name, content, mode=0o644):
        """Writes the file unless it is so already: then it need not be built again."""
        path = os.path.join(self.tree, name)
        if os.path.exists(path) and read(path) == content:
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content)
        os.chmod(path, mode & 0o777)

    @staticmethod
    def target(program):
        return "tests/" + program

    def program(self, program):
        return os.path.join(self.where, "tests", program)

    def build(self, *targets):
        if not os.path.exists(os.path.join(self.where, "build.ninja")):
            shutil.rmtree(self.where, ignore_errors=True)
            command("meson", "setup", self.where, self.tree, "-Dcli=false", "-Dserver=disabled",
                    *self.options)
        command("ninja", "-C", self.where, *targets, timeout=900)

    @contextlib.contextmanager
    def changed(self, name, old, new):
        """With |old|, which occurs once in the file |name|, in the place of |new|."""
        path = os.path.join(self.tree, name)
        before = read(path)
        count = before.count(old.encode())
        assert count == 1, f"{name} has {count} times what is to be changed: {old}"
        self.put(name, before.replace(old.encode(), new.encode()))
        try:
            yield
        finally:
            self.put(name, before)


def play(words, patience, **variables):
    """
    Runs a program: its exit status, None when it does not end, and its output.  At that
    deadline it goes with all that it started.
    """
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, **variables}, start_new_session=True) as process:
        try:
            said, _ = process.communicate(timeout=patience)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            status = None
    return status, said.decode(errors="replace")


def read(path):
    with open(path, "rb") as content:
        return content.read()
