"""What broke so far, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType

from canary_tui.monitor.requests import ReadIncidents
from canary_tui.tui.presenters import incidents
from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.screens.page import Page, done, error_words
from canary_tui.tui.widgets.bars import TitleBar, Words
from canary_tui.tui.widgets.line_list import LineList
from canary_tui.tui.work import begin_alone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from canary_tui.monitor.board import Snapshot
    from canary_tui.monitor.incidents import Incident

MOST = 1_000
"""Incidents listed; ``canary incidents`` prints all."""
EVERY = 20
"""Ticks between two looks at the history: two seconds."""


class Incidents(Page):
    """Reads the incidents from the history, and again while the screen is in front."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "log", "log at that time", key_display="enter")]
    AUTO_FOCUS = "LineList"

    def __init__(self) -> None:
        super().__init__("incidents")
        self._incidents: list[Incident] | None = None
        self._ticks = 0

    def body(self) -> Iterable[Widget]:
        """The list, and below it all about the chosen one."""
        yield Words(line(("Reading the history…", Tone.MUTED)), id="incidents-state")
        yield LineList(self._line, id="incidents")
        yield Words(id="advice")

    def on_mount(self) -> None:
        """Begin in the list."""
        self.query_one(LineList).focus()
        self._read()

    def _line(self, index: int, _width: int) -> Line:
        listed = self._incidents or []
        return incidents.incident_line(listed[index], self.canary.clock())

    @property
    def selected(self) -> Incident | None:
        """The incident under the cursor."""
        cursor = self.query_one(LineList).cursor
        listed = self._incidents or []
        return listed[cursor] if cursor < len(listed) else None

    def tick(self) -> None:
        """Look again now and then."""
        self._ticks += 1
        if self._ticks % EVERY == 0:
            self._read()

    def _read(self) -> None:
        self.canary.keys.expect(begin_alone(self, self._load, "incidents"))

    async def _load(self) -> None:
        found = await done(self.canary.monitor.ask(ReadIncidents(MOST)))
        if not self.in_use:
            return
        chosen = self.selected.id if self.selected is not None else None
        self._incidents = found
        lines = self.query_one(LineList)
        lines.show_lines(len(found))
        # The cursor stays on its incident when newer ones come.
        lines.cursor = next((i for i, one in enumerate(found) if one.id == chosen), lines.cursor)
        state = self.query_one("#incidents-state", Words)
        state.say(*incidents.NONE_KNOWN)
        state.set_class(bool(found), "hidden")
        self.query_one(TitleBar).say(incidents.counted(found))
        self._explain()
        self.refresh_bindings()

    def trouble(self, error: BaseException) -> None:
        """Say in place why there is nothing to list."""
        state = self.query_one("#incidents-state", Words)
        state.say(line(("✕ ", Tone.BAD), error_words(error)))
        state.remove_class("hidden")

    def show_facts(self, snapshot: Snapshot) -> None:
        """An incident that goes on grows each second."""
        self.query_one(LineList).repaint_changed()
        self._explain()

    def on_resize(self) -> None:
        """Break the lines below anew."""
        self.call_after_refresh(self.catch_up)

    @on(LineList.Moved)
    def _explain(self) -> None:
        place, chosen = self.query_one("#advice", Words), self.selected
        width = max(20, place.scrollable_content_region.width)
        place.say(
            *(incidents.incident_lines(chosen, self.canary.clock(), width) if chosen is not None else ())
        )

    @on(LineList.Chosen)
    def _chosen(self) -> None:
        self.action_log()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without an incident there is no server to look at."""
        return bool(self._incidents) if action == "log" else True

    def action_log(self) -> None:
        """Show the log where the incident began: of its server, or of all where it has several."""
        if (chosen := self.selected) is not None:
            self.canary.open_log(chosen.servers[0] if len(chosen.servers) == 1 else None, chosen)
