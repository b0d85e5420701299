"""A Link over one plain TCP connection: what the engines need of the tunnels, without the tunnels."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

CHUNK = 65_536


class TcpLink:
    """One TCP connection to ``address``, made from the address ``source``; closed with the ``async with``."""

    def __init__(self, address: tuple[str, int], source: str = "127.0.0.1") -> None:
        self._address = address
        self._source = source
        self._remote = socket.socket()
        self._unread = bytearray()
        self._inspect: Callable[[bytes], None] | None = None
        self._listener: socket.socket | None = None
        self._joint: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect."""
        self._remote.setblocking(False)
        self._remote.bind((self._source, 0))
        self._remote.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(self._remote, self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        if self._joint is not None:
            self._joint.cancel()
            await asyncio.gather(self._joint, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        self._remote.close()

    async def send(self, data: bytes) -> None:
        """See Link."""
        await asyncio.get_running_loop().sock_sendall(self._remote, data)

    async def peek(self, count: int) -> bytes:
        """See Link."""
        while len(self._unread) < count:
            data = await self._read()
            if not data:
                break
            self._unread += data
        return bytes(self._unread[:count])

    async def receive(self, count: int) -> bytes:
        """See Link."""
        data = await self.peek(count)
        del self._unread[: len(data)]
        return data

    def inspect(self, call: Callable[[bytes], None]) -> None:
        """See Link."""
        self._inspect = call

    async def local_address(self) -> tuple[str, int]:
        """See Link."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._listener.setblocking(False)
        self._joint = asyncio.create_task(self._join(self._listener))
        host, port = self._listener.getsockname()
        return host, port

    def expect_answer(self) -> None:
        """See Link. What comes is not limited here."""

    async def _read(self) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self._remote, CHUNK)
        if data and self._inspect is not None:
            self._inspect(data)
        return data

    async def _join(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        driver, _ = await loop.sock_accept(listener)
        listener.close()  # the driver's one connection is here: a second one is refused
        with driver:
            driver.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = asyncio.create_task(self._pump_up(driver))
            try:
                await self._pump_down(driver)
                await up
            finally:
                up.cancel()
                await asyncio.gather(up, return_exceptions=True)

    async def _pump_up(self, driver: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(driver, CHUNK):
                await self.send(data)
            self._remote.shutdown(socket.SHUT_WR)

    async def _pump_down(self, driver: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            if self._unread:
                await loop.sock_sendall(driver, bytes(self._unread))
            while data := await self._read():
                await loop.sock_sendall(driver, data)
        with contextlib.suppress(OSError):  # a reset ends the driver's side too
            driver.shutdown(socket.SHUT_WR)
