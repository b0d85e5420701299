"""An SSH connection that stands: how it ends, and what its end amounts to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.tunnels.liveness import Liveness

if TYPE_CHECKING:
    import socket

    from canary_tui.tunnels.metered import MeteredConnection

CLOSE_SECONDS = 1.0


class SshConnection:
    """An open, logged-in SSH connection."""

    def __init__(self, connection: MeteredConnection, lost: asyncio.Future[str], sock: socket.socket) -> None:
        self.connection = connection
        self.socket = sock
        self.liveness = Liveness(connection, self.abort)
        self._lost = lost
        self._cut_off = False
        lost.add_done_callback(lambda _: self.liveness.stop())

    @property
    def server_version(self) -> str:
        """The server's version line, such as ``SSH-2.0-OpenSSH_9.2p1``."""
        return Source.SSH_VERSION.text(str(self.connection.get_extra_info("server_version", "")))

    @property
    def open(self) -> bool:
        """Whether it still stands."""
        return not self._lost.done()

    @property
    def end(self) -> str:
        """Why it ended; empty while it stands."""
        return "" if self.open else self._lost.result()

    def loss(self) -> Failed:
        """Return the failure that its end is.

        A server that lets the user in, says nothing more and ends the connection could not begin a session:
        sshd does so where ``ChrootDirectory`` is missing. That is a failure of the login.
        """
        if self._cut_off or self.connection.spoke_after_login:
            return Failed(Cause.TUNNEL_LOST, detail=self.end)
        detail = f"let the user in and ended the connection at once: {self.end}"
        facts = {"after_login": "right after the login"}
        return Failed(Cause.SSH_CLOSED_AT_LOGIN, stage=Stage.AUTH, detail=detail, facts=facts)

    async def lost(self) -> str:
        """Wait until the connection ends, for whatever reason, and return the reason."""
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Say good-bye and close; cut off when the other side takes longer than ``CLOSE_SECONDS``."""
        self.connection.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.connection.wait_closed()
        except TimeoutError:
            self.connection.abort()

    def abort(self, reason: str = "closed") -> None:
        """Cut the connection off at once, for a reason that ``end`` and ``lost`` give."""
        if not self._lost.done():
            self._cut_off = True
            self._lost.set_result(reason)
        self.connection.abort()
