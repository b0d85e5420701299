"""The lines of the log: follows the newest until a person scrolls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message
from textual.reactive import reactive

from canary_tui.tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.tui.presenters.lines import Line


class LogList(LineList):
    """A line list that grows at its end, and at its top when older lines are fetched."""

    class AtTop(Message):
        """A person looks back from the first line: older ones may be put before it."""

    class AtEnd(Message):
        """A person looks on from the last line, after which there are more."""

    follows: reactive[bool] = reactive(True, repaint=False)

    def __init__(self, source: Callable[[int, int], Line], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(source, id=id)
        self.live = True
        """Whether the last line is the newest there is: who reaches it follows."""

    def grow(self, count: int, gone: int) -> None:
        """Say that there are ``count`` lines now, after ``gone`` fell off the top."""
        if gone:
            # The same lines stay in view: what moved is their number, not their place.
            self.forget()
            if not self.follows:
                self.cursor = max(0, self.cursor - gone)
                self.scroll_to(y=max(0, self.scroll_offset.y - gone), animate=False, force=True)
        self.show_lines(count)
        if self.follows and count:
            self.to_end()

    def prepend(self, added: int, count: int) -> None:
        """Say that there are ``count`` lines now, ``added`` of them before what was the first one.

        The same lines stay in view.
        """
        top = self.scroll_offset.y
        self.forget()
        self.show_lines(count)
        self.scroll_to(y=top + added, animate=False, force=True)
        self.cursor += added

    def restart(self, count: int) -> None:
        """Show other lines, from their end."""
        self.forget()
        self.follows = True
        self.show_lines(count)
        self.to_end()

    def show_at(self, count: int, index: int) -> None:
        """Show other lines, with the cursor on one of them and some of those before it in view."""
        self.forget()
        self.follows = False
        self.show_lines(count)
        self.cursor = index
        self.scroll_to(y=max(0, index - self.size.height // 3), animate=False, force=True)

    def follow(self) -> None:
        """Go to the newest line and stay there."""
        self.follows = True
        self.to_end()

    def to_end(self) -> None:
        """Put the cursor on the newest line and bring it into view."""
        self.cursor = self.count - 1
        self.keep_in_view(self.cursor)

    def action_move(self, by: int) -> None:
        """Move the cursor by some lines; that is looking back, until the end is reached again."""
        super().action_move(by)
        self._moved_by(by)

    def action_move_page(self, by: int) -> None:
        """Move the cursor by a window's height."""
        super().action_move_page(by)
        self._moved_by(by)

    def action_move_to_end(self, last: bool) -> None:
        """Move the cursor to the first or the last line."""
        super().action_move_to_end(last)
        self._moved_by(1 if last else -1)

    def _moved_by(self, by: int) -> None:
        at_top = by < 0 and self.cursor <= 0
        at_end = self.cursor >= self.count - 1 and not at_top
        self.follows = at_end and self.live
        if at_top:
            self.post_message(self.AtTop())
        elif at_end and not self.live:
            self.post_message(self.AtEnd())

    def on_mouse_scroll_up(self) -> None:
        """The wheel looks back too."""
        self.follows = False
        if self.scroll_offset.y <= 0:
            self.post_message(self.AtTop())

    def on_mouse_scroll_down(self) -> None:
        """And it looks on."""
        if not self.live and self.scroll_offset.y >= self.max_scroll_y:
            self.post_message(self.AtEnd())
