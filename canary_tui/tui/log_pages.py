"""Pages of the history, fetched into the log's book of lines as a person looks back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from canary_tui.monitor.requests import ReadLog
from canary_tui.tui.presenters import probes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent.futures import Future

    from canary_tui.monitor.board import LogLine
    from canary_tui.monitor.request import Monitor
    from canary_tui.tui.log_book import LogBook

PAGE = 200
"""Lines fetched at a time."""
JUST_BEFORE = 0.001
"""Seconds: ``after`` a moment means without the line of that moment itself."""
MISSING = 1.0
"""Seconds after a moment within which its first line stands, if it is still kept."""


class LogPages:
    """Fetches for one book. Each method raises OSError where the history cannot be read.

    They return None, and change nothing, where the book has turned to other lines meanwhile.
    """

    def __init__(self, monitor: Monitor, book: LogBook, clock: Callable[[], float]) -> None:
        self._monitor = monitor
        self._book = book
        self._clock = clock

    async def older(self) -> int | None:
        """Put a page before the first line; return how many lines it has."""
        book, turn, oldest = self._book, self._book.turn, self._book.oldest
        page = await asyncio.wrap_future(self._ask(before=oldest))
        if book.turn != turn:
            return None
        begin = self._clock() if oldest is None else oldest
        return book.add_older(page, self._mark(page, begin) if len(page) < PAGE else None)

    async def newer(self) -> int | None:
        """Put a page after the last line; return by how many lines the top moved down."""
        book, turn = self._book, self._book.turn
        page = await asyncio.wrap_future(self._ask(after=book.shown[-1].at))
        return book.add_newer(page, last=len(page) < PAGE) if book.turn == turn else None

    async def around(self, at: float, servers: Collection[str] = ()) -> int | None:
        """Show the lines around a moment; return the number of the one that stands for it.

        That is the first failing line of these servers from then on. Where the moment is no longer kept
        it is a line that says so, before the oldest one that is.
        """
        book, turn = self._book, self._book.turn
        after = await asyncio.wrap_future(self._ask(after=at - JUST_BEFORE))
        first = after[0].at if after else at
        before = await asyncio.wrap_future(self._ask(before=first))
        if book.turn != turn:
            return None
        chosen = book.filter
        gone = not (before or chosen.failures or chosen.text) and (not after or first - at > MISSING)
        mark = None
        if gone:
            mark = probes.no_longer_kept(at, first if after else None)
        elif len(before) < PAGE:
            mark = self._mark(before, first)
        book.look_back([*before, *after], mark, last=len(after) < PAGE)
        return 0 if gone else book.place(at, servers)

    def _ask(self, *, before: float | None = None, after: float | None = None) -> Future[list[LogLine]]:
        query = msgspec.structs.replace(self._book.filter, before=before, after=after, limit=PAGE)
        return self._monitor.ask(ReadLog(query))

    def _mark(self, page: list[LogLine], begin: float) -> LogLine:
        chosen = self._book.filter
        narrowed = chosen.failures or bool(chosen.text)
        return probes.history_begins(page[0].at if page else begin, narrowed=narrowed)
