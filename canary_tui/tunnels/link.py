"""One connection to the database for one probe: its first words are ours, the rest the driver's.

Every byte of the database's passes here, and no more than a probe needs: the drivers have no limits.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Self

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.tunnels.ends import End
from canary_tui.tunnels.listener import BACKLOG, Listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from canary_tui.diagnosis.trace import Trace
    from canary_tui.tunnels.route import Route


LOGIN_BYTES = 64 * 1024
"""What a database may send before the end of the login, TLS and its certificates included."""
QUERY_BYTES = 8 * 1024 * 1024
"""What it may send in answer to one query."""


class ProbeLink:
    """A connection opened through a route, with a local end that a driver can connect to once.

    ``async with await ProbeLink.through(route, trace)``: leaving closes everything. ``trace`` tells the
    stage in which the database sent more than it may.
    """

    def __init__(self, end: End, trace: Trace) -> None:
        self.cut_off: Failed | None = None
        """Set once the database sent more than it may: nothing of what it sends is passed on any more."""
        self._end = end
        self._trace = trace
        self._inspect: Callable[[bytes], None] | None = None
        self._allowed = LOGIN_BYTES
        """How much the database may have sent in all, so far."""
        self._listener: Listener | None = None
        self._local: End | None = None
        end.admits = self._admits
        self._admits(b"")  # what came in before

    @classmethod
    async def through(cls, route: Route, trace: Trace) -> Self:
        """Open a connection through a route. Raises Failed."""
        return cls(await route.open(trace), trace)

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

    def inspect(self, call: Callable[[bytes], None]) -> None:
        """Show each piece to ``call`` before the driver sees it; an OSError of its ends the connection."""
        self._inspect = call
        if self._end.held:
            call(bytes(self._end.held))

    async def local_address(self) -> tuple[str, int]:
        """Listen on loopback for exactly one connection, the driver's."""
        # Anybody on this machine could come in between listening and the driver's connecting, or in crowds.
        sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._listener = Listener(sock, self._let_in, allowed=frozenset({os.geteuid()}))
        host, port = self._listener.address
        return host, port

    def expect_answer(self) -> None:
        """Allow ``QUERY_BYTES`` from here on: a query is about to be asked."""
        self._allowed = self._end.received + QUERY_BYTES

    def _admits(self, data: bytes) -> bool:
        """Whether a piece from the database may go on; if not, the driver's connection ends here."""
        if self.cut_off is None and self._end.received <= self._allowed:
            try:
                if self._inspect is not None:
                    self._inspect(data)
            except OSError:
                pass  # the engine knows why
            else:
                return True
        elif self.cut_off is None:
            self.cut_off = sent_too_much(self._trace.stage)
        # Not at once: this may be called by a transport that just made room, which would then end twice.
        # The driver's end takes the other one with it.
        asyncio.get_running_loop().call_soon((self._local or self._end).abort)
        return False

    def _let_in(self, local: End, _transport: asyncio.Transport) -> None:
        """Join the driver's connection; any other is closed."""
        if self._local is not None:
            local.abort()
            return
        self._local = local
        if self._listener is not None:
            self._listener.stop()
        local.join(self._end)


def sent_too_much(stage: Stage) -> Failed:
    """Return what it is called when a database sends without end in ``stage``."""
    if stage is Stage.QUERY:
        detail = f"sent more than {QUERY_BYTES // 1024**2} MB in answer to a query"
        return Failed(Cause.QUERY_FAILED, detail=detail, stage=stage)
    cause = Cause.TLS_FAILED if stage is Stage.TLS else Cause.WRONG_PROTOCOL
    # The stage is named, or a tentative login would be taken for a first answer that makes no sense. What
    # comes in before anybody looks is the database's as well, and not the fault of the way to it.
    if stage not in {Stage.TLS, Stage.LOGIN}:
        stage = Stage.DATABASE
    detail = f"sent more than {LOGIN_BYTES // 1024} kB before the login's end"
    return Failed(cause, detail=detail, stage=stage)
