"""
The system calls of a loop's thread, as strace saw them, turn by turn; and the rules that each turn
has to keep: nothing waits, nothing looks at a file, and the work for a connection is bounded.
"""

import collections
import re

CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(?: (E\w+))?")
DESCRIPTOR = re.compile(r"(-?\d+)<(.*?)>(?=[,)]|$)")
SIZE = re.compile(r"^\d+$")
# What a loop does that never waits: its sleep, sockets that do not block, memory, threads (libuv
# yields for the few instructions in which another thread wakes the loop).
HARMLESS = set("""
    epoll_wait epoll_pwait epoll_ctl epoll_create1
    socket socketpair connect getsockopt setsockopt getsockname getpeername shutdown close fcntl ioctl
    recvfrom sendto sendmsg pipe2 eventfd2 timerfd_create timerfd_settime
    brk mmap munmap mprotect madvise mremap
    getrandom getpid gettid rt_sigprocmask rt_sigaction clone clone3 prlimit64 restart_syscall
    sched_yield
    """.split())
# These may wait, or be about a file: it depends.
RECEIVE = ("recvfrom", "recvmsg")
HELLO = re.compile(r'"\\x16\\x03\\x01\\x..\\x..\\x01')


class Call:
    def __init__(self, name, arguments, result, error):
        self.name, self.arguments, self.result, self.error = name, arguments, result, error
        first = DESCRIPTOR.match(arguments)
        self.descriptor, self.target = first.groups() if first else (None, "")

    def __repr__(self):
        return f"{self.name}({self.arguments}) = {self.result}"

    @property
    def on_file(self):
        """Is it about something that has a path?"""
        return self.target.startswith("/")


def read(path, own):
    """
    The turns since the loop has begun: a list of calls each.  |own|: paths of files that the program
    itself writes.
    """
    turns, begun = [[]], False
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("write(-1"):
                if begun:
                    return turns
                begun, turns = True, [[]]
                continue
            match = CALL.match(line)
            if not begun or not match:
                assert not begun or line.startswith(("+++", "---")), line
                continue
            call = Call(match[1], match[2], int(match[3]) if match[3] != "?" else 0, match[4])
            if call.target in own:
                continue
            if call.name in ("epoll_wait", "epoll_pwait"):
                turns.append([])
            turns[-1].append(call)
    raise AssertionError("the loop has not begun, or has not ended")


def waits(call):
    """What is wrong with this call on a loop's thread; "" when nothing is."""
    name, arguments = call.name, call.arguments
    # libuv 1.45 and later hands over changes of epoll by it, and waits for just these, which the
    # kernel makes on the spot.  Its second and third argument: how many it hands over and waits for.
    if name == "io_uring_enter":
        handed, awaited = arguments.split(", ")[1:3]
        return "" if int(awaited) <= int(handed) else "waits"
    if name in HARMLESS:
        return "a file" if call.on_file and name in ("fcntl", "ioctl") else ""
    if name in ("read", "write", "writev", "readv", "fstat", "newfstatat", "lseek"):
        # An event, a timer, a pipe or a socket, without a path; or a descriptor that is closed.
        if call.descriptor is None and call.error == "EBADF" and re.match(r'\d+, ""', arguments):
            return ""
        return "a file" if call.on_file or call.descriptor is None else ""
    if name == "poll":
        return "" if arguments.endswith(", 0") else "waits"
    if name == "futex":
        # A mutex that another thread holds for a moment has the value 2; a thread that is joined
        # has its number, and a condition is waited for with a bit set.
        ok = "FUTEX_WAKE" in arguments or re.search(r"FUTEX_WAIT_PRIVATE, 2, NULL", arguments)
        return "" if ok or waits_for_start(call) else "waits for a thread"
    return "not a call for a loop"


def waits_for_start(call):
    """sem_wait(): so libuv waits for the threads of its pool, once, as it makes them."""
    return call.name == "futex" and re.search(
        r"FUTEX_WAIT_BITSET_PRIVATE\|FUTEX_CLOCK_REALTIME, 0, NULL", call.arguments)


def blocking_sockets(turns):
    """Descriptors that were read from or written to and had not been made non-blocking."""
    blocking, used = set(), set()
    for call in (call for turn in turns for call in turn):
        if call.name == "socket" and call.result >= 0:
            name = str(call.result)
            (blocking.discard if "SOCK_NONBLOCK" in call.arguments else blocking.add)(name)
        elif call.name in ("fcntl", "ioctl") and ("O_NONBLOCK" in call.arguments
                                                   or "FIONBIO, [1]" in call.arguments):
            blocking.discard(call.descriptor)
        elif call.name in ("connect", "recvfrom", "sendto", "sendmsg", "read", "write"):
            if call.descriptor in blocking and "MSG_DONTWAIT" not in call.arguments:
                used.add(call.descriptor)
    return used


def received(turn):
    """How many bytes were received in a turn from each descriptor."""
    sums = collections.Counter()
    for call in turn:
        if call.name in RECEIVE and call.result > 0:
            sums[call.descriptor] += call.result
    return sums


def hellos(turn):
    """How many TLS handshakes were begun in it: ClientHello (RFC 8446, 4.1.2)."""
    return sum(bool(HELLO.search(call.arguments)) for call in turn
               if call.name in ("sendto", "write", "sendmsg"))


def wrong(turns):
    """The calls that a loop may not make, and why."""
    found = collections.Counter()
    for call in (call for turn in turns for call in turn):
        if why := waits(call):
            found[f"{why}: {call!r}"[:160]] += 1
    return found
