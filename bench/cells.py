"""What is measured, and the goals: one Cell is one row of the table."""

from dataclasses import dataclass

K = 1024


@dataclass(frozen=True)
class Cell:
    """|goal| is the most that our median may be, as a ratio to wire."""

    mode: str
    tls: int = 0
    size: int = 64
    type: str = "binary"
    count: int = 1
    goal: float = 0
    resume: int = 0

    @property
    def name(self):
        words = {"recv": "receive", "send": "send in bursts", "turn": "send one per turn",
                 "echo": "ping-pong", "conn": "open and close", "idle": "idle"}[self.mode]
        kind = {"text": "text", "utf8": "multi-byte text", "binary": "binary",
                "packed": "compressed text", "text&rec=1": "text, one per record"}[self.type]
        size = f"{self.size} B" if self.size < K else f"{self.size // K} KiB" \
            if self.size < K * K else f"{self.size // K // K} MiB"
        where = "TLS" if self.tls else "plain"
        if self.mode == "conn":
            where += " resumed" if self.resume else " full" if self.tls else ""
            return f"{words}, {where}"
        return f"{words} {size} {kind}, {where}"


# Client CPU per message, as a ratio to wire.
CPU = [
    Cell("recv", 0, 64, "text", 2_000_000, 2.0),
    Cell("recv", 0, 64, "utf8", 2_000_000, 2.1),
    Cell("recv", 0, 64, "binary", 2_000_000, 1.9),
    Cell("recv", 0, K, "text", 400_000, 1.35),
    Cell("recv", 0, 16 * K, "text", 40_000, 1.2),
    Cell("recv", 0, 16 * K, "utf8", 40_000, 1.4),
    Cell("recv", 0, K * K, "text", 640, 1.15),
    Cell("recv", 0, K * K, "binary", 640, 1.1),
    Cell("recv", 1, 64, "text&rec=1", 200000),
    Cell("recv", 1, K, "text&rec=1", 60000),
    Cell("recv", 1, 16 * K, "text", 10000, 1.0),
    Cell("send", 0, 64, "binary", 2_000_000, 4.5),
    Cell("send", 1, 64, "binary", 1_000_000, 1.8),
    Cell("turn", 0, 64, "binary", 100_000, 1.15),
    Cell("send", 0, 16 * K, "binary", 40_000, 1.4),
    Cell("send", 0, K * K, "binary", 400, 1.4),
    Cell("send", 1, 16 * K, "binary", 16_000, 1.3),
    Cell("send", 1, K * K, "binary", 300, 1.15),
    Cell("conn", 0, 64, "text", 400),
    Cell("conn", 1, 64, "text", 200, 1.1),
    Cell("conn", 1, 64, "text", 200, 1.1, resume=1),
]
# The best of the peers is the measure where there is no goal to wire: so much of it.
PEER_GOAL = {"recv 64 text&rec=1": 0.6, f"recv {K} text&rec=1": 0.6}

# Round trip time (p50), as a ratio to wire.
LATENCY = [Cell("echo", 0, 64, "text", 6000, 1.1), Cell("echo", 1, 64, "text", 6000, 1.1)]

# KiB per connection, from the proportional set size.  In fewer rounds than the rest: in each of them
# every client opens 12,200 connections.
IDLE_ROUNDS = 3
IDLE_COUNTS = (100, 1000, 5000)
IDLE_GOAL = {0: 1.5, 1: 22}

# Instructions of the whole client (callgrind): mode, size, type, count, goal.  |BEYOND_LOOP|: the
# goal is for what is added to the bare loop, which wire runs in that mode.
INSTRUCTIONS = [("echo", 64, "text", 1000, 1700), ("turn", 64, "binary", 4000, 400),
                ("recv", 64, "text", 8000, 0)]
BEYOND_LOOP = "turn"

# The message layer in memory: nanoseconds.  To compress takes much longer, and is done less often.
ENGINE = [(what, size, type, max(20, (40 if type == "packed" else 400) * 1_000_000 // (size + 800)))
          for what in ("recv", "send")
          for size in (64, K, 16 * K, K * K)
          for type in ("text", "utf8", "binary", "packed")]

# Time to open, in round trips.
ROUND_TRIPS = {"cold": 5.2, "cached": 4.2, "reconnect": 3.2}

# Columns.  The environment makes one binary two of them; what a client cannot do is left out.
CLIENTS = {
    "wire": ("wire", {}),
    "wst": ("wst", {}),
    "wire in a loop": ("wire", {"BENCH_LOOP": "1"}),
    "libwebsockets": ("lws", {}),
    "libwebsockets, 64 KiB": ("lws", {"LWS_BUFFER": "65536"}),
    "Beast": ("beast", {}),
    "Beast, tuned": ("beast", {"BEAST_TUNED": "1"}),
    "websocketpp": ("wspp", {}),
}
OURS = ("wire", "wst", "wire in a loop")


def can(client, cell):
    """Is it for that row?"""
    if client == "wire in a loop":
        return cell.mode == "recv" and not cell.tls
    return not cell.resume or client.startswith(("wire", "wst", "Beast"))
