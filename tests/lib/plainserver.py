"""
A plain WebSocket server in a thread, for what is about messages and not about tickets.  It is
python3-websockets, an implementation that shares nothing with ours.
"""

import asyncio
import threading

import websockets
from websockets import WebSocketServerProtocol


class PlainServer:
    """
    Collects what arrives in |received|, echoes it when |echo| is set, and sends what it is told
    to.  |reading| False stops it from reading.
    """

    def __init__(self, echo=True, greeting=(), max_size=64 << 20, port=0, compression=None,
                 **options):
        self.echo = echo
        self.greeting = list(greeting)
        self.received = []
        self.opened = 0
        self._options = dict(options, max_size=max_size, ping_interval=None, compression=compression)
        self._wanted_port = port
        self._ready = threading.Event()
        self._sockets = set()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10), "the server does not start"
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._done.set)
            self._thread.join(20)

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/"

    def _run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self.loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._read = asyncio.Event()
        self._read.set()
        async with websockets.serve(self._handle, "127.0.0.1", self._wanted_port,
                                    **self._options) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._done.wait()
            self._read.set()
            for socket in list(self._sockets):
                socket.transport.abort()

    async def _handle(self, socket: WebSocketServerProtocol):
        self._sockets.add(socket)
        self.opened += 1
        try:
            for message in self.greeting:
                await socket.send(message)
            while True:
                await self._read.wait()
                message = await socket.recv()
                self.received.append(message)
                if self.echo:
                    await self._answer(socket, message)
        except websockets.ConnectionClosed:
            pass
        finally:
            self._sockets.discard(socket)

    @staticmethod
    async def _answer(socket, message):
        try:
            await socket.send(message)
        except websockets.ConnectionClosed:
            pass  # There may be more to receive, from before the close.

    def extensions(self):
        """The names of the extensions that the connections have agreed on."""
        # From version 14 on the connection keeps them in its protocol.
        return [e.name for socket in list(self._sockets)
                for e in getattr(socket, "protocol", socket).extensions]

    def _on_loop(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def reading(self, on):
        self.loop.call_soon_threadsafe(self._read.set if on else self._read.clear)

    def send(self, *messages):
        """Sends to every client; returns at once."""
        async def send():
            for socket in list(self._sockets):
                for message in messages:
                    await socket.send(message)
        return self._on_loop(send())

    def ping(self):
        """Pings every client; the result is there when all have answered."""
        async def ping():
            for socket in list(self._sockets):
                await (await socket.ping())
        return self._on_loop(ping())

    def close(self, code=1000, reason=""):
        async def close():
            for socket in list(self._sockets):
                await socket.close(code, reason)
        self._on_loop(close()).result(20)

    def drop(self):
        """Ends every connection without a close frame."""
        async def drop():
            for socket in list(self._sockets):
                socket.transport.abort()
        self._on_loop(drop()).result(20)
