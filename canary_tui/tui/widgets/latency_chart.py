"""Latency over the last probes, or over days. Imports plotext: only loaded when the chart is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual_plotext import PlotextPlot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.monitor.history.reader import LatencyPoint

DAY = 86_400.0


class LatencyChart(PlotextPlot):
    """Milliseconds of each probe as a line; or, of a longer span, what half and 95 of 100 stayed below."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: object = None

    def plot(self, results: Sequence[ProbeResult]) -> None:
        """Draw these probes, oldest first; failed ones stand on the floor as crosses."""
        if not self._is_new(tuple(result.started_at for result in results)):
            return
        plt = self.plt
        passed = [(index, result.total_ms) for index, result in enumerate(results) if result.ok]
        failed = [index for index, result in enumerate(results) if not result.ok]
        if passed:
            plt.plot([x for x, _ in passed], [y for _, y in passed], marker="braille", color="green+")
        if failed:
            plt.scatter(failed, [0.0] * len(failed), marker="x", color="red+")
        plt.title("total, ms")
        plt.xticks([])
        self.refresh()

    def plot_span(self, points: Sequence[LatencyPoint], span: str) -> None:
        """Draw a span out of the history; where no probe passed, the line is broken."""
        if not self._is_new((span, tuple(points))):
            return
        plt = self.plt
        self._lines([point.p95 for point in points], "orange+")
        self._lines([point.p50 for point in points], "green+")
        plt.title(f"total, ms: half of the probes, and 95 of 100, within; {span}")
        marks = sorted({0, len(points) // 2, len(points) - 1}) if points else []
        moments = [_moment(points[mark].at, points[-1].at - points[0].at) for mark in marks]
        plt.xticks(list(map(float, marks)), moments)
        self.refresh()

    def _lines(self, values: Sequence[float | None], color: str) -> None:
        for xs, ys in _pieces(values):
            # A piece of one point is no line.
            draw = self.plt.plot if len(xs) > 1 else self.plt.scatter
            draw(xs, ys, marker="braille", color=color)

    def _is_new(self, shown: object) -> bool:
        """Tell whether something else is to be drawn, and clear the place for it."""
        if shown == self._shown:
            return False
        self._shown = shown
        self.plt.clear_figure()
        self.plt.frame(False)
        self.plt.ylim(lower=0)
        return True


def _pieces(values: Sequence[float | None]) -> Iterator[tuple[list[int], list[float]]]:
    """Yield the unbroken pieces of a line."""
    xs: list[int] = []
    ys: list[float] = []
    for x, y in enumerate((*values, None)):
        if y is not None:
            xs.append(x)
            ys.append(y)
        elif xs:
            yield xs, ys
            xs, ys = [], []


def _moment(at: float, span: float) -> str:
    moment = datetime.fromtimestamp(at).astimezone()
    return f"{moment:%H:%M}" if span <= DAY else f"{moment:%b %d}"
