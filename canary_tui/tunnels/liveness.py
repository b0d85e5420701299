"""Whether an open SSH connection is alive. Nothing else asks, and nothing else gives one up as dead.

The rule: any data from the SSH server is life. After ``IDLE_SECONDS`` without any it is sent one keepalive;
where a probe waits for the database, after half of the probe's time limit. After ``ANSWER_SECONDS`` more the
connection is given up (docs/reference.md promises 15 s). The kernel's timers come in addition: they end a
connection to a machine that is gone, but not one to a stopped sshd, whose kernel still acknowledges.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import asyncssh

from canary_tui.tunnels.ends import End

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from canary_tui.tunnels.metered import MeteredConnection

IDLE_SECONDS = 8.0
"""A server that has been silent for so long is sent a keepalive."""
ANSWER_SECONDS = 5.0
"""A server that has been silent for so much longer is given up. Not earlier, whoever waits: sshd says nothing
at all while it looks up the name of a database."""
BLAME_SECONDS = 1.0
"""A probe's time-out is the SSH server's fault where a keepalive has had no answer for so long."""
NOWHERE = ("127.0.0.1", 0)
"""Port 0 cannot be connected to: a channel that leads there is answered at once, always with no."""

KERNEL_TIMERS = {
    # Longer than IDLE_SECONDS: where the server lives, the kernel has nothing to send.
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPALIVE": 10,  # macOS's name for it
    "TCP_KEEPINTVL": 1,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": int((IDLE_SECONDS + ANSWER_SECONDS) * 1000),
}
"""Options of a TCP socket (tcp(7)), set where the system has them."""


class Liveness:
    """Watches one SSH connection from the end of its login until ``stop``.

    ``give_up`` is called with the reason when the connection is dead. There is one timer, which looks at the
    clock when it fires: data that comes in only leaves its time behind.
    """

    def __init__(
        self,
        connection: MeteredConnection,
        give_up: Callable[[str], None],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._connection = connection
        self._give_up = give_up
        self._loop = loop or asyncio.get_running_loop()
        self._asked = -math.inf
        """When the last keepalive was sent; it is answered when something was heard after that."""
        self._wait: tuple[float, float] | None = None
        """Since when a probe waits, and after which silence it wants a keepalive."""
        self._verifying: asyncio.Task[None] | None = None
        self._timer = self._loop.call_at(self._due, self._look)

    def stop(self) -> None:
        """The connection has ended."""
        self._timer.cancel()
        if self._verifying is not None:
            self._verifying.cancel()

    @contextmanager
    def awaited(self, seconds: float) -> Iterator[None]:
        """While a probe with this time limit waits for the database: ask after half of it."""
        before, self._wait = self._wait, (self._loop.time(), seconds / 2)
        if not self._timer.cancelled() and self._due < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(self._due, self._look)
        try:
            yield
        finally:
            self._wait = before

    @property
    def silence(self) -> str:
        """Say that the server does not answer, where that is the case for ``BLAME_SECONDS`` now."""
        now = self._loop.time()
        if self._answered or now - self._asked < BLAME_SECONDS:
            return ""
        return f"the SSH server has said nothing for {now - self._connection.heard:.0f} s"

    @property
    def verifying(self) -> bool:
        """Whether ``verify`` waits for an answer."""
        return self._verifying is not None and not self._verifying.done()

    def verify(self) -> None:
        """Have the server open a channel, unless that is under way; give the connection up if it does not.

        For a connection in doubt: a server may answer keepalives and open no channels any more. It writes
        one line to its log, as for whatever it refuses.
        """
        if not self.verifying:
            self._verifying = self._loop.create_task(self._open_channel(), name="verify a tunnel")

    async def _open_channel(self) -> None:
        end = End()
        factory = cast("type[asyncssh.SSHTCPSession[bytes]]", lambda: end)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._connection.create_connection(factory, *NOWHERE, "127.0.0.1", 0)
        except TimeoutError:
            self._give_up(f"it was open, but the SSH server opened no channel within {ANSWER_SECONDS:g} s")
        except (asyncssh.Error, OSError):
            return  # refused is an answer, and the end of the connection is noticed elsewhere
        finally:
            end.abort()

    @property
    def _answered(self) -> bool:
        return self._asked < self._connection.heard

    @property
    def _due(self) -> float:
        """When to ask, or, where that was done, to give up."""
        heard = self._connection.heard
        if not self._answered:
            # Where we were stopped ourselves, it has been asked only now.
            return max(heard + IDLE_SECONDS, self._asked) + ANSWER_SECONDS
        if self._wait is None:
            return heard + IDLE_SECONDS
        since, patience = self._wait
        return min(heard + IDLE_SECONDS, max(heard, since) + patience)

    def _look(self) -> None:
        now = self._loop.time()
        if now >= self._due:
            if not self._answered:
                self._give_up(f"the SSH server has said nothing for {now - self._connection.heard:.0f} s")
                return
            self._asked = now
            self._connection.send_keepalive()
        self._timer = self._loop.call_at(self._due, self._look)


def set_kernel_timers(sock: socket.socket) -> None:
    """Have the kernel end a TCP connection whose peer acknowledges nothing any more."""
    with contextlib.suppress(OSError):  # reset meanwhile: whoever reads from it is told
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KERNEL_TIMERS.items():
            if (option := getattr(socket, name, None)) is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
