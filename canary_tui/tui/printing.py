"""The last filter before the terminal: whatever a widget shows, what cannot be printed is not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from textual.filter import LineFilter

from canary_tui.diagnosis.printable import filtered

if TYPE_CHECKING:
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
