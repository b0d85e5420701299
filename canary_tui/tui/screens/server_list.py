"""Home: all servers, what state they are in, and what to do about it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Input

from canary_tui.monitor.board import Row, Snapshot
from canary_tui.monitor.requests import ProbeNow, RetryNow, SetEnabled
from canary_tui.tui.presenters import advice, fleet, long_run, second_copy, urls
from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.screens.dialogs import Decision
from canary_tui.tui.screens.help import Reading
from canary_tui.tui.screens.page import Page
from canary_tui.tui.widgets.bars import TitleBar, Words
from canary_tui.tui.widgets.find_field import FindField
from canary_tui.tui.widgets.fleet_list import FleetList
from canary_tui.tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.widget import Widget

    from canary_tui.servers.model import Server


BESIDE_COUNTS = len("canary") + 4
"""Cells of the title bar that its summary does not have."""


class ServerList(Page):
    """The list of servers. Every key works on the server under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "add"),
        Binding("e", "edit", "edit"),
        Binding("D", "delete", "delete", key_display="D"),
        Binding("u", "undo", "undo delete"),
        Binding("p", "key", "public key"),
        Binding("t", "test", "test"),
        Binding("o", "open_close", "open/close"),
        Binding("enter", "log", "log", key_display="enter"),
        Binding("y", "copy_url", "copy URL"),
        Binding("s", "shell", "shell"),
        Binding("h", "host_key", "host key"),
        Binding("P", "password", "password", key_display="P"),
        Binding("exclamation_mark", "problems", "problems", key_display="!"),
        Binding("slash", "filter", "filter"),
        Binding("i", "incidents", "incidents"),
        Binding("r", "retry", "retry now", show=False),
        Binding("space", "probe", "probe now", show=False),
        Binding("L", "log_all", "log of all servers", show=False, key_display="L"),
        Binding("n", "next_trouble(1)", "next server in trouble", show=False),
        Binding("N", "next_trouble(-1)", "previous server in trouble", show=False, key_display="N"),
        Binding("escape", "back", "clear the filter", show=False),
    ]

    AUTO_FOCUS = "LineList"

    def body(self) -> Iterable[Widget]:
        """Who else monitors, problems of the file, filter, table, two lines that explain."""
        yield Words(id="second-copy", classes="hidden")
        yield Words(id="problems", classes="hidden")
        yield FindField("name, tag, host or state", id="filter")
        yield Words(id="heading")
        yield Words(*advice.EMPTY, id="empty", classes="hidden")
        yield FleetList(self.canary.uptimes)
        yield Words(id="advice")

    def on_mount(self) -> None:
        """Begin on the list."""
        self.table.focus()

    @property
    def table(self) -> FleetList:
        """The table of servers."""
        return self.query_one(FleetList)

    @property
    def selected(self) -> Row | None:
        """The server under the cursor."""
        return self.table.selected

    def show_facts(self, snapshot: Snapshot) -> None:
        """Paint the cells that changed; the cursor stays on its server."""
        lines, now = self.table, self.canary.clock()
        empty = snapshot.loaded and not snapshot.rows
        self.query_one("#empty").set_class(not empty, "hidden")
        lines.set_class(empty, "hidden")
        if self.focused is None and not empty:
            lines.focus()
        self.query_one("#heading").set_class(empty, "hidden")
        text = self.query_one("#filter", FindField).value
        lines.show_rows([row for row in snapshot.rows if fleet.matches(row, text)], now)
        beside = BESIDE_COUNTS + (len(second_copy.MARK) + 1 if self.canary.view_only else 0)
        self.query_one(TitleBar).say(fleet.counts(snapshot.rows, self.size.width - beside))
        self._show_second_copy(snapshot)
        self._show_problems(advice.banner(snapshot))
        self._show_advice(snapshot)
        self.refresh_bindings()

    @on(FleetList.ColumnsChanged)
    def _show_heading(self) -> None:
        self.query_one("#heading", Words).say(fleet.heading(self.table.columns))

    def _show_second_copy(self, snapshot: Snapshot) -> None:
        place = self.query_one("#second-copy", Words)
        # Its own size is none while it is hidden.
        said = second_copy.banner(snapshot, self.canary.clock(), self.size.width - 2)
        place.set_class(not said, "hidden")
        place.say(*said)
        self.query_one("#empty", Words).say(*advice.empty(view_only=self.canary.view_only))

    def _show_problems(self, said: Sequence[Line]) -> None:
        place = self.query_one("#problems", Words)
        place.set_class(not said, "hidden")
        place.say(*said)

    def _show_advice(self, snapshot: Snapshot) -> None:
        row = self.selected
        said: tuple[Line, ...] = ()
        if row is not None:
            said = advice.advice(row, self.canary.clock(), view_only=self.canary.view_only)
        elif snapshot.rows:
            said = (line("No server matches the filter."), line(("escape clears it.", Tone.ACCENT)))
        elif not snapshot.loaded:
            said = (line(("Reading servers.yaml…", Tone.MUTED)), line())
        place = self.query_one("#advice", Words)
        room = place.scrollable_content_region.size
        if row is not None and room.height > len(said) and fleet.uptimes_fit_below(row, self.table.columns):
            uptimes = self.canary.uptimes.of(row.server.name)
            said = (*said, long_run.uptime_line(uptimes)) if any(uptimes) else said
        place.say(*advice.fitted(said, max(20, room.width), room.height or 2))

    def on_resize(self) -> None:
        """Choose the columns anew once the list has its new size."""
        self.call_after_refresh(self.catch_up)

    @on(LineList.Moved)
    def _moved(self) -> None:
        self._show_advice(self.canary.facts)
        self.refresh_bindings()

    @on(LineList.Chosen)
    def _chosen(self) -> None:
        self.action_log()

    @on(Input.Changed, "#filter")
    def _filter_changed(self) -> None:
        self.show_facts(self.canary.facts)

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.table.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys that mean nothing for the server under the cursor, or that another process has."""
        if not super().check_action(action, parameters):
            return False
        if action == "undo":
            return self.canary.can_undo
        if action == "problems":
            return bool(advice.banner(self.canary.facts))
        return action not in fleet.ON_SERVER or fleet.applies(action, self.selected if self.ready else None)

    def action_back(self) -> None:
        """Clear the filter."""
        self.query_one("#filter", FindField).close()
        self.table.focus()

    def action_filter(self) -> None:
        """Show only servers that match what is typed."""
        self.query_one("#filter", FindField).open()

    def action_next_trouble(self, by: int) -> None:
        """Go to the next server that is not well."""
        if not self.table.select_trouble(by):
            self.notify("Every server is well.", timeout=3)

    def action_add(self) -> None:
        """Add a server."""
        self.canary.open_form(None)

    def action_edit(self) -> None:
        """Change the server's settings."""
        if (row := self.selected) is not None:
            self.canary.open_form(row.server)

    def action_delete(self) -> None:
        """Remove the server, after a question."""
        if (row := self.selected) is not None:
            name = row.server.name
            what = f"{name} is taken out of servers.yaml and its key is moved aside. u brings both back."
            if row.clients:
                what += f" {row.clients} open client connection(s) will be cut."
            self.ask(Decision(f"Delete {name}?", what, "Delete"), partial(self._delete, row.server), "delete")

    async def _delete(self, server: Server, _yes: bool) -> None:
        await self.canary.remove_server(server)

    def action_undo(self) -> None:
        """Bring the last deleted server back."""
        self.carry_out(self.canary.undo_remove, "undo")

    def action_key(self) -> None:
        """Show the server's public key and how to install it."""
        if (row := self.selected) is not None:
            self.canary.open_key(row.server.name)

    def action_test(self) -> None:
        """Test the whole way over a fresh connection."""
        if (row := self.selected) is not None:
            self.canary.open_test(row.server.name)

    def action_open_close(self) -> None:
        """Open or close the server's tunnel."""
        if (row := self.selected) is not None:
            self.carry_out(partial(self._open_close, row.server.name, not row.server.enabled), "toggle")

    async def _open_close(self, name: str, enabled: bool) -> None:
        await self.canary.done_and_shown(self.canary.monitor.ask(SetEnabled(name, enabled)))

    def action_log(self) -> None:
        """Follow the server's probes."""
        if (row := self.selected) is not None:
            self.canary.open_log(row.server.name)

    def action_log_all(self) -> None:
        """Follow the probes of all servers."""
        self.canary.open_log(None)

    def action_incidents(self) -> None:
        """List what broke."""
        self.canary.open_incidents()

    def action_copy_url(self) -> None:
        """Copy the connection URL; it has no password in it."""
        if (row := self.selected) is None:
            return
        if url := urls.connection_url(row):
            self.canary.copy(url, "connection URL (no password in it)")
        else:
            self.notify(urls.NOT_BOUND, severity="warning")

    def action_shell(self) -> None:
        """Run psql or mysql through the tunnel."""
        row = self.selected
        if row is not None and not row.server.engine.facts.clients:
            self.notify(urls.without_client(row), timeout=12, markup=False)
        elif row is not None:
            self.carry_out(partial(self.canary.shell, row.server.name), "shell")

    def action_retry(self) -> None:
        """Stop waiting and try again at once."""
        if (row := self.selected) is not None:
            self.canary.monitor.ask(RetryNow(row.server.name))

    def action_probe(self) -> None:
        """Probe the server at once."""
        if (row := self.selected) is not None:
            self.canary.monitor.ask(ProbeNow(row.server.name))

    def action_problems(self) -> None:
        """Show everything that is wrong with servers.yaml."""
        self.app.push_screen(Reading(advice.problem_lines(self.canary.facts)))

    def action_host_key(self) -> None:
        """Decide about the host key that waits."""
        if (row := self.selected) is not None and row.host_key is not None:
            self.canary.open_host_key(row.server.name, row.host_key)

    def action_password(self) -> None:
        """Give the database password that no source has."""
        if (row := self.selected) is not None:
            self.canary.ask_password(row.server)
