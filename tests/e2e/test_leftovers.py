"""
What a client leaves of its secrets in the memory of its process.  With an allocator that wipes what is
freed, the process is stopped after the release and everything that it could write into a core is
searched; then it aborts, and so is the memory in the core (not the registers: what a memcpy() moved
last stands in a vector register until that is used again).  With the usual allocator the leftovers are
counted, by the library that had asked for the memory: none of it is ours.
"""

import base64
import json
import os
import resource
import signal
import struct
import subprocess
import urllib.parse

import pytest

from cli import BUILD, PATIENCE, environment, eventually
from daemon import Tinyproxy
from wstserver import Server

RELEASE = os.path.join(BUILD, "tests", "e2e", "release")

TOKEN = "t0k3n-l3ft0v3r"
TICKET = "t1ck3t&l3ft0v3r"
HEADER = "h34d3r-l3ft0v3r"
BODY = "b0dy-l3ft0v3r"
PASSWORD = "p4ssw0rd-l3ft0v3r"
QUERY = "qu3ry-l3ft0v3r"
BASIC = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
SECRETS = {"token": TOKEN, "ticket": TICKET, "encoded ticket": urllib.parse.quote(TICKET),
           "header": HEADER, "body": BODY, "proxy's password": PASSWORD, "proxy's line": BASIC,
           "query": QUERY}

# An allocator of the test's own cannot be had under sanitizers and valgrind.
pytestmark = pytest.mark.bare


def reply(value, **more):
    return {"status": 200, "body": json.dumps(value), **more}


GOOD_TOKEN = reply({"token": TOKEN, "expiresInSeconds": 60})
GOOD_TICKET = reply({"ticket": TICKET})
# What the server does, and where the WebSocket goes: /plain asks for no ticket, so that a planted one
# is good enough.  Each story fails three times in the end.
STORIES = {
    "open, then a spent ticket": ("/plain", {"token": GOOD_TOKEN, "ticket": GOOD_TICKET,
                                             "open": {"closeCode": 1000, "afterMs": 20}}),
    "upgrade refused": ("/ws", {"token": GOOD_TOKEN, "ticket": GOOD_TICKET,
                                "upgrade": {"status": 500, "body": f"no such ticket: {TICKET}"}}),
    "token refused": ("/ws", {"token": GOOD_TOKEN, "ticket": {"status": 401, "body": TOKEN}}),
    "token cut off": ("/ws", {"token": {"status": 200, "body": '{"token": "' + TOKEN}}),
    "ticket in a field too many": ("/ws", {"token": GOOD_TOKEN,
                                           "ticket": reply({"ticket": [TICKET], "x": TOKEN})}),
}


@pytest.fixture(scope="module", params=["plain", "tls"])
def server(request):
    with Server("--open", tls=request.param == "tls") as running:
        yield running


@pytest.fixture(scope="module")
def proxy():
    with Tinyproxy(PASSWORD) as running:
        yield running


def url_of(proxy):
    return f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}"


def allow_cores():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def begin(mode, stage, server, story, directory, proxy="", look_for=""):
    path, faults = STORIES[story]
    server.faults(reset=True, **faults)
    process = subprocess.Popen(
        [RELEASE, mode, stage, server.url, server.ca_file or "", str(directory / "trace"), path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=directory, preexec_fn=allow_cores,
        # The dynamic linker, when it looks up a function at its first call, saves the registers on
        # the stack, and with them what a memcpy() has left in there.
        env=environment(LD_BIND_NOW="1"))
    process.stdin.write("\n".join([HEADER, BODY, proxy, f"key={QUERY}", look_for]) + "\n")
    process.stdin.flush()
    return process


def end(process):
    """Its output and what it says on stderr; it is over."""
    try:
        return process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def writable_memory(pid):
    """Everything that the process can change: what a core holds of it."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, \
            open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                begin_at, end_at = (int(number, 16) for number in span.split("-"))
                memory.seek(begin_at)
                yield line.split()[-1], memory.read(end_at - begin_at)


def masked(data):
    """Without the secrets: reports are logs, too."""
    for secret, text in SECRETS.items():
        data = data.replace(text.encode(), f"<{secret}>".encode())
    return data


def found_in(name, data):
    """What is found, with what stands around it."""
    found = []
    for secret, text in SECRETS.items():
        at = data.find(text.encode())
        if at >= 0:
            found.append(f"{secret} in {name}: {masked(data[max(0, at - 100):at + 100])}")
    return found


def memory_of(core):
    """The memory in a core (ELF64: its PT_LOAD segments); the registers are in its notes."""
    begin_at, = struct.unpack_from("<Q", core, 32)
    count, = struct.unpack_from("<H", core, 56)
    for index in range(count):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", core, begin_at + 56 * index)
        if kind == 1:
            yield core[offset:offset + size]


def core_is_written():
    """Into the directory of the process, and not to a program of the system's or another place."""
    with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
        pattern = file.read()
    return pattern.startswith("core") and "/" not in pattern and \
        resource.getrlimit(resource.RLIMIT_CORE)[1] != 0


def stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def image(process, directory):
    """What is found in the memory of a process that stops itself, and in its core."""
    found, searched = [], 0
    try:
        said = process.stdout.readline()
        assert said == "released\n", process.stderr.read()
        eventually(lambda: stopped(process.pid), "it to stop")
        for name, data in writable_memory(process.pid):
            found += found_in(name, data)
            searched += len(data)
        process.send_signal(signal.SIGCONT)
    finally:
        end(process)
    assert process.returncode == -signal.SIGABRT
    assert searched > 100_000
    cores = list(directory.glob("core*"))
    assert len(cores) == core_is_written()
    for core in cores:
        segments = list(memory_of(core.read_bytes()))
        assert sum(map(len, segments)) > 100_000
        for segment in segments:
            found += found_in("the core", segment)
    trace = (directory / "trace").read_bytes()
    assert b" 3 failures" in trace
    return found + found_in("the log", trace)


@pytest.mark.skipif(not core_is_written(), reason="this system takes cores elsewhere")
def test_a_core_was_searched(server, tmp_path):
    """Where it is not, the same memory was searched in the process alone."""
    process = begin("wipe", "loop", server, "token refused", tmp_path)
    assert not image(process, tmp_path) and len(list(tmp_path.glob("core*"))) == 1


@pytest.mark.parametrize("stage", ["client", "loop"])
@pytest.mark.parametrize("story", STORIES)
def test_nothing_in_a_core(server, story, stage, tmp_path):
    process = begin("wipe", stage, server, story, tmp_path)
    assert not image(process, tmp_path)


@pytest.mark.parametrize("stage", ["client", "loop"])
def test_nothing_in_a_core_after_a_proxy(server, proxy, stage, tmp_path):
    process = begin("wipe", stage, server, "open, then a spent ticket", tmp_path,
                    url_of(proxy))
    assert not image(process, tmp_path)


def test_the_search_finds(server, tmp_path):
    """The same search, in a process that still has its secrets, finds them."""
    process = begin("wipe", "client", server, "token refused", tmp_path)
    try:
        server.faults(reset=True, token={"stall": True})
        eventually(lambda: any(found_in(name, data) for name, data in writable_memory(process.pid)),
                   "a secret that is in use")
    finally:
        process.kill()
        end(process)


@pytest.mark.parametrize("story", STORIES)
def test_what_others_leave_behind(server, proxy, story, tmp_path, record_property):
    """By library: blocks that were freed with a secret in them, and that are alive with one."""
    counts = {}
    for secret, text in SECRETS.items():
        process = begin("count", "loop", server, story, tmp_path, url_of(proxy), text)
        said, errors = end(process)
        assert process.returncode == 0, errors
        for line in said.splitlines():
            library, freed, alive = line.split()
            counts[secret, library] = int(freed), int(alive)
    print(counts)
    record_property("leftovers", str(counts))
    assert any(freed for freed, _ in counts.values()), "the search finds what libcurl leaves"
    libraries = {library for _, library in counts}
    assert not [name for name in libraries if "wsticket" in name or "release" in name], counts
    assert all(name.startswith(("libcurl", "libcrypto", "libssl", "libcjson", "libc."))
               for name in libraries), counts
    assert not any(alive for _, alive in counts.values()), counts
