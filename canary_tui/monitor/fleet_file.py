"""The servers file under watch: what it says now, and what became of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from canary_tui.keys.rotation_words import changes_told
from canary_tui.monitor.events import FileRejected, FleetLoaded, Noted
from canary_tui.servers.file import BadFile, ServersFile
from canary_tui.servers.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.monitor.events import AnyEvent
    from canary_tui.paths import Paths

FILE_SECONDS = 1.0
"""How often the file is looked at; a change is picked up within twice that."""


class FleetFile:
    """Reads the servers file whenever it has changed; a wrong one leaves the last good reading.

    ``changed`` is called after each good reading. ``fleet`` is what a follower has read already.
    """

    def __init__(
        self,
        paths: Paths,
        emit: Callable[[AnyEvent], None],
        changed: Callable[[], None],
        fleet: Fleet | None = None,
    ) -> None:
        self.fleet = fleet or Fleet()
        """The last good reading."""
        self._file = ServersFile(paths.servers)
        self._emit = emit
        self._changed = changed
        self._seen: object = None
        self._reading = asyncio.Lock()

    async def watch(self) -> None:
        """Read the file, and again when it changes, until cancelled."""
        while True:
            if self._file.signature() != self._seen:
                await self.read()
            await asyncio.sleep(FILE_SECONDS)

    async def read(self) -> None:
        """Read the file now."""
        async with self._reading:  # or an older reading could come after a newer one
            self._seen = self._file.signature()
            try:
                now = await asyncio.to_thread(self._file.load)
            except BadFile as bad:
                self._emit(FileRejected(at=time.time(), problems=tuple(map(str, bad.problems))))
                return
            before = self.fleet
            self.fleet = fleet = now.keeping(before)
            self._emit(FleetLoaded(at=time.time(), fleet=fleet))
            for name, text in changes_told(before, fleet):
                self._emit(Noted(at=time.time(), server=name, text=text))
            self._changed()
