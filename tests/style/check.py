#!/usr/bin/python3
"""How the sources look: check.py BUILD STATIC_LIBRARY."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from tree import TOP, command, files, hits, text  # noqa: E402
from tap import Skip, run  # noqa: E402

BUILD, STATIC = sys.argv[1:]
# Which rooms a room may include: client -> core | wire | io -> base.
MAY_INCLUDE = {
    "base": {"base"},
    "core": {"core", "base"},
    "wire": {"wire", "base"},
    "io": {"io", "base"},
    "client": {"client", "core", "wire", "io", "base"},
}
# Outside headers that a room must do without: who knows nothing of them cannot call them.
MUST_NOT_INCLUDE = {
    "base": r"uv\.h|curl/|openssl/|wslay/|cJSON|cjson/|zlib\.h|sys/socket|time\.h",
    "core": r"uv\.h|curl/|openssl/|wslay/|cJSON|cjson/|zlib\.h|sys/|time\.h|std(io|lib)\.h|unistd",
    "wire": r"uv\.h|openssl/ssl|sys/socket|poll\.h|unistd",
    "io": r"wslay/|cJSON|cjson/|zlib\.h",
    "client": r"wslay/|zlib\.h",
}
# Functions that no object of the library may call, and the objects that are excused.
FORBIDDEN = {
    r"(c|re)?alloc|malloc|free|strn?dup|aligned_alloc|posix_memalign": ["mem.c"],
    r"v?f?printf|puts|fputs|putchar|fputc|perror": [],
    r"sprintf|vsprintf|strcpy|strcat|strtok|gets|atoi|atol|system|popen": [],
    r"sleep|usleep|nanosleep|signal|sigaction|exit|_exit|setenv|putenv|rand|srand|random": [],
    r"gethostbyname|getaddrinfo|localtime|gmtime|ctime|asctime": [],
    r"uv_run|uv_stop|uv_loop_close|uv_default_loop|curl_global_cleanup|OPENSSL_cleanup": [],
    r"SSL_set_fd|uv_try_write|pthread_join|uv_thread_join": [],
}


def formatted():
    """clang-format has nothing to change (its version 14, of Debian 12)"""
    if not shutil.which("clang-format"):
        raise Skip("clang-format not installed")
    version = re.search(r"version (\d+)", command("clang-format", "--version")).group(1)
    if version != "14":
        raise Skip(f"clang-format {version} lays out other than 14")
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files(".c", ".h", ".cpp")],
                          stderr=subprocess.PIPE, text=True, cwd=TOP, check=False)
    wrong = sorted(set(re.findall(r"^([^:\s]+):\d+:\d+: error", done.stderr, re.MULTILINE)))
    assert done.returncode == 0, "clang-format -i " + " ".join(wrong)


def directions():
    """includes follow the flow: client -> core | wire | io -> base"""
    wrong = []
    for name in files(".c", ".h", under="lib"):
        room = name.split("/")[1]
        for number, line in enumerate(text(name).splitlines(), 1):
            quoted = re.match(r'#include "([^"]+)"', line)
            if quoted and quoted.group(1) != "wsticket/wsticket.h":
                to, _, rest = quoted.group(1).partition("/")
                if not rest or to not in MAY_INCLUDE[room]:
                    wrong.append(f"{name}:{number}: {line}")
    assert not wrong, "\n".join(wrong)


def outside_headers():
    """each room includes only the outside libraries that are its own"""
    wrong = []
    for room, pattern in MUST_NOT_INCLUDE.items():
        wrong += hits(re.compile(rf"#include <({pattern})"), files(".c", ".h", under="lib/" + room))
    assert not wrong, "\n".join(wrong)


def public_header_only():
    """programs outside lib include the public header, nothing of lib"""
    names = files(".c", ".h", ".cpp", under="examples") + files(".c", ".cpp", under="pkgconfig")
    wrong = hits(re.compile(r'#include "(base|core|wire|io|client)/'), names)
    assert not wrong, "\n".join(wrong)


def links_in_its_room():
    """no room calls a function of a room that it may not know"""
    defined, called = {}, {}
    for room in MAY_INCLUDE:
        archive = os.path.join(BUILD, "lib", room, f"libwst_{room}.a")
        if not os.path.exists(archive):
            continue
        names = command("nm", "--defined-only", "--extern-only", archive)
        for name in re.findall(r" [A-Z] (wst_\w+)", names):
            defined[name] = room
        called[room] = set(re.findall(r" U (wst_\w+)", command("nm", "--undefined-only", archive)))
    wrong = [f"{room} calls {name} of {defined[name]}" for room, names in called.items()
             for name in names if name in defined and defined[name] not in MAY_INCLUDE[room]]
    assert len(called) > 1 and not wrong, "\n".join(wrong)


def parsers_only():
    """wire calls nothing of libcurl but its parsers of URLs and dates"""
    archive = os.path.join(BUILD, "lib", "wire", "libwst_wire.a")
    names = set(re.findall(r" U (curl_\w+)", command("nm", "--undefined-only", archive)))
    wrong = [name for name in names if not re.fullmatch(r"curl_(url\w*|getdate|free)", name)]
    assert not wrong, wrong


def forbidden_calls():
    """no object of the library calls what is forbidden (allocator, printing, sleeping, ...)"""
    wrong, source = [], None
    for line in command("nm", "--undefined-only", STATIC).splitlines():
        if line.endswith(":"):
            source = line.rstrip(":").removesuffix(".o")
            continue
        found = re.match(r" +U (?:__)?(\w+?)(?:_chk)?$", line)
        for pattern, excused in FORBIDDEN.items():
            if found and re.fullmatch(pattern, found.group(1)) and source not in excused:
                wrong.append(f"{source}: {found.group(1)}")
    assert not wrong, "\n".join(wrong)


def guards():
    """every header of lib is guarded by a name made from its path"""
    wrong = []
    for name in files(".h", under="lib"):
        guard = "WST_" + re.sub(r"[/.]", "_", name.removeprefix("lib/")).upper()
        if f"#ifndef {guard}\n#define {guard}\n" not in text(name):
            wrong.append(f"{name}: {guard}")
    assert not wrong, "\n".join(wrong)


def comments_first():
    """every module begins with a comment that says what it is for, in its header or its source"""
    def begins(name):
        path = os.path.join(TOP, name)
        return os.path.exists(path) and text(name).startswith(("/*", "//"))

    names = [name for name in files(".c", ".h", ".cpp") if not name.startswith("tests/")]
    wrong = [name for name in names
             if not begins(name) and not begins(re.sub(r"\.c$", ".h", name))]
    assert not wrong, "\n".join(wrong)


def plain_statics():
    """static functions are plain verbs; struct tags have no _t"""
    names = files(".c", under="lib")
    wrong = hits(re.compile(r"^static [^=;]*\bwst_\w+\("), names)
    wrong += hits(re.compile(r"^(struct|enum|union) \w+_t\b.*\{|^\} *\w+_t;"),
                  files(".c", ".h", under="lib"))
    assert not wrong, "\n".join(wrong)


def lengths():
    """half of the functions fit in 20 lines, nine in ten in 60"""
    sizes = []
    for name in files(".c", under="lib") + files(".c", under="examples"):
        begin = None
        for number, line in enumerate(text(name).splitlines()):
            if line == "{":
                begin = number
            elif line == "}" and begin is not None:
                sizes.append((number - begin + 1, f"{name}:{begin + 1}"))
                begin = None
    longest = "\n".join(f"{size} lines: {where}" for size, where in sorted(sizes)[-8:])
    assert sum(size <= 20 for size, _ in sizes) * 2 >= len(sizes), longest
    assert sum(size <= 60 for size, _ in sizes) * 10 >= len(sizes) * 9, longest


def finished():
    """no unfinished words, and no sleep of a fixed length in a test without a reason beside it"""
    words = re.compile(r"TOD[O]|FIXM[E]|\bXX[X]\b|\bHAC[K]\b|not implemente[d]")
    names = files(".c", ".h", ".cpp", ".py", ".in", ".build", ".md", "run", "demo")
    wrong = hits(words, names)
    wrong += hits(re.compile(r"\bsleep\((\d{2,}|[1-9](\.\d+)?)\)(?!  # )"),
                  files(".py", ".c", under="tests"))
    assert not wrong, "\n".join(wrong)


def no_machine_paths():
    """no path of a person's machine in the tree"""
    pattern = re.compile(r"/hom[e]/[a-z]|/roo[t]/|/User[s]/|" + re.escape(TOP) + r"\b")
    names = [name for name in files() if not name.startswith("tests/fuzz/corpus")
             and b"\0" not in open(os.path.join(TOP, name), "rb").read(4096)]
    wrong = hits(pattern, names)
    assert not wrong, "\n".join(wrong)


def scripts():
    """Python files compile, shell files parse, and both are marked executable"""
    for name in files(".py"):
        compile(text(name), name, "exec")
    for name in files():
        with open(os.path.join(TOP, name), "rb") as content:
            first = content.readline()
        if first.startswith(b"#!"):
            assert os.access(os.path.join(TOP, name), os.X_OK), f"{name} has no run bit"
            if b"bash" in first or b"/sh" in first:
                command("bash", "-n", os.path.join(TOP, name))


run([formatted, directions, outside_headers, public_header_only, links_in_its_room,
     parsers_only, forbidden_calls, guards, comments_first, plain_statics, lengths, finished, no_machine_paths,
     scripts])
