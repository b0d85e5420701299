"""A list of lines of which only the visible ones exist, and only changed cells are painted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from canary_tui.tui.presenters.lines import Line, Tone, changed_cells, clip_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events

CURSOR = "┃ "
BLANK = "  "


class LineList(ScrollView, can_focus=True, inherit_bindings=False):
    """A scrolling list with a cursor. ``source`` gives a line when it comes into view.

    20,000 lines cost what the visible ones cost: nothing is kept for the others.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", show=False),
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("pagedown,ctrl+d", "move_page(1)", "page down", show=False),
        Binding("pageup,ctrl+u", "move_page(-1)", "page up", show=False),
        Binding("home,g", "move_to_end(False)", "first", show=False),
        Binding("end,G", "move_to_end(True)", "last", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-list--cursor", *(f"line-list--{tone}" for tone in Tone)}

    cursor: reactive[int] = reactive(0, repaint=False)

    class Moved(Message):
        """The cursor stands on another line."""

        def __init__(self, lines: LineList, index: int) -> None:
            super().__init__()
            self.lines = lines
            self.index = index

        @property
        def control(self) -> LineList:
            """The list that it happened in."""
            return self.lines

    class Chosen(Moved):
        """A line was clicked twice. (``enter`` belongs to the screen, whose keys say what it does.)"""

    def __init__(self, source: Callable[[int, int], Line], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._source = source
        self._count = 0
        self._painted: dict[int, Line] = {}
        self._styles: dict[Tone, Style] = {}
        self._cursor_style = Style()

    @property
    def count(self) -> int:
        """How many lines there are."""
        return self._count

    @property
    def room(self) -> int:
        """How many cells of a line are left beside the cursor's."""
        return max(1, self.scrollable_content_region.width - len(CURSOR))

    def show_lines(self, count: int) -> None:
        """Say how many lines there are now; visible ones that changed are painted again."""
        if count != self._count:
            self._count = count
            self.virtual_size = Size(0, count)
            self.refresh()
        self.cursor = min(self.cursor, max(0, count - 1))
        self.repaint_changed()

    def forget(self) -> None:
        """Paint every visible line anew: the numbers of the lines stand for others now."""
        self._painted.clear()
        self.refresh()

    def repaint_changed(self) -> None:
        """Paint the cells of visible lines that are no longer what they were."""
        top = self.scroll_offset.y
        for y in range(self.size.height):
            index = top + y
            old = self._painted.get(index)
            if old is None or index >= self._count:
                continue
            new = self._line(index)
            cells = changed_cells(old, new)
            if cells is not None:
                self._painted[index] = new
                self.refresh(Region(len(CURSOR) + cells[0], y, cells[1] - cells[0], 1))

    def _line(self, index: int) -> Line:
        return clip_line(self._source(index, self.room), self.room)

    def render_line(self, y: int) -> Strip:
        """Paint one line of the window (Textual's line API)."""
        index = self.scroll_offset.y + y
        width = self.size.width
        if not self._styles:
            self._read_styles()
        base = self._styles[Tone.PLAIN]
        if index >= self._count:
            return Strip.blank(width, base)
        spans = self._painted[index] = self._line(index)
        under_cursor = index == self.cursor
        over = self._cursor_style if under_cursor else Style.null()
        segments = [Segment(CURSOR if under_cursor else BLANK, self._styles[Tone.ACCENT] + over)]
        segments += [Segment(text, self._styles[tone] + over) for text, tone in spans]
        return Strip(segments).adjust_cell_length(width, base + over)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Paint the window; lines that left it are forgotten."""
        top, height = self.scroll_offset.y, self.size.height
        if len(self._painted) > 4 * max(1, height):
            kept = range(top, top + height)
            self._painted = {index: line for index, line in self._painted.items() if index in kept}
        return super().render_lines(crop)

    def _read_styles(self) -> None:
        self._styles = {tone: self.get_component_rich_style(f"line-list--{tone}") for tone in Tone}
        cursor = self.get_component_rich_style("line-list--cursor")
        # Only what the style sheet adds: the tones of the line keep their colours.
        self._cursor_style = Style(bgcolor=cursor.bgcolor, bold=cursor.bold)

    def notify_style_update(self) -> None:
        """Read the colours again: another theme, or the focus came or went."""
        super().notify_style_update()
        self._styles = {}

    def watch_cursor(self, old: int, new: int) -> None:
        """Bring the cursor's line into view and tell."""
        for index in (old, new):
            self.refresh_line(index)
        self.keep_in_view(new)
        self.post_message(self.Moved(self, new))

    def keep_in_view(self, index: int) -> None:
        """Scroll so that the line can be seen."""
        self.scroll_to_region(Region(0, index, 1, 1), animate=False, force=True, x_axis=False)

    def validate_cursor(self, index: int) -> int:
        """Keep the cursor on a line."""
        return max(0, min(index, self._count - 1))

    def action_move(self, by: int) -> None:
        """Move the cursor by some lines."""
        self.cursor += by

    def action_move_page(self, by: int) -> None:
        """Move the cursor by a window's height."""
        self.cursor += by * max(1, self.size.height - 1)

    def action_move_to_end(self, last: bool) -> None:
        """Move the cursor to the first or the last line."""
        self.cursor = self._count - 1 if last else 0

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a second one opens the line."""
        index = self.scroll_offset.y + event.y
        if index < self._count:
            self.cursor = index
            if event.chain == 2:
                self.post_message(self.Chosen(self, index))
