"""
tests/run --debian RELEASE: the same tests in a root of another Debian release.  The root is made
once with debootstrap, in the user's cache; the tests run in it on a clean clone of HEAD, in
namespaces of their own, so that nothing stays mounted or running afterwards.
"""

import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLONE = "libwsticket-under-test"

# $1 is the root; the rest is the command.  The mounts vanish with the namespace.
ENTER = """
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
cat /etc/resolv.conf >"$root/etc/resolv.conf"
cat /etc/hosts >"$root/etc/hosts"
exec chroot "$root" "$@"
"""


def without_option(words):
    """The command line without --debian, for the run inside."""
    kept, skip = [], False
    for word in words:
        if skip or word == "--debian":
            skip = not skip
        elif not word.startswith("--debian="):
            kept.append(word)
    return kept


def mirror():
    """The archive that this machine takes its own Debian packages from."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True, text=True, check=False).stdout
    for line in targets.splitlines():
        label, _, uri = line.partition(" ")
        if label == "Debian" and uri:
            return uri.rstrip("/")
    sys.exit("tests/run: no Debian archive among the apt sources of this machine")


def make_root(release, env):
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = os.path.join(cache, "libwsticket", "debian-" + release)
    if os.path.isdir(root):
        return root
    raw = root + ".new"
    shutil.rmtree(raw, ignore_errors=True)
    os.makedirs(raw)
    print(f"making a Debian {release} root: {root}", flush=True)
    subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates,git", release,
                    raw, mirror()], check=True, env=env, stdout=subprocess.DEVNULL)
    os.rename(raw, root)
    return root


def run(release, words, proxies):
    if not re.fullmatch(r"[a-z]+", release):
        sys.exit(f"tests/run: --debian {release}: not the name of a release")
    if os.geteuid() != 0:
        print(f"  skipped --debian {release}: making a root needs root")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    env = {**os.environ, **proxies}
    root = make_root(release, env)
    clone = os.path.join(root, CLONE)
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", TOP, clone], check=True)
    inside = [f"{key}={value}" for key, value in proxies.items()]
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "sh",
               root, "/usr/bin/env", "-i", "HOME=/root", "TERM=dumb", *inside,
               "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"/{CLONE}/tests/run", *words]
    return subprocess.run(command, env=env, check=False).returncode
