"""
Runs the built wsticket.  WST_BUILD names the build directory, WST_WRAP words to put before the
program (valgrind).  Nothing here waits without a limit.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("WST_BUILD", os.path.join(TOP, "build")))
WRAP = shlex.split(os.environ.get("WST_WRAP", ""))
WSTICKET = os.path.join(BUILD, "examples", "wsticket", "wsticket")
MINIMAL = os.path.join(BUILD, "examples", "minimal")
# Under valgrind everything takes longer: what we wait for, and what a client should wait for.
PATIENCE = 60 if WRAP else 20
FAR = f"{3 * PATIENCE}s"  # A deadline of the client's: what waits for it waits in vain here.
SLOW = 5 if WRAP else 1


JWT = re.compile(rb"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
TICKET = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def soon(ms):
    """A deadline for the command line, longer where everything takes longer."""
    return f"{ms * SLOW}ms"


def environment(**more):
    """Ours, without what would change the output; a value of None leaves a variable out."""
    env = {key: value for key, value in os.environ.items()
           if "proxy" not in key.lower() and key not in ("WSTICKET_TOKEN", "NO_COLOR")}
    env.update(more)
    return {key: value for key, value in env.items() if value is not None}


def holds_secret(output):
    """What no test may see in what the program writes: a JWT, or the 32 digits of a ticket."""
    return [what for what, pattern in (("a token", JWT), ("a ticket", TICKET))
            if pattern.search(output)]


def run(*args, stdin="", timeout=PATIENCE, **env):
    """Runs to the end; stdin is text.  Returns the finished process with decoded output."""
    done = subprocess.run([*WRAP, WSTICKET, *args], input=stdin, capture_output=True, text=True,
                          timeout=timeout, env=environment(**env))
    assert not holds_secret((done.stdout + done.stderr).encode())
    return done


class Cli:
    """
    A running wsticket whose output is collected line by line.  |wrapper|: words to put before it,
    e.g. to run it in a network namespace; |wrap|: in the place of WRAP.
    """

    def __init__(self, *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, program=WSTICKET, wrapper=(), wrap=None, **env):
        self.changed = threading.Condition()
        self.lines = {"out": [], "err": []}
        self.raw = {"out": b"", "err": b""}
        self.process = subprocess.Popen([*wrapper, *(WRAP if wrap is None else wrap), program,
                                         *args], stdin=stdin, stdout=stdout, stderr=stderr,
                                        env=environment(**env))
        self.readers = []
        for name, stream in (("out", self.process.stdout), ("err", self.process.stderr)):
            if stream:
                self.readers.append(threading.Thread(target=self._read, args=(name, stream)))
                self.readers[-1].start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        assert kind or not holds_secret(self.raw["out"] + b"\n" + self.raw["err"])

    def _read(self, name, stream):
        while data := stream.read1(65536):
            with self.changed:
                self.raw[name] += data
                self.lines[name] = self.raw[name].decode("utf-8", "replace").split("\n")[:-1]
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    @property
    def err(self):
        return self.lines["err"]

    @property
    def out(self):
        return self.lines["out"]

    def until(self, true, what, patience=PATIENCE):
        """Waits until true(self) is."""
        with self.changed:
            if not self.changed.wait_for(lambda: true(self), patience):
                raise AssertionError(f"waited {patience} s for {what}\nstdout: {self.raw['out']!r}"
                                     f"\nstderr:\n{self.raw['err'].decode('utf-8', 'replace')}")

    def wait_err(self, pattern, times=1):
        """Waits until so many lines of stderr match."""
        self.until(lambda c: sum(bool(re.search(pattern, line)) for line in c.err) >= times,
                   f"{pattern!r} on stderr")

    def wait_out(self, pattern, times=1):
        self.until(lambda c: sum(bool(re.search(pattern, line)) for line in c.out) >= times,
                   f"{pattern!r} on stdout")

    def wait_open(self, times=1):
        self.wait_err("Connected ✅", times)

    def wait_event(self, event, times=1):
        """Waits for so many JSON objects of that name and returns the last of them."""
        self.until(lambda c: sum(o["event"] == event for o in c.events()) >= times,
                   f"event {event}")
        return [o for o in self.events() if o["event"] == event][times - 1]

    def events(self):
        return [json.loads(line) for line in self.out]

    def send(self, text):
        """Writes to stdin, as it is."""
        self.process.stdin.write(text if isinstance(text, bytes) else text.encode())
        self.process.stdin.flush()

    def end_stdin(self):
        self.process.stdin.close()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience=PATIENCE):
        """The exit status; the output is complete afterwards."""
        status = self.process.wait(patience)
        for reader in self.readers:
            reader.join(patience)
        return status

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait()

    def insist(self):
        """Sends SIGINT again and again, too far apart to be taken for one; returns the exit status."""
        for _ in range(PATIENCE // 2):
            self.signal(signal.SIGINT)
            try:
                self.process.wait(2)  # When it is ending, another one would be its last.
                break
            except subprocess.TimeoutExpired:
                pass
        return self.wait()


def normal(lines):
    """Numbers that differ from run to run become N, ports P."""
    rules = [(r"127\.0\.0\.1:\d+", "127.0.0.1:P"), (r"in \d+ ?ms", "in Nms"),
             (r"\d+\.\d{3} ms", "N ms")]
    result = []
    for line in lines:
        for pattern, instead in rules:
            line = re.sub(pattern, instead, line)
        result.append(line)
    return result


def eventually(true, what, patience=PATIENCE):
    """Polls something outside of a Cli until it is true."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, f"waited {patience} s for {what}"
        time.sleep(0.02)
