"""The lines of the log that a screen has in hand, and which of them a filter shows."""

from __future__ import annotations

import math
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from canary_tui.monitor.board import LOG_LENGTH, LogLine
from canary_tui.monitor.history.query import LogQuery
from canary_tui.tui.presenters.probes import search_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

TRIM = 1_000
"""Lines beyond the limit that are gathered before the oldest go, all at once."""
MOST = 20_000
"""Lines shown at most, those read from the history among them."""


def history_key(at: float) -> int:
    """Return a moment as the history keeps it, in microseconds: a live line and its copy there are equal."""
    return round(at * 1_000_000)


def shows(query: LogQuery, entry: LogLine) -> bool:
    """Tell whether a line is what a query asks for, whenever it was."""
    if query.server and entry.server != query.server:
        return False
    if query.failures and (entry.result is None or entry.result.ok):
        return False
    if not query.text:
        return True
    hay = search_text(entry)
    return all(word in hay for word in query.text.lower().split())


class LogBook:
    """Lines in the order in which they came, and those of them that the filter shows.

    Live lines are all in hand. In front of them may stand older ones from the history, and of those only
    what the filter shows: under another filter they are read anew. Or the shown lines are a piece of the
    past that ends before the live ones begin.
    """

    def __init__(self, limit: int = LOG_LENGTH, most: int = MOST) -> None:
        self._limit = limit
        self._most = most
        self._lines: deque[LogLine] = deque()
        self.filter = LogQuery()
        """Which lines are shown: its server, failures, text."""
        self.shown: list[LogLine] = []
        self._past = 0
        self.begins = False
        """Whether nothing older is in the history: the first shown line says so."""
        self.live = True
        """Whether the shown lines go on to the newest; else the history has more after the last one."""
        self.turn = 0
        """Grows when other lines are shown: what is being fetched for those before is of no use."""

    @property
    def newest(self) -> int:
        """The ``seq`` of the newest live line, 0 when there is none."""
        return self._lines[-1].seq if self._lines else 0

    @property
    def oldest(self) -> float | None:
        """The moment before which there is nothing in hand; None when there is nothing at all."""
        first = self.shown[0] if self._past else self._lines[0] if self._lines else None
        return first.at if first is not None else None

    @property
    def takes_older(self) -> bool:
        """Whether there may be older lines, and room for them."""
        return not self.begins and len(self.shown) < self._most

    def add(self, entries: Iterable[LogLine]) -> int:
        """Take newer lines in; return by how many shown lines the top moved down."""
        for entry in entries:
            self._lines.append(entry)
            if self.live and self._shows(entry):
                self.shown.append(entry)
        if len(self._lines) > self._limit + TRIM:
            left = [self._lines.popleft() for _ in range(len(self._lines) - self._limit)]
            gone = sum(map(self._shows, left)) if self.live else 0
            if not self._past:
                del self.shown[:gone]
                return gone
            # No gap may open between the history's lines and the live ones.
            self._past += gone
        return self._trim()

    def _shows(self, entry: LogLine) -> bool:
        return shows(self.filter, entry)

    def _trim(self) -> int:
        """Drop the oldest of the history's lines where there are too many; return how many."""
        if not self._past or len(self.shown) <= self._most + TRIM:
            return 0
        gone = min(self._past, len(self.shown) - self._most)
        self._past -= gone
        self.begins = False
        del self.shown[:gone]
        return gone

    def add_older(self, page: Sequence[LogLine], mark: LogLine | None = None) -> int:
        """Put older lines in front; return how many. ``mark`` goes before them where the history begins."""
        oldest = self.oldest
        # The history may have got a live line meanwhile.
        front = [entry for entry in page if oldest is None or entry.at < oldest]
        if mark is not None:
            front.insert(0, mark)
            self.begins = True
        self.shown[:0] = front
        self._past += len(front)
        return len(front)

    def look_back(self, page: Sequence[LogLine], mark: LogLine | None = None, *, last: bool) -> None:
        """Show a piece of the past; ``mark`` and ``last`` are those of ``add_older`` and ``add_newer``."""
        self.turn += 1
        self.shown = [mark] if mark is not None else []
        self._past, self.begins, self.live = len(self.shown), mark is not None, False
        self.add_newer(page, last=last)

    def add_newer(self, page: Sequence[LogLine], *, last: bool) -> int:
        """Put newer lines of the history at the end; return by how many the top moved down.

        Where they reach the live lines, or are the ``last`` of the history, the live ones follow.
        """
        begin = history_key(self._lines[0].at) if self._lines else math.inf
        between = [entry for entry in page if history_key(entry.at) < begin]
        self.shown += between
        self._past += len(between)
        if last or len(between) < len(page):
            self.live = True
            self.shown += filter(self._shows, self._lines)
        return self._trim()

    def place(self, at: float, servers: Collection[str] = ()) -> int:
        """Return the number of the first line from ``at`` on that failed, of these servers if any are named.

        Where none failed it is the first line from then on, or the last of all.
        """
        since = [i for i, entry in enumerate(self.shown) if history_key(entry.at) >= history_key(at)]
        for index in since:
            entry = self.shown[index]
            if entry.result is not None and not entry.result.ok and (not servers or entry.server in servers):
                return index
        return since[0] if since else max(0, len(self.shown) - 1)

    def refilter(self, chosen: LogQuery) -> None:
        """Show other lines; those of the history are to be read anew."""
        self.filter = chosen
        self.turn += 1
        self._past, self.begins, self.live = 0, False, True
        self.shown = [entry for entry in self._lines if self._shows(entry)]

    def last(self, count: int) -> list[LogLine]:
        """Return the newest shown lines, oldest first."""
        return list(islice(self.shown, max(0, len(self.shown) - count), None))
