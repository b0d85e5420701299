"""How many may log in to one SSH server at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from canary_tui.servers.model import Server

LOGINS_AT_ONCE = 2
"""SSH logins to one server at a time: MaxStartups and per-source penalties are never met."""


class LoginGates:
    """One gate for each SSH host and port. For one event loop."""

    def __init__(self) -> None:
        self._gates = defaultdict[tuple[str, int], asyncio.Semaphore](
            lambda: asyncio.Semaphore(LOGINS_AT_ONCE)
        )

    def of(self, server: Server) -> asyncio.Semaphore:
        """Return the gate that a login of this server goes through; a direct server has one of its own."""
        ssh = server.tunnel
        return self._gates[(ssh.host.lower(), ssh.port) if ssh else (server.name, 0)]
