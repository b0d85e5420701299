"""A screen with the lines of the log, and the way back and forth through the history."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from textual import on

from canary_tui.tui.log_book import LogBook
from canary_tui.tui.log_pages import LogPages
from canary_tui.tui.presenters import probes
from canary_tui.tui.presenters.words import same_day
from canary_tui.tui.screens.page import Page
from canary_tui.tui.widgets.log_list import LogList

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine

    from canary_tui.monitor.board import LogLine, Snapshot
    from canary_tui.tui.presenters.lines import Line


class LogLines(Page):
    """The lines of a book in a list; pages of the history come where a person looks beyond its ends."""

    def __init__(self, *path: str) -> None:
        super().__init__(*path)
        self._book = LogBook()
        self._reads = 0
        """Pages that are being fetched."""
        self._dated = False
        self._names = 8
        self._slow: dict[str, float] = {}

    @cached_property
    def _pages(self) -> LogPages:
        return LogPages(self.canary.monitor, self._book, self.canary.clock)

    def show_facts(self, snapshot: Snapshot) -> None:
        """Learn the servers' names and limits; the lines come with ``tick``."""
        names = [row.server.name for row in snapshot.rows]
        self._names = min(24, max([8, *(len(name) for name in names)]))
        self._slow = {row.server.name: row.server.probe.slow_after * 1000 for row in snapshot.rows}
        self.tick()

    def _line(self, index: int, _width: int) -> Line:
        entry = self._book.shown[index]
        slow = self._slow.get(entry.server, 250.0)
        return probes.log_line(entry, self._names, slow, dated=self._dated)

    def _current(self) -> LogLine | None:
        """Return the line under the cursor."""
        cursor = self.query_one(LogList).cursor
        return self._book.shown[cursor] if cursor < len(self._book.shown) else None

    def action_next_failure(self, by: int) -> None:
        """Go to the next line of a failed probe."""
        lines, shown = self.query_one(LogList), self._book.shown
        index = lines.cursor + by
        while 0 <= index < len(shown):
            result = shown[index].result
            if result is not None and not result.ok:
                lines.follows = False
                lines.cursor = index
                return
            index += by
        self.notify("No further failure in these lines.", timeout=3)

    def fetch_around(self, at: float, servers: Collection[str] = ()) -> None:
        """Show the lines around a moment, with the first failing one of these servers under the cursor."""
        self._fetch(self._show_around(at, servers))

    @on(LogList.AtTop)
    def _look_back(self) -> None:
        """Fetch older lines; while they come, asking again changes nothing."""
        if self._book.takes_older and not self._reads:
            self._fetch(self._show_older())

    @on(LogList.AtEnd)
    def _look_on(self) -> None:
        """Fetch newer lines, until they meet the live ones."""
        if not self._book.live and not self._reads:
            self._fetch(self._show_newer())

    def _fetch(self, work: Coroutine[None, None, None]) -> None:
        self._reads += 1
        reader = self.run_worker(self._counted(work), name="history", group="history", exit_on_error=False)
        self.canary.keys.expect(reader)

    async def _counted(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        finally:
            self._reads -= 1
            if self.in_use:
                self.book_turned()

    def book_turned(self) -> None:
        """Show what depends on the lines beside themselves."""

    async def _show_around(self, at: float, servers: Collection[str]) -> None:
        index = await self._pages.around(at, servers)
        if index is not None and self.in_use:
            self._turned().show_at(len(self._book.shown), index)

    async def _show_older(self) -> None:
        added = await self._pages.older()
        if added is not None and self.in_use:
            self._turned().prepend(added, len(self._book.shown))

    async def _show_newer(self) -> None:
        gone = await self._pages.newer()
        if gone is not None and self.in_use:
            self._turned().grow(len(self._book.shown), gone)

    def _turned(self) -> LogList:
        """Return the list, told what the book is now."""
        lines, shown = self.query_one(LogList), self._book.shown
        self._dated = bool(shown) and not same_day(shown[0].at, self.canary.clock())
        lines.live = self._book.live
        return lines
