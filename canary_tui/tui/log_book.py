"""The lines of the live log that a screen has in hand, and which of them a filter shows."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from canary_tui.monitor.board import LOG_LENGTH
from canary_tui.tui.presenters.probes import search_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from canary_tui.monitor.board import LogLine

TRIM = 1_000
"""Lines beyond the limit that are gathered before the oldest go, all at once."""


class LogFilter(msgspec.Struct, frozen=True):
    """Which lines are shown: of one server (empty: all), failures only, with all of some words."""

    server: str = ""
    failures: bool = False
    text: str = ""

    def shows(self, entry: LogLine) -> bool:
        """Tell whether a line passes."""
        if self.server and entry.server != self.server:
            return False
        if self.failures and (entry.result is None or entry.result.ok):
            return False
        if not self.text:
            return True
        hay = search_text(entry)
        return all(word in hay for word in self.text.lower().split())


class LogBook:
    """Lines in the order in which they came, and those of them that the filter shows."""

    def __init__(self, limit: int = LOG_LENGTH) -> None:
        self._limit = limit
        self._lines: deque[LogLine] = deque()
        self.filter = LogFilter()
        self.shown: list[LogLine] = []

    @property
    def newest(self) -> int:
        """The ``seq`` of the newest line, 0 when there is none."""
        return self._lines[-1].seq if self._lines else 0

    def add(self, entries: Iterable[LogLine]) -> int:
        """Take newer lines in; return by how many shown lines the top moved down."""
        for entry in entries:
            self._lines.append(entry)
            if self.filter.shows(entry):
                self.shown.append(entry)
        if len(self._lines) <= self._limit + TRIM:
            return 0
        for _ in range(len(self._lines) - self._limit):
            self._lines.popleft()
        oldest = self._lines[0].seq
        gone = next((i for i, entry in enumerate(self.shown) if entry.seq >= oldest), len(self.shown))
        del self.shown[:gone]
        return gone

    def refilter(self, chosen: LogFilter) -> None:
        """Show other lines."""
        self.filter = chosen
        self.shown = [entry for entry in self._lines if chosen.shows(entry)]

    def last(self, count: int) -> list[LogLine]:
        """Return the newest shown lines, oldest first."""
        return list(islice(self.shown, max(0, len(self.shown) - count), None))
