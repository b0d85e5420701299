"""Pages to read: the keys of the screen below and what the signs mean, for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen

from canary_tui.tui.presenters.lines import Line, Tone, fill, line
from canary_tui.tui.presenters.words import SIGN_MEANINGS
from canary_tui.tui.widgets.bars import Key, KeyBar, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


def help_lines(keys: Sequence[Key]) -> list[Line]:
    """Return the keys and the signs. They are the same descriptions as in the bar at the bottom."""
    wide = max((len(key.key) for key in keys), default=8)
    lines = [line(("Keys", Tone.MUTED))]
    lines += [line((fill(key.key, wide), Tone.ACCENT), f"  {key.does}") for key in keys]
    lines += [line(), line(("Signs", Tone.MUTED))]
    lines += [line((fill(sign, wide), tone), f"  {meaning}") for sign, tone, meaning in SIGN_MEANINGS]
    return lines


class Reading(ModalScreen[None]):
    """A page to read over the screen: the help, or everything that is wrong with the file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "close", key_display="esc"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("g,home", "scroll(-10000)", "top", show=False),
        Binding("G,end", "scroll(10000)", "bottom", show=False, key_display="G"),
    ]

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        """The page, scrolling."""
        with Vertical(classes="dialog"):
            with VerticalScroll(id="lines", can_focus=False):
                yield Words(*self._lines)
            yield KeyBar()

    def action_scroll(self, by: int) -> None:
        """Scroll by some lines."""
        self.query_one("#lines").scroll_relative(y=by, animate=False)
