"""A route leads to one database: through an SSH channel, or straight by TCP. Same interface."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Protocol, cast

import asyncssh

from canary_tui.diagnosis.stages import Cause, Failed, RouteKind, Stage
from canary_tui.servers.model import wire_host
from canary_tui.tunnels.addresses import open_socket
from canary_tui.tunnels.ends import End
from canary_tui.tunnels.failures import channel_failure

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from canary_tui.diagnosis.trace import Trace
    from canary_tui.tunnels.ssh_connection import SshConnection

QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)


class Route(Protocol):
    """A way to one database, over which any number of connections can be opened."""

    kind: RouteKind

    async def open(self, trace: Trace) -> End:
        """Open a connection to the database and return its end.

        Enters the route's stages (``forward``, or ``resolve`` and ``connect``). Raises Failed. May be
        cancelled; nothing is left open then.
        """

    def lost(self) -> str:
        """Say why the way itself is lost, and with it all that ran over it; empty while it stands."""

    def awaited(self, seconds: float) -> AbstractContextManager[None]:
        """While something waits for the database, ``seconds`` at most: see in time that the way stands."""


class DirectRoute:
    """Straight to the database by TCP."""

    kind = RouteKind.DIRECT

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    async def open(self, trace: Trace) -> End:
        """Open a TCP connection to the database."""
        closed = (Stage.DATABASE, Cause.DATABASE_CLOSED_EARLY)
        sock = await open_socket(self.host, self.port, trace, closed)
        try:
            _, end = await asyncio.get_running_loop().create_connection(End, sock=sock)
        except BaseException:
            sock.close()
            raise
        return end

    def lost(self) -> str:
        """A direct way has nothing that stands between its connections."""
        return ""

    def awaited(self, seconds: float) -> AbstractContextManager[None]:
        """Nobody but the database can be asked."""
        del seconds
        return contextlib.nullcontext()


class SshRoute:
    """Through a channel of an open SSH connection (RFC 4254 §7.2, ``direct-tcpip``)."""

    def __init__(
        self, ssh: SshConnection, host: str, port: int, *, kind: RouteKind = RouteKind.REUSED
    ) -> None:
        self.ssh = ssh
        self.host = wire_host(host)
        self.port = port
        self.kind = kind

    async def open(self, trace: Trace) -> End:
        """Open a channel to the database."""
        # A login is over when the server has said something more: many say nothing until they are asked.
        trace.enter(Stage.FORWARD, tentative=self.kind is RouteKind.FRESH)
        if not self.ssh.open:
            raise self._loss()
        end = End()
        # Asyncssh asks for its own session class, which has the callbacks of an asyncio protocol.
        factory = cast("type[asyncssh.SSHTCPSession[bytes]]", lambda: end)
        opening = asyncio.ensure_future(
            self.ssh.connection.create_connection(factory, self.host, self.port, "127.0.0.1", 0)
        )
        await self._acknowledge_quickly()
        try:
            await asyncio.wait({opening})
        except asyncio.CancelledError:
            # A channel that is being opened cannot be called back. If the database answers later it
            # would stay open for as long as the SSH connection: close it then.
            opening.add_done_callback(_close_late)
            raise
        try:
            opening.result()
        except (asyncssh.Error, OSError) as error:
            if not self.ssh.open:
                raise self._loss() from None
            trace.enter(Stage.FORWARD)
            failed = channel_failure(error, connection_open=True)
            if failed.cause is Cause.DATABASE_CLOSED_EARLY:
                trace.enter(Stage.DATABASE)  # the way was open
            raise failed from None
        trace.enter(Stage.FORWARD)
        return end

    def _loss(self) -> Failed:
        if self.kind is RouteKind.FRESH:
            return self.ssh.loss()
        return Failed(Cause.TUNNEL_LOST, detail=self.ssh.end)  # whose login it was says how that ended

    def lost(self) -> str:
        """Say why the SSH connection has ended, or that its server does not answer."""
        return self.ssh.end or self.ssh.liveness.silence

    def awaited(self, seconds: float) -> AbstractContextManager[None]:
        """Ask the SSH server whether it lives when it has been silent for half as long."""
        return self.ssh.liveness.awaited(seconds)

    async def _acknowledge_quickly(self) -> None:
        """Have the kernel acknowledge the answer to the channel request at once (Linux).

        sshd leaves Nagle's algorithm on, so what follows its answer (a MySQL greeting) waits for our
        ACK, which the kernel would delay by 40 ms. The kernel forgets the wish at every exchange: it
        is made anew just after each request has been sent.
        """
        await asyncio.sleep(0)
        if QUICK_ACK is not None:
            with contextlib.suppress(OSError):
                self.ssh.socket.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)


def _close_late(
    opening: asyncio.Future[tuple[asyncssh.SSHTCPChannel[bytes], asyncssh.SSHTCPSession[bytes]]],
) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].abort()
