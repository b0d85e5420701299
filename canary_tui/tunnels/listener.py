"""Accepts local connections, and leaves none open that nobody serves.

Not an ``asyncio.Server``: one that is closed while it accepts forgets the new connection, which then
stays open (Python 3.11), and who waits for it is never told.
"""

from __future__ import annotations

import asyncio
import errno
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from canary_tui.tunnels.ends import End
from canary_tui.tunnels.open_files import USED_UP

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

AT_ONCE = 100
"""Connections taken in one turn of the event loop, as many as may wait (listen(2))."""
AGAIN_SECONDS = 1.0
"""How long no more are taken when there is no descriptor or memory for another one."""
NO_ROOM = USED_UP | {errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """Hands each connection that comes in to ``arrived``, before anything is read from it.

    ``sock`` is bound and listening, and is the listener's from now on. ``no_room`` is told when a
    connection has to wait because nothing more can be opened: once a second while that lasts.
    """

    def __init__(
        self,
        sock: socket.socket,
        arrived: Callable[[End, asyncio.Transport], object],
        no_room: Callable[[OSError], object] = lambda _: None,
    ) -> None:
        sock.setblocking(False)
        self.address: Any = sock.getsockname()
        self._sock = sock
        self._arrived = arrived
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

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _address = self._sock.accept()
            except OSError as error:
                if error.errno in NO_ROOM:
                    # It stays ready to be read: without a pause the loop would do nothing else.
                    self._loop.remove_reader(self._sock)
                    self._again = self._loop.call_later(AGAIN_SECONDS, self._listen)
                    self._no_room(error)
                return  # there are no more, or this one has gone again
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
