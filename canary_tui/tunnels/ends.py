"""The two ends of a relayed connection: what one reads, the other writes.

An end is an asyncio protocol and an asyncssh session at once (their callbacks are the same), so one
class serves the local socket, the SSH channel and the direct connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

HOLD_BYTES = 64 * 1024
"""How much an end holds that is not joined yet, before it stops reading."""


class Wire(Protocol):
    """What asyncio's transports and asyncssh's channels have in common."""

    def write(self, data: bytes) -> None: ...
    def write_eof(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def is_closing(self) -> bool: ...


class End(asyncio.Protocol):
    """One end of a relayed connection.

    Until it is joined it holds what comes in (``HOLD_BYTES`` at most, then it stops reading), so that
    the first bytes can be looked at. Joined, bytes go straight to the other end; either end's full
    buffer stops the other's reading, and an end of file is passed on while the other way goes on.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.made: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[Exception | None] = loop.create_future()
        self.received = 0
        """Bytes read from this end so far."""
        self.held = bytearray()
        self.ended = False
        """Whether the other side has said that it sends no more."""
        self.admits: Callable[[bytes], bool] | None = None
        """Asked about each piece that comes in; what it does not admit goes no further."""
        self._wire: Wire | None = None
        self._peer: End | None = None
        self._news = asyncio.Event()

    def connection_made(self, transport: object) -> None:
        """Take the transport or the channel."""
        self._wire = cast("Wire", transport)
        if not self.made.done():
            self.made.set_result(None)

    def session_started(self) -> None:
        """Asyncssh's channel is ready; nothing waits for that."""

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Pass on, or hold, what was read."""
        self.received += len(data)
        if self.admits is not None and not self.admits(data):
            return
        if self._peer is not None:
            self._peer.write(data)
            return
        self.held += data
        self._news.set()
        if len(self.held) > HOLD_BYTES:
            self.pause_reading()

    def eof_received(self) -> bool:
        """Pass the end of file on; True keeps the way back open."""
        self.ended = True
        self._news.set()
        if self._peer is not None:
            self._peer.write_eof()
            if self._peer.ended:
                self._peer.close()
                self.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other end too, after what was written to it has gone out."""
        self.ended = True
        self._wire = None
        self._news.set()
        if self._peer is not None:
            if exc is None:
                self._peer.close()
            else:
                self._peer.abort()
        if not self.closed.done():
            self.closed.set_result(exc)

    def pause_writing(self) -> None:
        """This end's buffer is full: stop reading from the other."""
        if self._peer is not None:
            self._peer.pause_reading()

    def resume_writing(self) -> None:
        """This end's buffer has room again."""
        if self._peer is not None:
            self._peer.resume_reading()

    def join(self, peer: End) -> None:
        """Connect two ends for good: what was held goes out first."""
        self._peer, peer._peer = peer, self
        self._hand_over(peer)
        peer._hand_over(self)

    def _hand_over(self, peer: End) -> None:
        if self.held:
            peer.write(bytes(self.held))
            self.held.clear()
        if self._wire is None:
            peer.close()
        elif self.ended:
            peer.write_eof()
        else:
            self.resume_reading()

    async def held_bytes(self, count: int) -> bytes:
        """Wait until ``count`` bytes are held and return them, still held; fewer at the end of file."""
        while len(self.held) < count and not self.ended:
            self._news.clear()
            await self._news.wait()
        return bytes(self.held[:count])

    async def take(self) -> bytes:
        """Wait for bytes and take all that are held; none at the end of file."""
        self.resume_reading()
        await self.held_bytes(1)
        return self.take_held()

    def take_held(self) -> bytes:
        """Take all that is held, and read on."""
        data = bytes(self.held)
        self.held.clear()
        self.resume_reading()
        return data

    def wake_with(self, other: End) -> None:
        """Wake whoever waits for news of the other end with news of this one too."""
        self._news = other._news

    async def news(self) -> None:
        """Wait until bytes or the end of file have come in, since it was waited for last."""
        await self._news.wait()
        self._news.clear()

    def write(self, data: bytes) -> None:
        """Write, unless this end is gone."""
        if self._wire is not None and not self._wire.is_closing():
            self._wire.write(data)

    def write_eof(self) -> None:
        """Say that no more is coming, unless this end is gone."""
        if self._wire is not None and not self._wire.is_closing():
            self._wire.write_eof()

    def pause_reading(self) -> None:
        """Stop reading until ``resume_reading``."""
        if self._wire is not None and not self._wire.is_closing():
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._wire is not None and not self._wire.is_closing():
            self._wire.resume_reading()

    def close(self) -> None:
        """Close when all that was written has gone out."""
        if self._wire is not None:
            self._wire.close()

    def abort(self) -> None:
        """Close at once."""
        if self._wire is not None:
            self._wire.abort()
