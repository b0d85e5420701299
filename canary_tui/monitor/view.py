"""What a copy that does not monitor answers: what is written, and how to use the other's ports.

It makes and writes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.request import Read, Request
from canary_tui.monitor.requests import ReadKey, ReadRotation, StartClient

if TYPE_CHECKING:
    from canary_tui.databases.ways import Way
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.keys.rotation import Rotation
    from canary_tui.monitor.follower import Follower
    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server

T = TypeVar("T")


class View:
    """Answers what needs no monitor. Raises KeyError for a server that is not listed."""

    def __init__(self, paths: Paths, follower: Follower) -> None:
        self._paths = paths
        self._follower = follower

    def answers(self, request: Request[T]) -> bool:
        """Tell whether ``answer`` can answer."""
        return isinstance(request, Read | ReadKey | ReadRotation | StartClient)

    async def answer(self, request: Request[Any]) -> Any:
        """Answer a request that needs no monitor."""
        match request:
            case ReadKey():
                return await self._key(request.server)
            case ReadRotation():
                return await self._rotation(request.server)
            case StartClient():
                return await self._client(request.server)
            case Read():
                from canary_tui.monitor.history.reader import HistoryReader
                from canary_tui.monitor.history.tables import history_file

                return await asyncio.to_thread(request.read, HistoryReader(history_file(self._paths)))
            case _:
                raise NotImplementedError

    async def _key(self, name: str) -> KeyInfo:
        from canary_tui.monitor.tools import Tools

        server = self._known(name)
        if server.ssh is not None:
            # With its entry a key that is not there is missing, and not made.
            ssh = msgspec.structs.replace(server.ssh, key=server.key_name)
            server = msgspec.structs.replace(server, ssh=ssh)
        return await Tools(self._paths).key_info(server)

    async def _rotation(self, name: str) -> Rotation:
        """By the servers file as it was last good."""
        from canary_tui.monitor import rotation
        from canary_tui.monitor.tools import Tools

        return await rotation.state(Tools(self._paths), name, self._follower.fleet)

    async def _client(self, name: str) -> tuple[list[str], dict[str, str]]:
        """At the other's port. Raises Failed where it has not bound it, or a source of the password fails."""
        from canary_tui.monitor.clients import ClientStart
        from canary_tui.monitor.ways import check_safe
        from canary_tui.servers.allowed import AllowedCommands
        from canary_tui.servers.passwords import Passwords
        from canary_tui.tunnels.known_tls import KnownTls

        server, servers = self._known(name), self._follower.fleet.named
        row = self._follower.snapshot.row(name)
        check_safe(row.failure if row else None)
        start = ClientStart(
            way=lambda: self._way(server),
            servers=servers,
            known_tls=KnownTls(self._paths.known_tls),
            folder=self._paths.state / "clients" / name,
        )
        passwords = Passwords(allowed=AllowedCommands(self._paths), listed=lambda: servers)
        return await start.call(server, passwords.find)

    async def _way(self, server: Server) -> Way:
        from canary_tui.monitor.ways import way_at

        board = self._follower.snapshot
        row, monitor = board.row(server.name), board.monitored_by
        detail = board.unread or "the process that monitors has not opened it"
        why = Failed(Cause.TUNNEL_LOST, detail=detail)
        return await way_at(server, row.local if row else "", why, monitor.pid or None if monitor else None)

    def _known(self, name: str) -> Server:
        return self._follower.fleet.need(name)
