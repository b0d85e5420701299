"""The live log: one line a probe, newest last."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input

from canary_tui.monitor.history.query import LogQuery
from canary_tui.tui.files import write_new
from canary_tui.tui.presenters import probes
from canary_tui.tui.presenters.export import exported
from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.screens.dialogs import AskText
from canary_tui.tui.screens.log_lines import LogLines
from canary_tui.tui.widgets.bars import TitleBar, Words
from canary_tui.tui.widgets.find_field import FindField
from canary_tui.tui.widgets.line_list import LineList
from canary_tui.tui.widgets.log_chart import LogChart
from canary_tui.tui.widgets.log_list import LogList

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from textual.widget import Widget

    from canary_tui.diagnosis.stages import ProbeResult

CHUNK = 1_000
"""Lines taken over in one step, so that a key press never waits for 20,000."""
CHARTED = 200
"""Probes in the chart and the uptime bar."""


class ProbeLog(LogLines):
    """Takes new lines from the monitor's memory; only visible ones are made into text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "stages", "stages", key_display="enter"),
        Binding("f", "follow", "follow"),
        Binding("space", "pause", "pause"),
        Binding("slash", "filter", "find"),
        Binding("exclamation_mark", "failures", "failures only", key_display="!"),
        Binding("a", "all", "all servers"),
        Binding("l", "chart", "chart"),
        Binding("s", "span", "span of the chart"),
        Binding("x", "export", "export"),
        Binding("t", "test", "test"),
        Binding("i", "incidents", "incidents"),
        Binding("n", "next_failure(1)", "next failure", show=False),
        Binding("N", "next_failure(-1)", "previous failure", show=False, key_display="N"),
    ]

    AUTO_FOCUS = "LogList"

    def __init__(self, server: str | None) -> None:
        super().__init__(*((server, "log") if server else ("log",)))
        self._server = server
        self._book.filter = LogQuery(server=server or "")
        self._paused = False
        self._moment: float | None = None
        """The moment of the past that was asked for, until the newest line is followed again."""
        self._second = 0
        self._sought: tuple[float, Collection[str]] | None = None

    def body(self) -> Iterable[Widget]:
        """State, find field, uptime bar, chart, lines, stages of the chosen line."""
        yield Words(id="log-state")
        yield FindField("words that must all be in the line", id="find")
        yield LogChart(self.canary.monitor)
        yield LogList(self._line, id="log")
        stages = VerticalScroll(Words(id="stage-lines"), id="stages", classes="hidden")
        stages.can_focus = False
        yield stages

    def on_mount(self) -> None:
        """Begin in the lines, at the moment that was asked for."""
        self.query_one(LogList).focus()
        self._seek()

    def tick(self) -> None:
        """Take over new lines, unless paused."""
        if not self.ready:
            return
        if not self._paused and self.canary.facts.log_seq != self._book.newest:
            gone = self._book.add(self.canary.monitor.log_after(self._book.newest, CHUNK))
            self.query_one(LogList).grow(len(self._book.shown), gone)
        self._show_state()
        if int(self.canary.clock()) != self._second:
            self._second = int(self.canary.clock())
            self._show_past()

    def _show_state(self) -> None:
        chosen = self._book.filter
        waiting = max(0, self.canary.facts.log_seq - self._book.newest) if self._paused else 0
        lines = self.query_one(LogList)
        if self._paused:
            mode = line((f"‖ paused, {waiting} newer", Tone.WARN))
        elif lines.follows:
            mode = line(("▼ following", Tone.GOOD))
        else:
            where = f"line {lines.cursor + 1}" if self._book.live else "in the past"
            mode = line((f"■ {where}; f follows", Tone.ACCENT))
        limits = [chosen.server or "all servers"]
        limits += ["failures only"] if chosen.failures else []
        limits += [f"with “{chosen.text}”"] if chosen.text else []
        limits += ["reading the history…"] if self._reads else []
        count = len(self._book.shown) - self._book.begins
        self.query_one(TitleBar).say(mode)
        said = f"{' · '.join(limits)} · {count} line{'' if count == 1 else 's'}"
        self.query_one("#log-state", Words).say(line((said, Tone.MUTED)), self._uptime)

    _uptime: Line = ()

    def _results(self) -> list[ProbeResult]:
        return [entry.result for entry in self._book.last(CHARTED) if entry.result is not None]

    def _show_past(self) -> None:
        """The uptime bar, and the chart where it is open: once a second is enough."""
        self._uptime = probes.uptime_bar(self._results(), max(20, min(70, self.size.width - 4)))
        self.query_one(LogChart).show(self._book.filter.server, self._results())

    # The lines

    @on(LineList.Moved)
    def _moved(self) -> None:
        self._show_stages()

    @on(LineList.Chosen)
    def _chosen(self) -> None:
        self.action_stages()

    def action_stages(self) -> None:
        """Open or close the stages of the line under the cursor."""
        self.query_one("#stages").toggle_class("hidden")
        self._show_stages()

    def _show_stages(self) -> None:
        panel = self.query_one("#stages")
        if panel.has_class("hidden"):
            return
        entry = self._current()
        result = entry.result if entry is not None else None
        width = max(30, self.size.width - 8)
        lines = [line(("No stages: this line is about the tunnel.", Tone.MUTED))]
        if result is not None:
            lines = probes.waterfall(result, width) + probes.failure_lines(result, width)
        self.query_one("#stage-lines", Words).say(*lines)

    def action_follow(self) -> None:
        """Go to the newest line and stay there; a pause ends."""
        self._paused = False
        self._moment = None
        if not self._book.live:
            self._refilter(self._book.filter)
        self.query_one(LogList).follow()
        self.tick()

    def action_pause(self) -> None:
        """Hold the view still, or go on. Probing never stops."""
        self._paused = not self._paused
        self.tick()

    # What is shown

    def look_at(self, at: float, servers: Collection[str]) -> None:
        """Show the lines around a moment, with the first failing one of these servers under the cursor."""
        self._sought = at, servers
        if self.ready:
            self._seek()

    def _seek(self) -> None:
        if self._sought is not None:
            self._paused = False
            self._close_find()
            self._refilter(LogQuery(server=self._server or ""))
            self._moment = self._sought[0]
            self.fetch_around(*self._sought)
            self._sought = None

    def _choose(self, chosen: LogQuery) -> None:
        """Show what another filter shows; who looks at the past goes on looking at the same moment."""
        moment = self._moment_looked_at()
        self._refilter(chosen)
        self._moment = moment
        if moment is not None:
            self.fetch_around(moment)

    def _moment_looked_at(self) -> float | None:
        """Return which moment of the past is in view, or on its way; None for who follows the live lines."""
        if self._reads and self._moment is not None:
            return self._moment
        followed = self._book.live and (self._moment is None or self.query_one(LogList).follows)
        entry = None if followed else self._current()
        return entry.at if entry is not None else None if followed else self._moment

    def _refilter(self, chosen: LogQuery) -> None:
        self._book.refilter(chosen)
        self._dated = False
        lines = self.query_one(LogList)
        lines.live = True
        lines.restart(len(self._book.shown))
        self.book_turned()

    def book_turned(self) -> None:
        """Show the state, the uptime bar and the stages of what is shown now."""
        self._second = 0
        self.tick()
        self._show_stages()

    def action_failures(self) -> None:
        """Show failures only, or everything."""
        chosen = self._book.filter
        self._choose(msgspec.structs.replace(chosen, failures=not chosen.failures))

    def action_all(self) -> None:
        """Show all servers, or again the one that the log was opened for."""
        chosen = self._book.filter
        self._choose(msgspec.structs.replace(chosen, server="" if chosen.server else self._current_name()))

    def _current_name(self) -> str:
        entry = self._current()
        return self._server or (entry.server if entry is not None else "")

    def action_filter(self) -> None:
        """Show only lines with the words typed."""
        self.query_one("#find", FindField).open()

    @on(Input.Changed, "#find")
    def _find_changed(self, event: Input.Changed) -> None:
        if event.value.strip() != self._book.filter.text:
            self._choose(msgspec.structs.replace(self._book.filter, text=event.value.strip()))

    @on(Input.Submitted, "#find")
    def _find_done(self) -> None:
        self.query_one(LogList).focus()

    def _close_find(self) -> None:
        self.query_one("#find", FindField).close()
        self.query_one(LogList).focus()

    def action_back(self) -> None:
        """Close what is open here: the find field, the stages; then go back."""
        if self.query_one("#find", FindField).is_open:
            self._close_find()
        elif not self.query_one("#stages").has_class("hidden"):
            self.query_one("#stages").add_class("hidden")
        else:
            super().action_back()

    def action_chart(self) -> None:
        """Show or hide the latency chart."""
        self.query_one(LogChart).toggle()
        self._second = 0
        self.refresh_bindings()

    def action_span(self) -> None:
        """Have the chart show the last probes, a day, a week, a month."""
        self.query_one(LogChart).next_span()
        self._second = 0
        self.tick()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A span is one server's, and of the chart."""
        if action == "span":
            spans = self.ready and self.query_one(LogChart).is_open and self._book.filter.server
            return bool(spans) and super().check_action(action, parameters)
        return super().check_action(action, parameters)

    # Out of here

    def action_test(self) -> None:
        """Test the server of the line under the cursor."""
        name = self._current_name()
        if self.canary.facts.row(name) is not None:
            self.canary.open_test(name)

    def action_incidents(self) -> None:
        """List what broke."""
        self.canary.open_incidents()

    def action_export(self) -> None:
        """Write the probes that are shown to a file."""
        results = [entry.result for entry in self._book.shown if entry.result is not None]
        name = f"{self._book.filter.server or 'canary'}-probes.jsonl"
        hint = (
            f"{len(results)} probes. JSON Lines, or CSV when the name ends in .csv. Nothing is overwritten."
        )
        self.ask(AskText("Export to", name, hint), partial(self._export, results), "export")

    async def _export(self, results: list[ProbeResult], path: str) -> None:
        text = await asyncio.to_thread(exported, results, path)
        written = await asyncio.to_thread(write_new, path, text)
        self.notify(f"{len(results)} probes written to {written}", markup=False)
