"""Counts the instructions of the whole client per message, libuv and libc included, with callgrind.

Two runs, of N and of 2N messages: the difference is what N messages cost.  The client is the
benchmark's; the server is a thread of this program.
Usage: perf_client.py BENCH_CLIENT.  Exit status 77: skipped, there is no valgrind.
"""

import base64
import ctypes
import hashlib
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading

# Mode of the client (conn: open and close), type, how many, bound; the bound from libuv 1.45 on.
# Measured on Debian 12 (gcc 12, -O2, with asserts, libuv 1.44): 1681, 1082, 233.  Debian 13's libuv
# 1.50 itself takes more for each turn: 385 in a round trip, 30 in a turn that sends.  Of "conn",
# 99500 to 100100, libcurl takes half: it is asserted for the baseline's alone (None).
WORK = [
    ("echo", "text", 500, 1790, 2180),
    ("turn", "binary", 1000, 1140, 1180),
    ("recv", "text", 8000, 250, 250),
    ("conn", "text", 100, 104_000, None),
]
SIZE = 64
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def head(opcode, n):
    return bytes((0x80 | opcode, n))


class Server:
    """Answers one connection after another as the benchmark's server does: /echo sends each
    message back, /send?count=N says one word after N, /recv?size=S&count=N pushes N, /idle answers
    a close frame."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rb") as stream:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.talk(connection, stream)

    def talk(self, connection, stream):
        request = stream.readline().decode()
        key = ""
        while (line := stream.readline().decode().strip()):
            name, _, value = line.partition(":")
            key = value.strip() if name.lower() == "sec-websocket-key" else key
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        connection.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").encode())
        count = int((re.search(r"count=(\d+)", request) or [0, 0])[1])
        try:
            if "/recv" in request:
                connection.sendall((head(1, SIZE) + b"x" * SIZE) * count)
            for number, payload in enumerate(self.messages(stream), 1):
                if "/idle" in request:
                    connection.sendall(head(8, len(payload)) + payload)
                    return
                if "/echo" in request:
                    connection.sendall(head(1, len(payload)) + payload)
                elif number == count:
                    connection.sendall(head(1, 2) + b"ok")
        except OSError:
            pass  # The client ends when it has what it wants.

    @staticmethod
    def messages(stream):
        """Payloads of masked frames of up to 125 bytes, until the stream ends."""
        while len(start := stream.read(2)) == 2:
            n = start[1] & 0x7f
            mask, payload = stream.read(4), stream.read(n)
            if len(payload) < n:
                return
            word, = struct.unpack("<I", mask)
            key = word * int.from_bytes(b"\1\0\0\0" * (n // 4 + 1), "little")
            yield (int.from_bytes(payload, "little") ^ key).to_bytes(n + 8, "little")[:n]


def instructions(client, port, mode, kind, count):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", client, mode,
         "127.0.0.1", str(port), "0", str(SIZE), str(count), kind],
        capture_output=True, text=True, timeout=120, check=True,
        env=dict(os.environ, BENCH_COUNTED="1"))
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def cost_of(client, port, mode, kind, count, bound):
    """A busy machine makes more turns of the loop of the same work, never fewer: the least counts."""
    costs = []
    while not costs or (costs[-1] > bound and len(costs) < 3):
        few, many = (instructions(client, port, mode, kind, n) for n in (count, 2 * count))
        costs.append((many - few) / count)
    return min(costs)


def uv_version():
    """Of the libuv that the client runs on."""
    uv = ctypes.CDLL("libuv.so.1")
    uv.uv_version_string.restype = ctypes.c_char_p
    return tuple(int(n) for n in uv.uv_version_string().decode().split(".")[:2])


def main():
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        return 77
    server = Server()
    failed = 0
    for mode, kind, count, old, new in WORK:
        bound = old if uv_version() < (1, 45) else new
        if bound is None:
            continue
        cost = cost_of(sys.argv[1], server.port, mode, kind, count, bound)
        verdict = "ok" if cost <= bound else "TOO MANY"
        failed += cost > bound
        print(f"{mode} {kind:7} {cost:8.1f} instructions, at most {bound}: {verdict}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
