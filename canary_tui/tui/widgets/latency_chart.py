"""Latency over the last probes. Imports plotext: only loaded when the chart is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual_plotext import PlotextPlot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary_tui.diagnosis.stages import ProbeResult


class LatencyChart(PlotextPlot):
    """Milliseconds of each probe as a line; failed ones stand on the floor as crosses."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[float, ...] = ()

    def plot(self, results: Sequence[ProbeResult]) -> None:
        """Draw these probes, oldest first."""
        stamps = tuple(result.started_at for result in results)
        if stamps == self._shown:
            return
        self._shown = stamps
        plt = self.plt
        plt.clear_figure()
        passed = [(index, result.total_ms) for index, result in enumerate(results) if result.ok]
        failed = [index for index, result in enumerate(results) if not result.ok]
        if passed:
            plt.plot([x for x, _ in passed], [y for _, y in passed], marker="braille", color="green+")
        if failed:
            plt.scatter(failed, [0.0] * len(failed), marker="x", color="red+")
        plt.title("total, ms")
        plt.frame(False)
        plt.xticks([])
        plt.ylim(lower=0)
        self.refresh()
