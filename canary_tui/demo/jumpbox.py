"""The demo's SSH server: key logins, forwards to the demo's databases, and nothing else."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, cast

import asyncssh
import msgspec

from canary_tui.demo.settings import HOST, USER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping
    from pathlib import Path

    from canary_tui.demo.settings import Target


class Jumpbox(msgspec.Struct, frozen=True):
    """A listening SSH server."""

    port: int
    known_host: str
    """Its line for a known-hosts file."""


@asynccontextmanager
async def jumpbox(targets: Mapping[tuple[str, int], Target], authorized_keys: Path) -> AsyncIterator[Jumpbox]:
    """Serve SSH on a free loopback port until the block ends.

    ``authorized_keys`` is read at each login of ``USER``, so a line added to it counts at once.
    """
    host_key = asyncssh.generate_private_key("ecdsa-sha2-nistp256", comment="canary-demo")
    connections: set[asyncssh.SSHServerConnection] = set()
    server = await asyncssh.listen(
        HOST,
        0,
        server_factory=lambda: _Server(targets, authorized_keys, connections),
        server_host_keys=[host_key],
        config=None,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_pty=False,
        allow_scp=False,
    )
    port = server.get_port()
    try:
        public = host_key.export_public_key("openssh").decode().rsplit(" ", 1)[0]
        yield Jumpbox(port=port, known_host=f"[{HOST}]:{port} {public}\n")
    finally:
        server.close()
        for connection in tuple(connections):
            connection.abort()
        await server.wait_closed()


class _Server(asyncssh.SSHServer):
    """One connection. What is not answered here, asyncssh refuses: shells, commands, reverse forwards."""

    def __init__(
        self,
        targets: Mapping[tuple[str, int], Target],
        authorized_keys: Path,
        connections: set[asyncssh.SSHServerConnection],
    ) -> None:
        self._targets = targets
        self._authorized_keys = authorized_keys
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember the connection: the demo's end closes it."""
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._connection is not None:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        """Let ``USER`` in with the keys of the file; everybody must show one."""
        if username == USER and self._connection is not None:
            with suppress(OSError, ValueError):  # no file, or no key in it: nobody comes in
                self._connection.set_authorized_keys(str(self._authorized_keys))
        return True

    def public_key_auth_supported(self) -> bool:
        """Offer key logins to unknown users and with an empty file too, as sshd does."""
        return True

    def connection_requested(
        self,
        dest_host: str,
        dest_port: int,
        orig_host: str,
        orig_port: int,
    ) -> Awaitable[asyncssh.SSHTCPSession[bytes]]:
        """Open a forward to one of the demo's databases; refuse every other target as sshd does."""
        target = self._targets.get((dest_host, dest_port))
        if target is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        return _forward(target)


async def _forward(target: Target) -> asyncssh.SSHTCPSession[bytes]:
    loop = asyncio.get_running_loop()
    try:
        _, database = await loop.create_connection(asyncssh.SSHForwarder, HOST, target.port)
    except OSError as error:
        # sshd's words are the system's: "Connection refused".
        words = os.strerror(error.errno) if error.errno else str(error)
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, words) from None
    # What asyncssh's own forward_connection returns: a forwarder is a session in all but its base class.
    return cast("asyncssh.SSHTCPSession[bytes]", _Forward(database, target.delay))


class _Forward(asyncssh.SSHForwarder):
    """The client's side of a forward, which holds its first bytes back for ``delay`` seconds."""

    def __init__(self, peer: asyncssh.SSHForwarder, delay: float) -> None:
        super().__init__(peer)
        self._delay = delay
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Pass data on; the first of it, and what comes after it, when the delay is over."""
        if not self._delay:
            super().data_received(data, datatype)
            return
        delay, self._delay = self._delay, 0.0
        self.pause_reading()  # only here: asyncssh resumes a channel that is paused when it is opened
        self._timer = asyncio.get_running_loop().call_later(delay, self._go_on, data)

    def _go_on(self, first: bytes) -> None:
        super().data_received(first)
        self.resume_reading()

    def close(self) -> None:
        """Close both sides; there is then nothing to go on with."""
        if self._timer is not None:
            self._timer.cancel()
        super().close()
