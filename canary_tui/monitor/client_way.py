"""The way to the database for a client of a tunnel's local end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from canary_tui.monitor.doorway import Down
from canary_tui.monitor.events import TunnelState

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Failure
    from canary_tui.servers.model import Server
    from canary_tui.tunnels.route import Route


class Tunnel(Protocol):
    """What is asked of the tunnel; ``Supervisor`` says what each means."""

    server: Server
    state: TunnelState
    failure: Failure | None
    retry_at: float | None

    def route(self) -> Route | None:
        """Return the way to the database if it stands now."""

    async def next_change(self) -> None:
        """Wait until the tunnel enters a state."""


async def way_for_client(tunnel: Tunnel) -> Route:
    """Return the way for a client; one that is being rebuilt is waited for, ``connect_wait`` at most.

    Not waited for when it cannot come back within that. Raises Down.
    """
    ssh = tunnel.server.ssh
    deadline = time.monotonic() + (ssh.connect_wait if ssh else 0)
    while (route := tunnel.route()) is None:
        late = tunnel.retry_at is not None and tunnel.retry_at > deadline
        left = deadline - time.monotonic()
        if tunnel.state is TunnelState.STOPPED or late or left <= 0:
            raise Down(tunnel.failure)
        try:
            async with asyncio.timeout(left):
                await tunnel.next_change()
        except TimeoutError:
            continue
    return route
