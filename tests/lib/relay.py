"""
A TCP relay that the test owns: it counts, records what clients send, delays, drips, goes silent,
cuts.

    with Relay(server.port) as relay:
        run_a_client(relay.port)
        relay.cut()        # every connection is reset, and so is every new one
        relay.restore()
"""

import asyncio
import socket
import struct
import threading
import time


class Link:
    """One connection through a relay; |sent| holds (time, bytes) of what the client wrote."""

    def __init__(self, budget=None):
        self.sent = []
        self.writers = []
        self.budget = budget  # Bytes that may still pass, in both directions; None: all.

    @property
    def bytes(self):
        return b"".join(data for _, data in list(self.sent))

    @property
    def over(self):
        return self.budget == 0


def reset(writer):
    """Ends a connection with RST, as a machine does that has lost its memory."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Relay:
    """
    These may change while it runs.  |delay|: the way from one side to the other, in seconds.
    |drip|: a function that says how large the next piece is, and |pace| the seconds between two.
    |budget|: a function that says after how many bytes, in both directions, a new connection is
    reset; |spent| counts those.
    """

    def __init__(self, port, host="127.0.0.1", delay=0.0, listen="127.0.0.1"):
        self.target = (host, port)
        self.listen = listen
        self.delay = delay
        self.drip = None
        self.pace = 0.01
        self.budget = None
        self.spent = 0
        self.links = []
        self._is_cut = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10), "the relay does not start"
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(20)

    @property
    def accepted(self):
        return len(self.links)

    @property
    def requests(self):
        """The first line of every request that clients wrote in the clear, in order of arrival."""
        lines = []
        for link in list(self.links):
            for at, data in list(link.sent):
                first = data.split(b"\r\n", 1)[0]
                if first.endswith(b" HTTP/1.1"):
                    lines.append((at, first.decode("ascii", "replace")))
        return [line for _, line in sorted(lines)]

    def cut(self):
        """Resets every connection, now and until restore()."""
        self._is_cut = True
        self._call(self._reset_all)

    def reset_all(self):
        """Resets every connection there is; new ones are welcome."""
        self._call(self._reset_all)

    def hold(self):
        """Connections stay, and new ones are made, but no byte passes until restore()."""
        self._call(self._open.clear)

    def restore(self):
        self._is_cut = False
        self._call(self._open.set)

    def _call(self, function):
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (function(), done.set()))
        assert done.wait(10)

    def _reset_all(self):
        for link in self.links:
            for writer in link.writers:
                reset(writer)
            link.writers = []

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        server = await asyncio.start_server(self._accept, self.listen, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._done.wait()
        server.close()
        self._reset_all()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _accept(self, reader, writer):
        link = Link(self.budget() if self.budget else None)
        self.links.append(link)
        link.writers.append(writer)
        try:
            if self._is_cut:
                reset(writer)
                return
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection(*self.target)
            link.writers.append(far_writer)
            await asyncio.gather(self._carry(link, reader, far_writer, link.sent),
                                 self._carry(link, far_reader, writer, None))
        except (OSError, asyncio.CancelledError):
            pass
        for end in link.writers:
            reset(end)

    async def _carry(self, link, reader, writer, record):
        """Reading goes on while earlier bytes are still on their way."""
        pipe = asyncio.Queue()
        carrier = asyncio.create_task(self._deliver(link, pipe, writer))
        try:
            while data := await reader.read(65536):
                if record is not None:
                    record.append((time.monotonic(), data))
                pipe.put_nowait((time.monotonic() + self.delay, data))
            pipe.put_nowait((time.monotonic() + self.delay, b""))
            await carrier
        finally:
            carrier.cancel()

    async def _deliver(self, link, pipe, writer):
        while True:
            due, data = await pipe.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._open.wait()
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            while data and not link.over:
                piece = data[:self.drip()] if self.drip else data
                data = data[len(piece):]
                await self._pass(link, writer, piece)
                if data:
                    await asyncio.sleep(self.pace)

    async def _pass(self, link, writer, piece):
        if link.budget is not None:
            piece = piece[:link.budget]
            link.budget -= len(piece)
        writer.write(piece)
        await writer.drain()
        if link.over:
            self.spent += 1
            for end in link.writers:
                reset(end)
