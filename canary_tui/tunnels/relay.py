"""A local port or socket; each connection that comes in goes out through the route."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.paths import private_folder
from canary_tui.tunnels import peer
from canary_tui.tunnels.ends import End
from canary_tui.tunnels.listener import BACKLOG, Listener
from canary_tui.tunnels.login import CutOff, pass_login
from canary_tui.tunnels.open_files import unexpected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from canary_tui.tunnels.login import ClientRefusal, Guard
    from canary_tui.tunnels.route import Route

CLOSE_SECONDS = 1.0
OPEN_SECONDS = 20.0
"""How long the way to the database may take to open for one client: TCP's own limit is two minutes."""
PATIENCE_SECONDS = 0.05
"""A client that had to wait longer for the tunnel may have given up meanwhile."""
REFUSAL_SECONDS = 2.0
REFUSAL_BYTES = 64 * 1024
"""How long, and to how much, a client is listened to that cannot be served."""


class Dismissed(Exception):
    """A client is not served, nor told anything: it is gone. The text says who it was."""


class Relay:
    """Serves a local port (or socket) of one server, to the users whose uids are allowed.

    It stays bound whatever happens behind it. ``route`` is awaited for each client and may wait for
    a tunnel that is being rebuilt; it raises Failed when there is none. ``changed`` is called when a
    client came or went, ``refused`` with the reason for each client that is not served: it returns how
    that one is told, None to just close. Who is no client but a stranger is told to ``turned_away``.
    ``guard`` gives what watches over a session's login, None for nothing.
    """

    def __init__(
        self,
        route: Callable[[], Awaitable[Route]],
        *,
        changed: Callable[[], None],
        refused: Callable[[Dismissed | Failed | CutOff], ClientRefusal | None],
        turned_away: Callable[[peer.Peer], object] = lambda _: None,
        guard: Callable[[], Guard | None] = lambda: None,
        allowed_uids: frozenset[int] | None = None,
    ) -> None:
        self._route = route
        self._changed = changed
        self._refused = refused
        self._turned_away = turned_away
        self._guard = guard
        self._allowed = allowed_uids if allowed_uids is not None else frozenset({os.geteuid()})
        self._listeners: list[Listener] = []
        self._path: Path | None = None
        self._clients: dict[End, asyncio.Task[None]] = {}
        self._pairs: dict[End, End] = {}
        self._bytes = [0, 0]

    @property
    def clients(self) -> int:
        """How many clients are connected now."""
        return len(self._clients)

    @property
    def bytes_up(self) -> int:
        """Bytes from clients to the database, so far."""
        return self._bytes[0] + sum(local.received for local in self._pairs)

    @property
    def bytes_down(self) -> int:
        """Bytes from the database to clients, so far."""
        return self._bytes[1] + sum(end.received for end in self._pairs.values())

    def listen(self, sock: socket.socket) -> int:
        """Serve a socket that listens on a port of loopback, beside those before; return the port."""
        self._accept_from(sock)
        return int(sock.getsockname()[1])

    def listen_socket(self, path: Path) -> Path:
        """Bind a unix socket in a folder that only this user can enter.

        Raises OSError: EADDRINUSE when another process listens there.
        """
        _make_room(path)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(str(path))
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
        self._accept_from(sock)
        self._path = path
        return path

    def _accept_from(self, sock: socket.socket) -> None:
        self._listeners.append(
            Listener(
                sock,
                self._arrived,
                allowed=self._allowed,
                turned_away=self._turned_away,
                no_room=lambda error: self._refused(unexpected(error)),
            )
        )

    async def close(self) -> None:
        """Stop listening and close what runs through; returns when it is closed."""
        for listener in self._listeners:
            listener.stop()
        while self._listeners:
            await self._listeners.pop().close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        ends = [*self._clients, *self._pairs.values()]
        tasks = list(self._clients.values())
        for task in tasks:
            task.cancel()
        for end in ends:
            end.abort()
        waits: list[asyncio.Future[None] | asyncio.Future[Exception | None]] = [
            *tasks,
            *(e.closed for e in ends),
        ]
        if waits:
            await asyncio.wait(waits, timeout=CLOSE_SECONDS)

    def _arrived(self, local: End, transport: asyncio.Transport) -> None:
        local.pause_reading()  # until the way to the database stands
        task = asyncio.get_running_loop().create_task(self._serve(local, transport), name="relay client")
        self._clients[local] = task
        self._changed()

    async def _way_out(self, transport: asyncio.Transport) -> End:
        try:
            return await self._open(transport)
        except Failed as failed:
            # The tunnel only looked as if it stood: once more, over the one that is built in its place.
            if failed.cause is not Cause.TUNNEL_LOST or failed.stage is not Stage.FORWARD:
                raise
        return await self._open(transport)

    async def _open(self, transport: asyncio.Transport) -> End:
        asked = time.monotonic()
        route = await self._route()
        if time.monotonic() - asked > PATIENCE_SECONDS and peer.has_left(transport):
            # MySQL counts connections that say nothing, and blocks everybody behind the jumpbox in the end.
            raise Dismissed("a client that did not wait for the tunnel")
        trace = Trace(time.perf_counter)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                return await route.open(trace)
        except TimeoutError:
            raise trace.timed_out() from None
        except Failed as failed:
            failed.stage = failed.stage or trace.stage
            raise

    async def _serve(self, local: End, transport: asyncio.Transport) -> None:
        try:
            upstream = await self._way_out(transport)
            self._pairs[local] = upstream
            if (guard := self._guard()) is not None:
                await pass_login(guard, local, upstream)
            local.join(upstream)
            await asyncio.gather(asyncio.shield(local.closed), asyncio.shield(upstream.closed))
        except (Dismissed, Failed) as reason:
            refusal = self._refused(reason)
            if refusal is not None:
                await _say(refusal, local)
        except CutOff as cut:
            refusal = self._refused(cut)
            told = [] if refusal is None else [_say(refusal, local)]
            await asyncio.gather(*told, _say(cut.guard.left(), self._pairs[local]))
        finally:
            local.abort()
            paired = self._pairs.pop(local, None)
            if paired is not None:
                paired.abort()
                self._bytes[0] += local.received
                self._bytes[1] += paired.received
            self._clients.pop(local, None)
            self._changed()


async def _say(refusal: ClientRefusal, client: End) -> None:
    """Tell a client why it is not served (or a server that it is left), and give it the time to read that."""
    left = REFUSAL_BYTES
    try:
        async with asyncio.timeout(REFUSAL_SECONDS):
            client.write(refusal.hear(b""))
            while not refusal.over and left > 0 and (data := await client.take()):
                left -= len(data)
                client.write(refusal.hear(data))
            client.write_eof()
            # Closed with something unread, the kernel would take back what was said (RFC 1122 §4.2.2.13).
            while left > 0 and (data := await client.take()):
                left -= len(data)
    except TimeoutError:
        return


def _make_room(path: Path) -> None:
    private_folder(path.parent).chmod(0o700)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        try:
            sock.connect(str(path))
        except BlockingIOError:  # somebody listens, and has too much to do
            pass
        except FileNotFoundError:
            return
        except ConnectionRefusedError:  # left behind by a process that was killed
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), str(path))
