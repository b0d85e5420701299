"""Uptime, percentiles and the chart of one server out of the history, asked for now and then."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from canary_tui.monitor.requests import ReadLatency, ReadPercentiles, ReadUptimes
from canary_tui.tui.presenters import long_run
from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.widgets.bars import Words
from canary_tui.tui.work import begin_alone

if TYPE_CHECKING:
    from canary_tui.monitor.history.reader import LatencyPoint
    from canary_tui.monitor.request import Monitor
    from canary_tui.tui.widgets.latency_chart import LatencyChart

EVERY = 30.0
"""Seconds between two questions about the same server."""
POINTS = 120
"""Pieces of a chart; a day in hours has fewer."""


class LongRun(Words):
    """Two lines about the server that ``show_server`` names, and its chart; none where it names no server."""

    def __init__(self, monitor: Monitor, chart: LatencyChart) -> None:
        super().__init__(id="long-run")
        self._monitor = monitor
        self._chart = chart
        self._about: tuple[str, int | None] = ("", None)
        self._asked = -EVERY

    def show_server(self, server: str, span: int | None) -> None:
        """Be about this server; ask the history where the last answer is another's or too old.

        ``span`` is which of ``long_run.SPANS`` the percentiles and the chart are of; without one the chart
        is left to the live probes.
        """
        now, about = time.monotonic(), (server, span)
        if about == self._about and now - self._asked < EVERY:
            return
        if about != self._about:
            self.say()
        self._about, self._asked = about, now
        if server:
            begin_alone(self, partial(self._ask, server, span), "long run")

    async def _ask(self, server: str, span: int | None) -> None:
        words, seconds = long_run.SPANS[span or 0]
        uptimes = [self._monitor.ask(ReadUptimes(each)) for _, each in long_run.SPANS]
        latencies = self._monitor.ask(ReadPercentiles(server, seconds))
        series = self._monitor.ask(ReadLatency(server, seconds, POINTS)) if span is not None else None
        points: list[LatencyPoint] | None = None if series is None else []
        try:
            known = await asyncio.gather(*map(asyncio.wrap_future, uptimes))
            found = await asyncio.wrap_future(latencies)
            if series is not None:
                points = await asyncio.wrap_future(series)
        except OSError as error:
            said: tuple[Line, ...] = (
                line((f"The history cannot be read: {error.strerror or error}", Tone.WARN)),
            )
        else:
            by_span = [spans.get(server) for spans in known]
            said = (long_run.uptime_line(by_span), long_run.latency_line(found, words))
        if (server, span) == self._about:
            self.say(*said)
            if points is not None:
                self._chart.plot_span(points, words)
