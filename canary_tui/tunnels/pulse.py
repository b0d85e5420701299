"""Whether an SSH connection that is open is alive as well."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING, cast

import asyncssh

from canary_tui.tunnels.dial import KEEPALIVE_SECONDS
from canary_tui.tunnels.ends import End

if TYPE_CHECKING:
    from canary_tui.tunnels.ssh_connection import SshConnection

SILENT_SECONDS = KEEPALIVE_SECONDS + 0.5
"""A server that has been silent for so long has not answered a keepalive."""
CHECK_SECONDS = 5.0
"""How long the SSH server may take to answer when the tunnel is in doubt."""
DOUBT_SECONDS = 60.0
"""How often probes may cause a check: where the database is silent, each of them wants one."""
LAST_DATA_RECEIVED = 52
"""Where ``struct tcp_info`` (linux/tcp.h) keeps the milliseconds since data came in last."""
NOWHERE = ("127.0.0.1", 0)
"""Port 0 cannot be connected to: a channel that leads there is answered at once, always with no."""


def silence(ssh: SshConnection) -> float:
    """Return the seconds since anything came from the SSH server; 0.0 where the system does not tell."""
    # Keepalives make it speak every few seconds, whatever its channels wait for.
    if not hasattr(socket, "TCP_INFO") or not ssh.open:
        return 0.0
    size = LAST_DATA_RECEIVED + 4
    try:
        info = ssh.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    except OSError:  # closed meanwhile
        return 0.0
    if len(info) < size:
        return 0.0
    milliseconds: int = struct.unpack_from("=I", info, LAST_DATA_RECEIVED)[0]
    return milliseconds / 1000


async def opens_channels(ssh: SshConnection, limit: float) -> bool:
    """Ask for a channel that leads nowhere; False when there is no answer within ``limit`` seconds.

    Refused is an answer, and so is the end of the connection, which is noticed elsewhere. A key that is
    limited to the database gets one line in the SSH server's log, so ask only in doubt.
    """
    end = End()
    factory = cast("type[asyncssh.SSHTCPSession[bytes]]", lambda: end)
    opening = asyncio.ensure_future(ssh.connection.create_connection(factory, *NOWHERE, "127.0.0.1", 0))
    try:
        async with asyncio.timeout(limit):
            await opening
    except TimeoutError:
        return False
    except (asyncssh.Error, OSError):
        return True
    finally:
        end.abort()
    return True


class Check:
    """Cuts an SSH connection off that is open and opens no channel. One check at a time."""

    def __init__(self) -> None:
        self._task: asyncio.Task[str] | None = None
        self._began = -DOUBT_SECONDS

    @property
    def under_way(self) -> bool:
        """Whether an answer is waited for."""
        return self._task is not None and not self._task.done()

    def begin(self, ssh: SshConnection) -> None:
        """Check now, unless that is under way."""
        if not self.under_way:
            self._began = time.monotonic()
            self._task = asyncio.get_running_loop().create_task(_cut_if_dead(ssh), name="check of a tunnel")

    def begin_again(self, ssh: SshConnection) -> None:
        """Check now, unless the last check is not long ago."""
        if time.monotonic() - self._began >= DOUBT_SECONDS:
            self.begin(ssh)

    def end(self) -> str:
        """End the check; return why it cut the connection off, or nothing where it did not."""
        task, self._task = self._task, None
        if task is None:
            return ""
        if not task.done():
            task.cancel()
            return ""
        return "" if task.cancelled() or task.exception() else task.result()


async def _cut_if_dead(ssh: SshConnection) -> str:
    if await opens_channels(ssh, CHECK_SECONDS):
        return ""
    ssh.abort()
    return f"it was open, but the SSH server opened no channel within {CHECK_SECONDS:g} s"
