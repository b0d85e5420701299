"""Keeps the history: takes lines and events on the monitor's loop, writes them in batches off it.

Nothing here is fatal. A broken file is set aside, a full disk is waited out with the newest lines in
memory, a file of a newer version is left alone; each is said once, as an event.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from canary_tui.monitor.events import FleetLoaded, Noted, TunnelChanged
from canary_tui.monitor.history import retention
from canary_tui.monitor.history.ledger import Ledger
from canary_tui.monitor.history.rows import MICRO
from canary_tui.monitor.history.schema import Foreign, TooNew, is_broken, open_history, set_aside
from canary_tui.monitor.history.tables import file_number, history_file
from canary_tui.monitor.history.writer import Batch, Entry, Writer
from canary_tui.monitor.uptime import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiosqlite

    from canary_tui.monitor.board import LogLine
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.lock import Lock
    from canary_tui.paths import Paths
    from canary_tui.servers.fleet import HistoryLimits

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.5
"""How long lines are gathered before they are written: this and the write are what a ``kill -9`` costs."""
TICK_SECONDS = 5.0
"""How often the seconds of servers that were not probed meanwhile are counted and written."""
AGAIN_SECONDS = 2.0
"""How often a file that cannot be opened or written is tried again."""
PRUNE_SECONDS = 10.0
FORGET_SECONDS = 86_400.0
QUEUE_LENGTH = 50_000
"""Lines kept in memory while they cannot be written; then the oldest go."""
STEPPED = 1.0
"""Seconds beyond which a key that is older than the last one means that the clock was stepped back."""


class Recorder:
    """The one writer of the history. All methods but the constructor belong to the monitor's loop."""

    def __init__(
        self,
        paths: Paths,
        lock: Lock,
        emit: Callable[[AnyEvent], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = history_file(paths)
        self._lock = lock
        self._emit = emit
        self._clock = clock
        self._ledger = Ledger(emit)
        self._limits: HistoryLimits | None = None
        """What the servers file says; until it was read, nothing is thrown away."""
        self._entries: deque[Entry] = deque()
        self._lost = 0
        self._last_key = 0
        self._tunnels: dict[str, TunnelChanged] = {}
        """Where each tunnel stands now."""
        self._moved: set[str] = set()
        """The servers whose tunnels stand elsewhere than what is written."""
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

    def feed(self, event: AnyEvent) -> None:
        """Take in what happened: for the seconds up and down, and for the incidents."""
        if isinstance(event, FleetLoaded):
            self._limits = event.fleet.history
        elif isinstance(event, TunnelChanged):
            self._tunnels[event.server] = event
            self._moved.add(event.server)
        self._ledger.feed(event)

    def keep(self, line: LogLine) -> None:
        """Take in a line of the log."""
        if self._given_up:
            return
        key = round(line.at * MICRO)
        if key <= self._last_key and self._last_key - key < STEPPED * MICRO:
            key = self._last_key + 1  # two lines never share a key: it is where a reader goes on
        self._last_key = key
        self._entries.append(Entry(key, line.server, line.result, line.text))
        if len(self._entries) > QUEUE_LENGTH:
            self._entries.popleft()
            self._lost += 1

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
            self._entries.clear()
            self._say(f"nothing is kept in {self._path}: {error}")
            return False
        except (OSError, sqlite3.Error) as error:
            self._say(f"{self._path} cannot be opened: {error}; the newest lines wait in memory")
            return False
        signature = self._lock.signature
        self._writer = Writer(database, signature.since if signature is not None else 0.0)
        self._file = file_number(self._path)
        self._moved.update(self._tunnels)
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
            self._entries.clear()
            self._ledger.start_over()
        for name, hour, totals in hours:
            self._ledger.recall(name, hour, totals)
        self._ledger.adopt(self._clock(), incidents)
        return True

    # Writing

    async def _write(self) -> bool:
        """Write what has come; what cannot be written stays in memory. Tells whether it was written."""
        writer, now = self._writer, self._clock()
        if writer is None:
            return False
        if now - self._ticked >= TICK_SECONDS or now < self._ticked or now // HOUR != self._ticked // HOUR:
            self._ledger.advance(now)
            self._ticked = now
        entries, self._entries = self._entries, deque()
        touched, self._ledger.touched = self._ledger.touched, set()
        incidents, self._ledger.incidents = self._ledger.incidents, {}
        moved, self._moved = self._moved, set()
        hours = list(self._ledger.sums(touched, now))
        if not entries and not hours and not incidents and not moved:
            return True
        tunnels = [self._tunnels[name] for name in moved]
        try:
            await writer.write(
                Batch(entries=entries, hours=hours, incidents=list(incidents.values()), tunnels=tunnels)
            )
        except sqlite3.Error as error:
            entries.extend(self._entries)
            self._lost += max(0, len(entries) - QUEUE_LENGTH)
            self._entries = deque(entries, QUEUE_LENGTH)
            self._ledger.touched |= touched
            self._moved |= moved
            self._ledger.incidents = incidents | self._ledger.incidents
            await self._failed(error)
            return False
        self._ledger.settle((name, hour) for name, hour, _, over in hours if over)
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
        writer, now = self._writer, self._clock()
        if writer is None or self._limits is None or 0 <= now - self._pruned < PRUNE_SECONDS:
            return
        try:
            if await retention.step(writer.database, now, self._limits):
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
        if self._trouble or self._lost:
            lost = f"; {self._lost} lines were lost" if self._lost else ""
            self._note(f"the history is written again{lost}")
        self._trouble, self._lost = "", 0

    def _note(self, text: str) -> None:
        self._emit(Noted(at=self._clock(), server="", text=text))
