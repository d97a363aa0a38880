#!/usr/bin/python3
"""
Configuring: check.py WORK.  A missing dependency stops it with a sentence that names the Debian
package, and nothing else does.
"""

import glob
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))

from tap import command, run  # noqa: E402

WORK = sys.argv[1]
PC_DIRS = command("pkg-config", "--variable", "pc_path", "pkg-config").strip().split(":")
# A C compiler that cannot see wslay, which comes without a .pc file.
BLIND_CC = """#!/bin/sh
for word; do
    case $word in
    *.c) ! grep -q wslay/wslay.h "$word" || exit 1 ;;
    *wslay*) exit 1 ;;
    esac
done
exec gcc "$@"
"""


def setup(name, *options, **env):
    return subprocess.run(["meson", "setup", os.path.join(WORK, name), TOP, *options],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env={**os.environ, **env}, timeout=120)


def without(module, package):
    """A check: without |module|, meson stops and names |package|."""
    def check():
        folder = os.path.join(WORK, "pc-without-" + module)
        os.makedirs(folder)
        for path in [path for where in PC_DIRS for path in glob.glob(where + "/*.pc")]:
            target = os.path.join(folder, os.path.basename(path))
            if os.path.basename(path) != module + ".pc" and not os.path.exists(target):
                os.symlink(path, target)
        done = setup("without-" + module, PKG_CONFIG_LIBDIR=folder)
        assert done.returncode != 0, "configured without " + module
        last = [line for line in done.stdout.splitlines() if "ERROR" in line]
        assert last and f"apt-get install {package}" in last[0], done.stdout[-2000:]

    check.__doc__ = f"without {module} meson stops and names {package}"
    return check


def without_wslay():
    """without wslay meson stops and names libwslay-dev"""
    blind = os.path.join(WORK, "blind-cc")
    with open(blind, "w", encoding="utf-8") as script:
        script.write(BLIND_CC)
    os.chmod(blind, 0o755)
    done = setup("without-wslay", CC=blind)
    assert done.returncode != 0, "configured without wslay"
    assert "apt-get install libwslay-dev" in done.stdout, done.stdout[-2000:]


def complete():
    """with everything there, meson configures without a warning"""
    done = setup("complete")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "WARNING" not in done.stdout and "DEPRECATION" not in done.stdout, done.stdout


def library_only():
    """the library alone configures and builds, without programs and tests"""
    done = setup("library-only", "-Dcli=false", "-Dserver=disabled", "-Dtests=false")
    assert done.returncode == 0, done.stdout[-2000:]
    command("ninja", "-C", os.path.join(WORK, "library-only"))


def release():
    """a release build (no assertions, link-time optimisation) has no warning"""
    done = setup("release", "--buildtype=release", "-Db_ndebug=true", "-Db_lto=true",
                 "-Dwerror=true", "-Dtests=false")
    assert done.returncode == 0, done.stdout[-2000:]
    command("ninja", "-C", os.path.join(WORK, "release"))


run([complete, without("libuv", "libuv1-dev"), without("libcurl", "libcurl4-openssl-dev"),
     without("openssl", "libssl-dev"), without("libcjson", "libcjson-dev"),
     without("zlib", "zlib1g-dev"), without("cmocka", "libcmocka-dev"), without_wslay,
     library_only, release])
