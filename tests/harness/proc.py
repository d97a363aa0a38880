"""Running a command: in a session of its own, with a deadline, and leaving nothing behind."""

import ctypes
import os
import signal
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """Whatever a test starts and forgets becomes a child of ours, so that it is seen."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def processes():
    """(pid, parent, session, state, command) of every process."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                command, fields = stat.read().rsplit(")", 1)
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as cmdline:
                words = cmdline.read().replace("\0", " ").strip()
        except OSError:
            continue  # It ended meanwhile.
        state, parent, _, session = fields.split()[:4]
        yield int(pid), int(parent), int(session), state, words or command.split("(", 1)[1]


def leftovers(session):
    """Processes of the command's session, and those that left it and were adopted by us."""
    me = os.getpid()
    return [(pid, words) for pid, parent, sid, state, words in processes()
            if state != "Z" and pid != me and (sid == session or parent == me)]


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_leftovers(session, grace=2.0):
    """
    Gives what is left a moment to end, then kills it by its id.  Returns the commands that had to
    be killed.
    """
    until = time.monotonic() + grace
    while leftovers(session) and time.monotonic() < until:
        reap()
        time.sleep(0.02)
    killed = []
    while left := leftovers(session):
        for pid, words in left:
            killed.append(f"{words} (process {pid})")
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        time.sleep(0.02)
    reap()
    return sorted(set(killed))


def interrupt(process, grace=10):
    """Ctrl-C first, so that pytest writes down what it has seen so far."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        pass


def run(command, log, timeout, cwd=None, env=None):
    """
    Runs |command| with its output appended to the file |log|.  Returns what was wrong with its
    end, "" when nothing was: the exit status, the deadline, or processes that it left behind.
    """
    full = dict(os.environ, **(env or {}))
    with open(log, "ab") as out:
        out.write(f"$ {' '.join(map(str, command))}\n".encode())
        out.flush()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   cwd=cwd, env=full, start_new_session=True)
        try:
            status = process.wait(timeout)
            problem = f"exit status {status}" if status else ""
        except subprocess.TimeoutExpired:
            problem = f"not done after {timeout} s"
            interrupt(process)
        except BaseException:
            end_leftovers(process.pid, 0)
            raise
    killed = end_leftovers(process.pid)
    process.poll()
    if killed and not problem:
        problem = "left processes behind: " + "; ".join(killed)
    return problem
