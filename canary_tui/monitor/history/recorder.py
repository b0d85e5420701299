"""Keeps the history: writes in batches, off the monitor's loop, what was gathered on it.

Nothing here is fatal. A broken file is set aside, a full disk is waited out with the newest lines in
memory, a file of a newer version is left alone; each is said once, as an event.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from canary_tui.monitor.events import Noted
from canary_tui.monitor.history import retention
from canary_tui.monitor.history.schema import Foreign, TooNew, is_broken, open_history, set_aside
from canary_tui.monitor.history.tables import file_number, history_file
from canary_tui.monitor.history.writer import Writer
from canary_tui.monitor.uptime import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiosqlite

    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.history.unwritten import Unwritten
    from canary_tui.monitor.incident_tracker import IncidentTracker
    from canary_tui.monitor.lock import Lock
    from canary_tui.monitor.uptime import UptimeCounters
    from canary_tui.paths import Paths

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.5
"""How long lines are gathered before they are written: this and the write are what a ``kill -9`` costs."""
TICK_SECONDS = 5.0
"""How often the seconds of servers that were not probed meanwhile are counted and written."""
AGAIN_SECONDS = 2.0
"""How often a file that cannot be opened or written is tried again."""
PRUNE_SECONDS = 10.0
FORGET_SECONDS = 86_400.0


class Recorder:
    """The one writer of the history, on the monitor's loop.

    It writes what ``unwritten`` has gathered, and tells ``uptime`` and ``incidents`` what the last run has
    written.
    """

    def __init__(
        self,
        paths: Paths,
        lock: Lock,
        emit: Callable[[AnyEvent], None],
        *,
        uptime: UptimeCounters,
        incidents: IncidentTracker,
        unwritten: Unwritten,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = history_file(paths)
        self._lock = lock
        self._emit = emit
        self._clock = clock
        self._uptime = uptime
        self._incidents = incidents
        self._unwritten = unwritten
        self._writer: Writer | None = None
        self._file: tuple[int, int] | None = None
        """Which file is open."""
        self._recalled = False
        self._waited = False
        """Whether another process kept the history meanwhile: what is in memory is written already."""
        self._given_up = False
        self._trouble = ""
        self._ticked = self._pruned = self._forgot = 0.0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Have ``run`` write what is left and end."""
        self._closing.set()

    async def run(self) -> None:
        """Open, write, prune, until ``close``. To be ended by that, not by cancelling."""
        try:
            last = False
            while not last:
                last = self._closing.is_set()
                if last:
                    self._ticked = 0.0  # the seconds until now count
                await self._look_for_the_file()
                usable = self._writer is not None or await self._open()
                written = usable and await self._write()
                if written and not last:
                    await self._prune()
                await self._pause(BATCH_SECONDS if written else AGAIN_SECONDS)
        finally:
            await self._close_file()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    # Opening

    async def _open(self) -> bool:
        if self._given_up:
            self._unwritten.clear()
            return False
        try:
            holder = self._lock.acquire()
            if holder is not None:
                self._say(f"{holder.who} monitors already and keeps the history; this one does not")
                self._waited = True
                return False
            database = await self._opened()
        except TooNew as error:
            self._given_up = True
            self._say(f"nothing is kept in {self._path}: {error}")
            return False
        except (OSError, sqlite3.Error) as error:
            self._say(f"{self._path} cannot be opened: {error}; the newest lines wait in memory")
            return False
        signature = self._lock.signature
        self._writer = Writer(database, signature.since if signature is not None else 0.0)
        self._file = file_number(self._path)
        self._unwritten.begin_file()
        return await self._recall(self._writer)

    async def _opened(self) -> aiosqlite.Connection:
        try:
            return await open_history(self._path)
        except (sqlite3.Error, Foreign) as error:
            if not is_broken(error):
                raise
            self._set_aside(error)
        return await open_history(self._path)

    def _set_aside(self, error: Exception) -> None:
        aside = set_aside(self._path)
        self._note(f"the history was not sound ({error}); it is kept as {aside}, and a new one was begun")

    async def _look_for_the_file(self) -> None:
        """Begin a new file where ours was deleted, or moved, while it was open: nobody would read it."""
        if self._writer is None:
            return
        moved = self._file is None or file_number(self._path) != self._file
        if moved or not self._lock.in_place:
            await self._close_file()  # and with it the lock is taken anew
        if moved:
            self._note(f"{self._path} was deleted or moved away; a new one is begun")

    async def _recall(self, writer: Writer) -> bool:
        """Go on where the last run ended."""
        if self._recalled:
            return True
        try:
            await writer.forget_tunnels()
            incidents, hours = await writer.open_incidents(), await writer.hours_under_way()
        except (sqlite3.Error, msgspec.MsgspecError, ValueError) as error:
            await self._failed(error)
            return False
        self._recalled = True
        if self._waited:
            self._unwritten.clear()
        for name, hour, totals in hours:
            self._uptime.recall(name, hour, totals)
        for change in self._incidents.adopt(self._clock(), incidents):
            self._emit(change)
        return True

    # Writing

    async def _write(self) -> bool:
        """Write what has come; what cannot be written stays in memory. Tells whether it was written."""
        writer, now = self._writer, self._clock()
        if writer is None:
            return False
        if now - self._ticked >= TICK_SECONDS or now < self._ticked or now // HOUR != self._ticked // HOUR:
            self._uptime.advance(now)
            self._ticked = now
        batch = self._unwritten.batch(now)
        if batch is None:
            return True
        try:
            await writer.write(batch)
        except sqlite3.Error as error:
            self._unwritten.put_back(batch)
            await self._failed(error)
            return False
        self._uptime.written(batch.hours)
        self._well()
        return True

    async def _failed(self, error: Exception) -> None:
        """Meet an error of the database: a broken file goes out of the way, anything else is waited out."""
        if is_broken(error):
            await self._close_file()
            try:
                self._set_aside(error)
            except OSError as refused:
                self._say(f"{self._path} is broken and cannot be moved: {refused}")
        else:
            self._say(f"the history cannot be written: {error}; the newest lines wait in memory")

    async def _prune(self) -> None:
        writer, now, limits = self._writer, self._clock(), self._unwritten.limits
        if writer is None or limits is None or 0 <= now - self._pruned < PRUNE_SECONDS:
            return
        try:
            if await retention.step(writer.database, now, limits):
                return  # there may be more: the next step comes after the next batch
            self._pruned = now
            if not 0 <= now - self._forgot < FORGET_SECONDS:
                self._forgot = now
                await retention.forget_failures(writer.database)
                writer.forget()
        except sqlite3.Error as error:
            self._pruned = now
            await self._failed(error)

    async def _close_file(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            try:
                await writer.database.close()
            except sqlite3.Error:
                log.debug("closing the history", exc_info=True)

    # Saying

    def _say(self, trouble: str) -> None:
        """Say what is wrong, once for as long as it lasts."""
        if not self._trouble:
            self._note(trouble)
        self._trouble = trouble

    def _well(self) -> None:
        lines = self._unwritten.lost
        if self._trouble or lines:
            lost = f"; {lines} lines were lost" if lines else ""
            self._note(f"the history is written again{lost}")
        self._trouble, self._unwritten.lost = "", 0

    def _note(self, text: str) -> None:
        self._emit(Noted(at=self._clock(), server="", text=text))
