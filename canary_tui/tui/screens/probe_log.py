"""The live log: one line a probe, newest last."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input

from canary_tui.tui.files import write_new
from canary_tui.tui.log_book import LogBook, LogFilter
from canary_tui.tui.presenters import probes
from canary_tui.tui.presenters.export import exported
from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.presenters.words import same_day
from canary_tui.tui.screens.dialogs import AskText
from canary_tui.tui.screens.page import Page, done
from canary_tui.tui.widgets.bars import TitleBar, Words
from canary_tui.tui.widgets.line_list import LineList
from canary_tui.tui.widgets.log_list import LogList
from canary_tui.tui.widgets.long_run import LongRun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.monitor.board import Snapshot

CHUNK = 1_000
"""Lines taken over in one step, so that a key press never waits for 20,000."""
PAGE = 200
"""Lines fetched from the history at a time."""
CHARTED = 200
"""Probes in the chart and the uptime bar."""


class ProbeLog(Page):
    """Takes new lines from the monitor's memory; only visible ones are made into text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "stages", "stages", key_display="enter"),
        Binding("f", "follow", "follow"),
        Binding("space", "pause", "pause"),
        Binding("slash", "filter", "find"),
        Binding("exclamation_mark", "failures", "failures only", key_display="!"),
        Binding("a", "all", "all servers"),
        Binding("l", "chart", "chart"),
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
        self._book = LogBook()
        self._book.filter = LogFilter(server=server or "")
        self._paused = False
        self._names = 8
        self._slow: dict[str, float] = {}
        self._second = 0
        self._reading = False
        self._dated = False

    def body(self) -> Iterable[Widget]:
        """State, find field, uptime bar, chart, lines, stages of the chosen line."""
        yield Words(id="log-state")
        yield Input(
            placeholder="words that must all be in the line",
            compact=True,
            id="find",
            classes="hidden",
            disabled=True,
        )
        yield VerticalScroll(id="chart", classes="hidden", can_focus=False)
        yield LogList(self._line, id="log")
        stages = VerticalScroll(Words(id="stage-lines"), id="stages", classes="hidden")
        stages.can_focus = False
        yield stages

    def on_mount(self) -> None:
        """Begin in the lines."""
        self.query_one(LogList).focus()

    def _line(self, index: int, _width: int) -> Line:
        entry = self._book.shown[index]
        slow = self._slow.get(entry.server, 250.0)
        return probes.log_line(entry, self._names, slow, dated=self._dated)

    def show_facts(self, snapshot: Snapshot) -> None:
        """Learn the servers' names and limits; the lines come with ``tick``."""
        names = [row.server.name for row in snapshot.rows]
        self._names = min(24, max([8, *(len(name) for name in names)]))
        self._slow = {row.server.name: row.server.probe.slow_after * 1000 for row in snapshot.rows}
        self.tick()

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
            mode = line((f"■ line {lines.cursor + 1}; f follows", Tone.ACCENT))
        limits = [chosen.server or "all servers"]
        limits += ["failures only"] if chosen.failures else []
        limits += [f"with “{chosen.text}”"] if chosen.text else []
        limits += ["reading older lines…"] if self._reading else []
        count = len(self._book.shown) - self._book.begins
        self.query_one(TitleBar).say(mode)
        where = f"{' · '.join(limits)} · {count} line{'' if count == 1 else 's'}"
        self.query_one("#log-state", Words).say(line((where, Tone.MUTED)), self._uptime)

    _uptime: Line = ()

    def _results(self) -> list[ProbeResult]:
        return [entry.result for entry in self._book.last(CHARTED) if entry.result is not None]

    def _show_past(self) -> None:
        """The uptime bar, and the chart where it is open: once a second is enough."""
        self._uptime = probes.uptime_bar(self._results(), max(20, min(70, self.size.width - 4)))
        from canary_tui.tui.widgets.latency_chart import LatencyChart

        for chart in self.query(LatencyChart):
            chart.plot(self._results())
        if not self.query_one("#chart").has_class("hidden"):
            for words in self.query(LongRun):
                words.show_server(self._book.filter.server)

    # The history

    @on(LogList.AtTop)
    def _look_back(self) -> None:
        """Fetch older lines; while they come, asking again changes nothing."""
        if self._book.takes_older and not self._reading:
            self._reading = True
            self.run_worker(self._fetch(), name="history", group="history", exit_on_error=False)

    async def _fetch(self) -> None:
        book, chosen = self._book, self._book.filter
        oldest = book.oldest
        asked = self.canary.monitor.history_lines(
            chosen.server or None, failures=chosen.failures, text=chosen.text, before=oldest, limit=PAGE
        )
        try:
            page = await done(asked)
        finally:
            self._reading = False
        if book.filter != chosen or not self.in_use:
            return
        mark = None
        if len(page) < PAGE:
            begin = page[0].at if page else self.canary.clock() if oldest is None else oldest
            mark = probes.history_begins(begin, narrowed=chosen.failures or bool(chosen.text))
        added = book.add_older(page, mark)
        self._dated = not same_day(book.shown[0].at, self.canary.clock())
        self.query_one(LogList).prepend(added, len(book.shown))
        self._show_state()

    # The lines

    @on(LineList.Moved)
    def _moved(self) -> None:
        self._show_stages()

    @on(LineList.Chosen)
    def _chosen(self) -> None:
        self.action_stages()

    def _current(self) -> ProbeResult | None:
        cursor = self.query_one(LogList).cursor
        return self._book.shown[cursor].result if cursor < len(self._book.shown) else None

    def action_stages(self) -> None:
        """Open or close the stages of the line under the cursor."""
        self.query_one("#stages").toggle_class("hidden")
        self._show_stages()

    def _show_stages(self) -> None:
        panel = self.query_one("#stages")
        if panel.has_class("hidden"):
            return
        result = self._current()
        width = max(30, self.size.width - 8)
        lines = [line(("No stages: this line is about the tunnel.", Tone.MUTED))]
        if result is not None:
            lines = probes.waterfall(result, width) + probes.failure_lines(result, width)
        self.query_one("#stage-lines", Words).say(*lines)

    def action_follow(self) -> None:
        """Go to the newest line and stay there; a pause ends."""
        self._paused = False
        self.query_one(LogList).follow()
        self.tick()

    def action_pause(self) -> None:
        """Hold the view still, or go on. Probing never stops."""
        self._paused = not self._paused
        self.tick()

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
        self.notify("No further failure here.")

    # What is shown

    def _refilter(self, chosen: LogFilter) -> None:
        self._book.refilter(chosen)
        self._dated = False
        self.query_one(LogList).restart(len(self._book.shown))
        self._second = 0
        self.tick()
        self._show_stages()

    def action_failures(self) -> None:
        """Show failures only, or everything."""
        chosen = self._book.filter
        self._refilter(msgspec.structs.replace(chosen, failures=not chosen.failures))

    def action_all(self) -> None:
        """Show all servers, or again the one that the log was opened for."""
        chosen = self._book.filter
        self._refilter(msgspec.structs.replace(chosen, server="" if chosen.server else self._current_name()))

    def _current_name(self) -> str:
        cursor = self.query_one(LogList).cursor
        named = self._book.shown[cursor].server if cursor < len(self._book.shown) else ""
        return self._server or named

    def action_filter(self) -> None:
        """Show only lines with the words typed."""
        field = self.query_one("#find", Input)
        field.disabled = False
        field.remove_class("hidden")
        field.focus()

    @on(Input.Changed, "#find")
    def _find_changed(self, event: Input.Changed) -> None:
        self._refilter(msgspec.structs.replace(self._book.filter, text=event.value.strip()))

    @on(Input.Submitted, "#find")
    def _find_done(self) -> None:
        self.query_one(LogList).focus()

    def action_back(self) -> None:
        """Close what is open here: the find field, the stages; then go back."""
        field = self.query_one("#find", Input)
        if not field.has_class("hidden"):
            field.value = ""
            field.add_class("hidden")
            field.disabled = True
            self.query_one(LogList).focus()
        elif not self.query_one("#stages").has_class("hidden"):
            self.query_one("#stages").add_class("hidden")
        else:
            super().action_back()

    def action_chart(self) -> None:
        """Show or hide the latency chart."""
        place = self.query_one("#chart")
        place.toggle_class("hidden")
        if not place.children:
            # plotext takes a tenth of a second to import: only for those who look.
            from canary_tui.tui.widgets.latency_chart import LatencyChart

            place.mount(LongRun(self.canary.monitor), LatencyChart())
        self._second = 0

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
        self.run_worker(self._export(), name="export", exit_on_error=False)

    async def _export(self) -> None:
        results = [entry.result for entry in self._book.shown if entry.result is not None]
        name = f"{self._book.filter.server or 'canary'}-probes.jsonl"
        hint = (
            f"{len(results)} probes. JSON Lines, or CSV when the name ends in .csv. Nothing is overwritten."
        )
        path = await self.app.push_screen_wait(AskText("Export to", name, hint))
        if path is not None:
            text = await asyncio.to_thread(exported, results, path)
            written = await asyncio.to_thread(write_new, path, text)
            self.notify(f"{len(results)} probes written to {written}", markup=False)
