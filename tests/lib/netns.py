"""
Two network namespaces joined by a cable, for what loopback cannot show: links that go down, hosts
that do not answer.  They live as long as the process that holds each of them, so nothing is left
behind when the test dies.  Needs root.
"""

import os
import shutil
import subprocess

import pytest

from wstserver import PATIENCE, wait_until

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter"))),
    reason="network namespaces need root, ip, unshare and nsenter")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          timeout=PATIENCE).stdout


class Namespace:
    """A network namespace with its loopback up; |prefix| are the words that run a program in it."""

    def __enter__(self):
        # cat ends when our end of its pipe is closed: by us, or because we died.
        self._holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL)
        self.pid = self._holder.pid
        wait_until(lambda: self._inode(self.pid) != self._inode("self"), "a network namespace")
        self.prefix = ["nsenter", "-t", str(self.pid), "-n"]
        self.run("ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        self._holder.stdin.close()
        self._holder.wait(PATIENCE)

    @staticmethod
    def _inode(pid):
        return os.readlink(f"/proc/{pid}/ns/net")

    def run(self, *command):
        return run(*self.prefix, *command)


class Cable:
    """A client's and a server's namespace, and the cable between them."""

    CLIENT, SERVER = "192.0.2.1", "192.0.2.2"

    def __enter__(self):
        self.client = Namespace().__enter__()
        self.server = Namespace().__enter__()
        run(*self.client.prefix, "ip", "link", "add", "cable", "type", "veth", "peer", "name",
            "cable", "netns", str(self.server.pid))
        for space, address in ((self.client, self.CLIENT), (self.server, self.SERVER)):
            space.run("ip", "address", "add", address + "/30", "dev", "cable")
            space.run("ip", "link", "set", "cable", "up")
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        self.client.__exit__(*exc)

    def set(self, side, state):
        """side: client or server.  state: up or down."""
        getattr(self, side).run("ip", "link", "set", "cable", state)
