"""One connection to the database for one probe: its first words are ours, the rest the driver's."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Self

from canary_tui.tunnels.ends import End
from canary_tui.tunnels.listener import BACKLOG, Listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from canary_tui.diagnosis.trace import Trace
    from canary_tui.tunnels.route import Route


class ProbeLink:
    """A connection opened through a route, with a local end that a driver can connect to once.

    ``async with ProbeLink(await route.open(trace))``: leaving closes everything.
    """

    def __init__(self, end: End) -> None:
        self._end = end
        self._listener: Listener | None = None
        self._local: End | None = None

    @classmethod
    async def through(cls, route: Route, trace: Trace) -> Self:
        """Open a connection through a route. Raises Failed."""
        return cls(await route.open(trace))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._listener is not None:
            await self._listener.close()
        ends = [end for end in (self._local, self._end) if end is not None]
        for end in ends:
            if kind is None:
                end.close()
            else:
                end.abort()
        try:
            async with asyncio.timeout(0.5):
                await asyncio.gather(*(end.closed for end in ends))
        except TimeoutError:
            for end in ends:
                end.abort()

    async def send(self, data: bytes) -> None:
        """Send bytes to the database."""
        self._end.write(data)

    async def peek(self, count: int) -> bytes:
        """Wait for ``count`` bytes and return them, still unread; fewer at the end of file."""
        return await self._end.held_bytes(count)

    async def receive(self, count: int) -> bytes:
        """Like ``peek``, and take them."""
        data = await self._end.held_bytes(count)
        del self._end.held[: len(data)]
        return data

    def on_first_bytes(self, call: Callable[[bytes], None]) -> None:
        """Call back once with unread bytes from the database: now, or when they come in."""
        if self._end.held:
            call(bytes(self._end.held))
        else:
            self._end.on_first_bytes = call

    async def local_address(self) -> tuple[str, int]:
        """Listen on loopback for exactly one connection, the driver's."""
        # Anybody on this machine could come in between listening and the driver's connecting, or in crowds.
        sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._listener = Listener(sock, self._let_in, allowed=frozenset({os.geteuid()}))
        host, port = self._listener.address
        return host, port

    def _let_in(self, local: End, _transport: asyncio.Transport) -> None:
        """Join the driver's connection; any other is closed."""
        if self._local is not None:
            local.abort()
            return
        self._local = local
        if self._listener is not None:
            self._listener.stop()
        local.join(self._end)
