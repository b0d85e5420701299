"""The last filter before the terminal: whatever a widget shows, what cannot be printed is not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.segment import Segment
from textual.app import App
from textual.filter import LineFilter

from canary_tui.diagnosis.printable import filtered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.color import Color


class PrintableOnly(LineFilter):
    """Takes out of each line what no terminal should see; the line stays as wide as it was measured."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the line's pieces without control, format and other unprintable characters."""
        del background
        if all(segment.text.isprintable() for segment in segments):
            return segments
        return [Segment(_same_width(text), style, control) for text, style, control in segments]


def _same_width(text: str) -> str:
    return "".join(c if c.isprintable() else filtered(c).strip("\n\t") * cell_len(c) for c in text)


class PrintableApp(App[None]):
    """An application of which nothing comes out that is no text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._printable_only = PrintableOnly()

    def copy_to_clipboard(self, text: str) -> None:
        """Copy what may be shown of ``text``: a clipboard is pasted into shells."""
        super().copy_to_clipboard(filtered(text))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Let nothing through to the terminal that is no text, whichever widget painted it."""
        return [*super().get_line_filters(), self._printable_only]
