"""The keys of the screen below, and what the signs mean."""

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
    """Return the keys and the signs, one a line."""
    wide = max((len(key.key) for key in keys), default=8)
    lines = [line(("Keys", Tone.MUTED))]
    lines += [line((fill(key.key, wide), Tone.ACCENT), f"  {key.does}") for key in keys]
    lines += [line(), line(("Signs", Tone.MUTED))]
    lines += [line((fill(sign, wide), tone), f"  {meaning}") for sign, tone, meaning in SIGN_MEANINGS]
    return lines


class Help(ModalScreen[None]):
    """Made from the same descriptions as the line of keys at the bottom."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "close"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
    ]

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Keys and signs, scrolling."""
        with Vertical(classes="dialog -tall"):
            with VerticalScroll(id="help"):
                yield Words(*help_lines(self._keys))
            yield KeyBar()

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one("#help").scroll_relative(y=by, animate=False)
