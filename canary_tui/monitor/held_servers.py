"""The servers whose tunnels are held open and probed: one watcher each, one generation after the other.

What is wanted is decided here, and nowhere else: every server that is switched on, but for those that a
person has closed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from canary_tui.diagnosis.printable import system_words
from canary_tui.diagnosis.stages import Failed
from canary_tui.monitor.breakdowns import ENDING
from canary_tui.monitor.events import Noted, TunnelChanged, TunnelState

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.monitor.breakdowns import Breakdowns
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.fleet_file import FleetFile
    from canary_tui.monitor.tools import Tools
    from canary_tui.monitor.watcher import Watcher
    from canary_tui.servers.model import Server

LEFT = "left"
"""With this a request is cancelled (``task.cancel(LEFT)``) whose asker has vanished: a ``Hold`` that ends so
closes nothing. Any other cancellation is a person's wish."""
PROBES_AT_ONCE = 32


class HeldServers:
    """Watches each server that is wanted. ``tools`` gives the user's tools, ``chance`` random numbers."""

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
        self._lives: dict[str, asyncio.Task[None]] = {}
        """What holds a server, until it has been closed."""
        self._closed: set[str] = set()
        """The servers that a person has closed; a restart of the monitor forgets it."""
        self._ending = False
        self._failed: dict[str, Server] = {}
        """The servers whose watching failed by a defect and is not begun again yet."""
        self._probes = asyncio.Semaphore(PROBES_AT_ONCE)
        self._choosing_port = asyncio.Lock()

    def watcher(self, name: str) -> Watcher | None:
        """Return who watches a server now."""
        return self._watchers.get(name)

    def open(self, name: str) -> None:
        """Open a server, though a person has closed it."""
        self._closed.discard(name)
        self._begin(name)

    async def hold(self, name: str, *, reopen: bool) -> None:
        """Wait until a server is closed; open it first with ``reopen``. Called off, close it, unless LEFT."""
        if reopen:
            self.open(name)
        try:
            while (life := self._lives.get(name)) is not None:
                await asyncio.wait({life})
        except asyncio.CancelledError as called_off:
            if LEFT not in called_off.args:
                await self.close(name)
            raise

    async def close(self, name: str) -> None:
        """Close a server and wait until all of it is closed; it is not opened again by itself."""
        if self._wanted(name) is not None:
            self._closed.add(name)
        if (life := self._lives.get(name)) is not None:
            if not life.cancelling():  # a second time would cut its closing short
                life.cancel()
            await asyncio.wait({life})

    async def end(self) -> None:
        """Close everything, and open nothing any more."""
        self._ending = True
        await asyncio.gather(*map(self.close, self._lives))

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

    def adopt(self) -> None:
        """Bring everything to what the servers file says now."""
        fleet = self._file.fleet
        for name, watcher in list(self._watchers.items()):
            _adopt(watcher, fleet.get(name))
        for name, server in list(self._failed.items()):
            if fleet.get(name) != server:
                self._broken.again(name)
        enabled = [server.name for server in fleet.servers if server.enabled]
        self._closed.intersection_update(enabled)
        for name in enabled:
            self._begin(name)

    def _wanted(self, name: str) -> Server | None:
        """Return the server's settings where it should be open."""
        server = self._file.fleet.get(name)
        if self._ending or name in self._closed or server is None or not server.enabled:
            return None
        return server

    def _begin(self, name: str) -> None:
        """Hold a server that is wanted and is not held; one that is being closed begins again after that."""
        if name in self._lives or self._wanted(name) is None:
            return

        def ended(_life: object) -> None:
            del self._lives[name]
            self._begin(name)

        work = self._broken.keep(f"holding {name}", lambda: self._live(name))
        self._lives[name] = life = asyncio.create_task(work, name=f"hold {name}")
        life.add_done_callback(ended)

    async def _live(self, name: str) -> None:
        """Watch a server as long as it is wanted."""
        while (server := self._wanted(name)) is not None:
            await self._watch_or_wait(server)

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
                del self._failed[server.name]
                if self._wanted(server.name) is None:
                    closed = TunnelState.CLOSED
                    self._emit(TunnelChanged(at=time.time(), server=server.name, state=closed))

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
