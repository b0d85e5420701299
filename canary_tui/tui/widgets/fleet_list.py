"""The table of servers: its rows, its columns, and the server under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from canary_tui.tui.presenters import fleet
from canary_tui.tui.widgets.line_list import CURSOR, LineList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary_tui.monitor.board import Row
    from canary_tui.tui.presenters.lines import Line
    from canary_tui.tui.uptimes import Uptimes


class FleetList(LineList):
    """A line for each server. The cursor stays on its server, whatever comes and goes around it."""

    class ColumnsChanged(Message):
        """The table has other columns, or wider ones: its heading is another."""

    def __init__(self, uptimes: Uptimes) -> None:
        super().__init__(self._line_of, id="fleet")
        self.columns: fleet.Layout = ()
        """Which columns there are, and how wide."""
        self._uptimes = uptimes
        self._rows: tuple[Row, ...] = ()
        self._layout_for: tuple[object, ...] = ()
        self._now = 0.0
        self._width = 0
        self._select_soon = ""

    @property
    def selected(self) -> Row | None:
        """The server under the cursor."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    def show_rows(self, rows: Sequence[Row], now: float) -> None:
        """Paint the cells that changed; ``now`` is Unix time."""
        name = row.server.name if (row := self.selected) is not None else None
        self._now, self._rows = now, tuple(rows)
        self._choose_columns(self.room)
        self.show_lines(len(self._rows))
        if self._select_soon in {row.server.name for row in self._rows}:
            self.select(self._select_soon)
            self._select_soon = ""
        elif name is not None and ((row := self.selected) is None or row.server.name != name):
            self.select(name)

    def select(self, name: str) -> None:
        """Put the cursor on a server, if it is listed."""
        for index, row in enumerate(self._rows):
            if row.server.name == name:
                self.cursor = index

    def select_soon(self, name: str) -> None:
        """Put the cursor on a server as soon as it is listed."""
        self._select_soon = name

    def select_trouble(self, by: int) -> bool:
        """Put the cursor on the next server that is not well, ``by`` steps of a line; False: all are well."""
        count = len(self._rows)
        for step in range(1, count + 1):
            index = (self.cursor + by * step) % count
            if fleet.in_trouble(self._rows[index]):
                self.cursor = index
                return True
        return False

    def _line_of(self, index: int, width: int) -> Line:
        if width != self._width:
            # A scroll bar came or went.
            self._choose_columns(width)
        row = self._rows[index]
        return fleet.fleet_line(row, self.columns, self._now, self._uptimes.of(row.server.name))

    def _choose_columns(self, room: int) -> None:
        asked = (room, *((r.server.name, r.server.through, fleet.state(r)[0]) for r in self._rows))
        if asked != self._layout_for:
            self._width, self._layout_for = room, asked
            self.columns = fleet.layout(self._rows, room + len(CURSOR))
            self.post_message(self.ColumnsChanged())
