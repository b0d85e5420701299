"""Accepts local connections: strangers are turned away, and none is left open that nobody serves.

Not an ``asyncio.Server``: one that is closed while it accepts forgets the new connection, which then
stays open (Python 3.11), and who waits for it is never told.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from canary_tui.tunnels.ends import End
from canary_tui.tunnels.open_files import NO_ROOM
from canary_tui.tunnels.peer import Peers

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.tunnels.peer import Peer

BACKLOG = 4096
"""Connections that may wait to be accepted (listen(2); the kernel allows as many since Linux 5.4). When they
are more, the kernel ignores the next one, and its client tries again after a second (RFC 6298 §2)."""
AT_ONCE = 100
"""Connections taken in one turn of the event loop: 2.5 ms of strangers, then it is the others' turn."""
FLOOD_PAUSE_SECONDS = 0.005
"""After strangers came, the next ones are left to gather for so long: what a turn costs is shared by all that
it accepts."""
AGAIN_SECONDS = 1.0
"""How long no more are taken when there is no descriptor or memory for another one."""
RESET_ON_CLOSE = struct.pack("=ii", 1, 0)
"""``struct linger``. Closed so, a connection leaves nothing behind, and not a minute of TIME_WAIT."""


class Listener:
    """Hands each connection that comes in to ``arrived``, before anything is read from it.

    ``sock`` is bound and listening, and is the listener's from now on. A connection of a user who is none of
    ``allowed`` is closed and told to ``turned_away``; nothing else is made for it. ``no_room`` is told when a
    connection has to wait because nothing more can be opened: once a second while that lasts.
    """

    def __init__(
        self,
        sock: socket.socket,
        arrived: Callable[[End, asyncio.Transport], object],
        *,
        allowed: frozenset[int],
        turned_away: Callable[[Peer], object] = lambda _: None,
        no_room: Callable[[OSError], object] = lambda _: None,
    ) -> None:
        sock.setblocking(False)
        self.address: Any = sock.getsockname()
        self._sock = sock
        self._arrived = arrived
        self._allowed = allowed
        self._turned_away = turned_away
        self._no_room = no_room
        self._entering: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._listen()

    def stop(self) -> None:
        """Take no more connections; the address is free again. Idempotent."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    async def close(self) -> None:
        """Stop, and wait until those that were accepted have arrived."""
        self.stop()
        if self._entering:
            await asyncio.wait(set(self._entering))

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._sock, self._accept)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._again = self._loop.call_later(seconds, self._listen)

    def _accept(self) -> None:
        strangers = 0
        try:
            with Peers(self._sock.family) as peers:
                for _ in range(AT_ONCE):
                    connection, address = self._sock.accept()
                    if (stranger := peers.stranger(connection, address, self._allowed)) is None:
                        self._enter(connection)
                        continue
                    strangers += 1
                    with connection:
                        if strangers > 1:  # one is closed as any server closes, a crowd is reset
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    self._turned_away(stranger)
        except OSError as error:
            if error.errno in NO_ROOM:
                # It stays ready to be read: without a pause the loop would do nothing else.
                self._pause(AGAIN_SECONDS)
                self._no_room(error)
            elif strangers:
                self._pause(FLOOD_PAUSE_SECONDS)
            # else there are no more, or this one has gone again

    def _enter(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        entering = self._loop.create_task(self._let_in(connection), name="accepted")
        self._entering.add(entering)
        entering.add_done_callback(partial(self._entered, connection))

    async def _let_in(self, connection: socket.socket) -> None:
        await self._loop.connect_accepted_socket(lambda: _Arrival(self._arrived), connection)

    def _entered(self, connection: socket.socket, entering: asyncio.Task[None]) -> None:
        self._entering.discard(entering)
        # A task that is cancelled before its first step has nothing of its own that could close it.
        if entering.cancelled() or entering.exception() is not None:
            connection.close()


class _Arrival(End):
    """The end of a connection that has come in."""

    def __init__(self, arrived: Callable[[End, asyncio.Transport], object]) -> None:
        super().__init__()
        self._arrived = arrived

    def connection_made(self, transport: object) -> None:
        """Say that it is there."""
        super().connection_made(transport)
        self._arrived(self, cast("asyncio.Transport", transport))
