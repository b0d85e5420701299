"""Small fakes on loopback for what no real server does on demand. Each runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Literal, Self

from tests.harness.ports import free_port

_CHUNK = 65_536
_STOP_LIMIT = 10.0
_BACKLOG = 512

Then = Literal["silence", "close", "reset"]


class Fake(ABC):
    """A TCP server that counts who comes (``connections``) and keeps what they say (``received``)."""

    def __init__(self, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.host = host
        self.port = port if port is not None else free_port()
        self.connections = 0
        self.received = bytearray()
        self._open: set[socket.socket] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()

    @abstractmethod
    async def _serve(self, client: socket.socket) -> None:
        """What happens to one connection; its socket is closed afterwards."""

    def __enter__(self) -> Self:
        """Start listening."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and close all connections."""
        self.stop()

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    def start(self) -> None:
        """Listen; connections are taken from now on."""
        if self._thread is not None:
            return
        listener = socket.create_server((self.host, self.port), backlog=_BACKLOG)
        listener.setblocking(False)
        ready = threading.Event()
        self._closing = asyncio.Event()
        name = f"{type(self).__name__}:{self.port}"
        work = self._main(listener, ready)
        self._thread = threading.Thread(target=asyncio.run, args=(work,), name=name, daemon=True)
        self._thread.start()
        ready.wait(_STOP_LIMIT)

    def stop(self) -> None:
        """Refuse connections from now on and close those that are open; :meth:`start` takes the same port."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(_STOP_LIMIT)
        self._thread = None

    async def _main(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()
        # Not sock_accept(): a connection that came in as it is cancelled would be lost, and never closed.
        self._loop.add_reader(listener, self._accept, listener, tasks)
        ready.set()
        try:
            await self._closing.wait()
        finally:
            self._loop.remove_reader(listener)
            listener.close()
        # asyncio.run cancels the tasks that are left.

    def _accept(self, listener: socket.socket, tasks: set[asyncio.Task[None]]) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # it went away again
            return
        client.setblocking(False)
        self._open.add(client)
        self.connections += 1
        task = asyncio.create_task(self._hold(client))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda _: self._close(client))

    async def _hold(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            await self._serve(client)

    def _close(self, client: socket.socket) -> None:
        client.close()
        self._open.discard(client)

    async def _listen_to(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(client, _CHUNK):
            self.received += data


class Silent(Fake):
    """Accepts and says nothing."""

    async def _serve(self, client: socket.socket) -> None:
        await self._listen_to(client)


class ClosesAtOnce(Fake):
    """Accepts and closes (FIN)."""

    async def _serve(self, client: socket.socket) -> None:
        client.shutdown(socket.SHUT_RDWR)


class ResetsAtOnce(Fake):
    """Accepts and resets (RST)."""

    async def _serve(self, client: socket.socket) -> None:
        reset_on_close(client)


class Says(Fake):
    """Says ``data``, at once or as an answer to the client's first bytes, and then what ``then`` tells."""

    def __init__(
        self,
        data: bytes,
        then: Then = "silence",
        *,
        after_client: bool = False,
        host: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        super().__init__(host, port)
        self.data = data
        self.then = then
        self.after_client = after_client

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if self.after_client:
            self.received += await loop.sock_recv(client, _CHUNK)
        await loop.sock_sendall(client, self.data)
        if self.then == "reset":
            reset_on_close(client)
        elif self.then == "close":
            client.shutdown(socket.SHUT_WR)
            # Reading on avoids the RST that unread bytes would turn the close into.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._listen_to(client), 1.0)
        else:
            await self._listen_to(client)


class BlackHole:
    """Listens, and answers nobody: its backlog is full, so that connects hang until their own limit."""

    def __init__(self, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.host = host
        self.port = port if port is not None else free_port()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Listen, and fill the backlog."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self.stop()

    def start(self) -> None:
        """Listen, and connect ourselves until a connect hangs."""
        self._sockets = [socket.create_server((self.host, self.port), backlog=0)]
        while True:
            filler = socket.socket()
            filler.settimeout(0.2)
            self._sockets.append(filler)
            try:
                filler.connect((self.host, self.port))
            except TimeoutError:
                return

    def stop(self) -> None:
        """Close; connects are refused from now on."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()


def reset_on_close(sock: socket.socket) -> None:
    """Closing this socket will send RST instead of FIN: SO_LINGER with 0 seconds, socket(7)."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
