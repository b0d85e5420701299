"""The way to the database for a client of a tunnel's local end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from canary_tui.monitor.doorway import Down
from canary_tui.monitor.events import TunnelState

if TYPE_CHECKING:
    from canary_tui.monitor.supervisor import Supervisor
    from canary_tui.tunnels.route import Route


async def way_for_client(tunnel: Supervisor) -> Route:
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
