"""What a front end asks the monitor of the past. Read from disk on a thread, up to a second behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

    from canary_tui.monitor.board import LogLine
    from canary_tui.monitor.history.query import LogQuery
    from canary_tui.monitor.history.reader import HistoryReader, LatencyPoint, Percentiles
    from canary_tui.monitor.incidents import Incident
    from canary_tui.monitor.uptime import Uptime
    from canary_tui.paths import Paths

T = TypeVar("T")


class Past:
    """The monitor's questions to the history. Each future raises ``HistoryUnreadable`` (an OSError)."""

    def __init__(self, paths: Paths) -> None:
        self._history_paths = paths

    def _call(self, work: Coroutine[object, object, T]) -> Future[T]:
        raise NotImplementedError

    def _reader(self) -> HistoryReader:
        from canary_tui.monitor.history.reader import HistoryReader
        from canary_tui.monitor.history.tables import history_file

        return HistoryReader(history_file(self._history_paths))

    def history_lines(self, query: LogQuery) -> Future[list[LogLine]]:
        """Return a page of the log from disk, oldest line first; ``seq`` is not the live log's."""
        return self._call(asyncio.to_thread(lambda: self._reader().lines(query)))

    def uptimes(self, span: float) -> Future[dict[str, Uptime]]:
        """Return how long each server was up in the last ``span`` seconds; none for one never watched."""
        return self._call(asyncio.to_thread(lambda: self._reader().uptimes(span)))

    def percentiles(self, server: str, span: float) -> Future[Percentiles | None]:
        """Return a server's latency percentiles over the last ``span`` seconds; None: no probe passed."""
        return self._call(asyncio.to_thread(lambda: self._reader().percentiles(server, span)))

    def latency_series(self, server: str, span: float, points: int) -> Future[list[LatencyPoint]]:
        """Return a server's latency chart over the last ``span`` seconds."""
        return self._call(asyncio.to_thread(lambda: self._reader().latency_series(server, span, points)))

    def incidents(self, limit: int = 200) -> Future[list[Incident]]:
        """Return the newest incidents, newest first; one that goes on has no end."""
        return self._call(asyncio.to_thread(lambda: self._reader().incidents(limit)))
