"""Tunnels for clients, and a stand-in for what they log in to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from canary_tui.monitor.events import TunnelState
from tests.harness.misbehave import Fake
from tests.servers.held_tunnel import held_tunnel
from tests.servers.world import with_database

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from canary_tui.servers.model import Server
    from tests.servers.held_tunnel import HeldTunnel
    from tests.servers.world import World


CLEARTEXT = "the database asks for the password in clear"


class Replies(Fake):
    """Says ``first``, then one of ``replies`` to each thing that it hears, and takes note of all of it."""

    def __init__(self, *replies: bytes, first: bytes = b"") -> None:
        super().__init__()
        self._first = first
        self._replies = replies

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if self._first:
            await loop.sock_sendall(client, self._first)
        for reply in self._replies:
            self.received += await loop.sock_recv(client, 65_536)
            await loop.sock_sendall(client, reply)
        await self._listen_to(client)


@asynccontextmanager
async def up(world: World, server: Server) -> AsyncIterator[HeldTunnel]:
    """Hold a server's tunnel, once it stands."""
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.UP)
        yield at_work


def allowing(server: Server) -> Server:
    """Return the server with the setting that lets passwords through."""
    return with_database(server, allow_cleartext=True)
