"""The servers whose tunnels are held open and probed: one watcher each, one generation after the other."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from canary_tui.diagnosis.printable import system_words
from canary_tui.diagnosis.stages import Failed
from canary_tui.monitor.breakdowns import ENDING
from canary_tui.monitor.events import Noted

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.monitor.breakdowns import Breakdowns
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.fleet_file import FleetFile
    from canary_tui.monitor.tools import Tools
    from canary_tui.monitor.watcher import Watcher
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server

PROBES_AT_ONCE = 32


class HeldServers:
    """Watches each server that is held. ``tools`` gives the user's tools, ``chance`` random numbers."""

    def __init__(
        self,
        file: FleetFile,
        tools: Callable[[], Tools],
        emit: Callable[[AnyEvent], None],
        broken: Breakdowns,
        chance: Callable[[], float],
    ) -> None:
        self._file = file
        self._tools = tools
        self._emit = emit
        self._broken = broken
        self._chance = chance
        self._watchers: dict[str, Watcher] = {}
        self._holds: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, Server] = {}
        """The servers whose watching failed by a defect and is not begun again yet."""
        self._probes = asyncio.Semaphore(PROBES_AT_ONCE)
        self._choosing_port = asyncio.Lock()

    def watcher(self, name: str) -> Watcher | None:
        """Return who watches a server now."""
        return self._watchers.get(name)

    async def hold(self, name: str) -> None:
        """Open a server's tunnel and probe it until it is closed, switched off or removed."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine on this loop runs in a task
        before = self._holds.get(name)
        self._holds[name] = task
        try:
            if before is not None:
                before.cancel()
                await asyncio.wait({before})
            while (server := self._file.fleet.get(name)) is not None and server.enabled:
                await self._watch_or_wait(server)
        finally:
            if self._holds.get(name) is task:
                del self._holds[name]

    async def close(self, name: str) -> None:
        """Close a server's tunnel and wait until all of it is closed."""
        task = self._holds.get(name)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def probe_now(self, name: str) -> None:
        """Probe a server at once, without waiting for its turn."""
        if name in self._watchers:
            self._watchers[name].schedule.now()

    def retry_now(self, name: str) -> None:
        """Stop waiting and try a server's tunnel and probe at once."""
        self._broken.again(name)
        if name in self._watchers:
            self._watchers[name].retry_now()

    def host_key_trusted(self, offer: HostKeyOffer) -> None:
        """Try the servers behind an SSH server again whose host key is trusted from now on."""
        for watcher in self._watchers.values():
            ssh = watcher.server.tunnel
            if ssh and (ssh.host.lower(), ssh.port) == (offer.host.lower(), offer.port):
                watcher.retry_now()

    def woke(self) -> None:
        """Try all at once that only the network keeps down: the machine woke up, or its network changed."""
        for watcher in self._watchers.values():
            watcher.woke()

    def adopt(self, fleet: Fleet) -> None:
        """Bring every watcher to what the servers file says now."""
        for name, watcher in list(self._watchers.items()):
            _adopt(watcher, fleet.get(name))
        for name, server in list(self._failed.items()):
            if fleet.get(name) != server:
                self._broken.again(name)

    async def _watch_or_wait(self, server: Server) -> None:
        """Watch a server; where that fails by a defect, say so and wait before the next try."""
        began = time.monotonic()
        try:
            await self._watch(server)
        except ENDING:
            raise
        except BaseException as error:  # noqa: BLE001 - said as a breakdown
            self._failed[server.name] = server
            try:
                await self._broken.tunnel(server, error, time.monotonic() - began)
            finally:
                self._failed.pop(server.name, None)

    async def _watch(self, server: Server) -> None:
        """Watch a server until its settings ask for another tunnel, or it is closed."""
        from canary_tui.monitor.watcher import Watcher

        async with self._choosing_port:  # one at a time, or two servers get the same
            server = await self._with_local_port(server)
        ssh = server.tunnel
        watcher = Watcher(server, self._tools(), self._emit, probes=self._probes, chance=self._chance)
        self._watchers[server.name] = watcher
        try:
            await watcher.run()
        finally:
            del self._watchers[server.name]
            self._tools().ports.let_go(ssh.local_port if ssh else None)

    async def _with_local_port(self, server: Server) -> Server:
        """Choose the local port once and write it down; where that fails, it holds for this run."""
        if server.tunnel is None or server.tunnel.local_port is not None:
            return server
        tools = self._tools()
        taken = {s.ssh.local_port for s in self._file.fleet.named if s.ssh and s.ssh.local_port}
        try:
            server = tools.ports.choose(server, taken)
            if server.ssh is not None and server.ssh.local_port is not None:
                await tools.remember(server.name, ("ssh", "local_port"), server.ssh.local_port)
                await self._file.read()
        except asyncio.CancelledError:
            tools.ports.let_go(server.ssh.local_port if server.ssh else None)
            raise
        except Failed as failed:
            self._emit(Noted(at=time.time(), server=server.name, text=f"local port: {failed.detail}"))
        except OSError as error:
            text = f"local port: {system_words(error)}"
            self._emit(Noted(at=time.time(), server=server.name, text=text))
        return server


def _adopt(watcher: Watcher, server: Server | None) -> None:
    """Bring a running watcher to what the file says now."""
    from canary_tui.monitor.watcher import same_tunnel

    if server == watcher.server:
        return
    if server is not None and server.enabled and same_tunnel(watcher.server, server):
        watcher.adopt(server)
    else:
        watcher.stop()
