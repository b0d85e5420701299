"""The chart beside the lines of the log: their last probes, or one server's day, week or month."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll

from canary_tui.tui.presenters.long_run import SPANS
from canary_tui.tui.widgets.long_run import LongRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.monitor.request import Monitor


class LogChart(VerticalScroll, can_focus=False):
    """Hidden until it is opened; what it shows is made then."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__(id="chart", classes="hidden")
        self._monitor = monitor
        self._span: int | None = None
        """Which of ``SPANS`` is shown; None: the last probes."""

    @property
    def is_open(self) -> bool:
        """Whether it is shown."""
        return not self.has_class("hidden")

    def toggle(self) -> None:
        """Open or close it."""
        self.toggle_class("hidden")
        if not self.children:
            # plotext takes a tenth of a second to import: only for those who look.
            from canary_tui.tui.widgets.latency_chart import LatencyChart

            chart = LatencyChart()
            self.mount(LongRun(self._monitor, chart), chart)

    def next_span(self) -> None:
        """Go on from the last probes to a day, a week, a month, and back."""
        order = [None, *range(len(SPANS))]
        self._span = order[(order.index(self._span) + 1) % len(order)]

    def show(self, server: str, probes: Sequence[ProbeResult]) -> None:
        """Draw a server's span out of the history, or these probes; all servers together have no span."""
        if not self.is_open:
            return
        from canary_tui.tui.widgets.latency_chart import LatencyChart

        span = self._span if server else None
        if span is None:
            for chart in self.query(LatencyChart):
                chart.plot(probes)
        for words in self.query(LongRun):
            words.show_server(server, span)
