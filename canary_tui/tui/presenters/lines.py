"""A line of the screen as words with tones, and how it is fitted to a width.

A tone says what words mean; the style sheets say what colour that is. A tone is never the only
sign of a state: a sign and a word always stand beside it.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Tone(StrEnum):
    """What a piece of text means."""

    PLAIN = "plain"
    STRONG = "strong"
    MUTED = "muted"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    ACCENT = "accent"


Span = tuple[str, Tone]
Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """Return a line; bare strings are plain, empty parts are left out."""
    spans = ((part, Tone.PLAIN) if isinstance(part, str) else part for part in parts)
    return tuple(span for span in spans if span[0])


def plain(spans: Line) -> str:
    """Return the words alone."""
    return "".join(text for text, _ in spans)


def width_of(spans: Line) -> int:
    """Return how many terminal cells the line takes."""
    return sum(cell_len(text) for text, _ in spans)


def clip(text: str, width: int) -> str:
    """Shorten ``text`` to ``width`` cells; an ellipsis stands for what is left out."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…" if width > 0 else ""


def fill(text: str, width: int, *, right: bool = False) -> str:
    """Shorten or pad ``text`` to exactly ``width`` cells."""
    text = clip(text, width)
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def clip_line(spans: Line, width: int) -> Line:
    """Shorten a line to ``width`` cells."""
    kept: list[Span] = []
    for text, tone in spans:
        if cell_len(text) > width:
            kept.append((clip(text, width), tone))
            break
        kept.append((text, tone))
        width -= cell_len(text)
    return line(*kept)


def wrap(text: str, width: int) -> list[str]:
    """Break ``text`` at spaces into lines of at most ``width`` cells; a longer word is cut."""
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(clip(word, width))
    return lines


def wrap_commands(text: str, width: int) -> list[Line]:
    """Break ``text`` like ``wrap``; what stands in backticks has a tone of its own."""
    lines: list[Line] = []
    inside = False
    for words in wrap(text, width):
        spans: list[Span] = []
        for index, piece in enumerate(words.split("`")):
            if index:
                # The sign stays: without colour it is all that tells where the command ends.
                inside = not inside
                spans.append(("`", Tone.MUTED))
            spans.append((piece, Tone.ACCENT if inside else Tone.PLAIN))
        lines.append(line(*spans))
    return lines


def numbered(texts: Iterable[str], width: int) -> list[Line]:
    """Number sentences from 1 and wrap each beside its number."""
    lines: list[Line] = []
    for number, text in enumerate(texts, 1):
        for index, words in enumerate(wrap_commands(text, max(10, width - 3))):
            lines.append(line((f"{number}. " if index == 0 else "   ", Tone.ACCENT), *words))
    return lines


def bullet(text: str, width: int) -> list[Line]:
    """Wrap a sentence of a list beside its dot."""
    words = wrap(text, max(10, width - 2))
    return [line("• " if index == 0 else "  ", part) for index, part in enumerate(words)]


def wrap_line(spans: Line, width: int) -> list[Line]:
    """Break a line with tones at its spaces into lines of at most ``width`` cells."""
    lines: list[list[Span]] = [[]]
    used = 0
    for text, tone in spans:
        for piece in re.findall(r"\S+|\s+", text):
            need = cell_len(piece)
            if used and used + need > width:
                lines.append([])
                used = 0
            if used or not piece.isspace():
                lines[-1].append((clip(piece, width), tone))
                used += need
    return [_trimmed(parts) for parts in lines]


def _trimmed(parts: list[Span]) -> Line:
    """Join neighbours of one tone and take the space off the end."""
    while parts and parts[-1][0].isspace():
        parts.pop()
    joined: list[Span] = []
    for text, tone in parts:
        if joined and joined[-1][1] is tone:
            joined[-1] = (joined[-1][0] + text, tone)
        else:
            joined.append((text, tone))
    return line(*joined)


def limited(lines: Sequence[Line], count: int, width: int) -> list[Line]:
    """Return at most ``count`` lines; where some are left out, the last one ends in an ellipsis."""
    if len(lines) <= count:
        return list(lines)
    if count < 1:
        return []
    last: list[Span] = []
    room = width - 1
    for text, tone in lines[count - 1]:
        last.append((set_cell_size(text, min(room, cell_len(text))), tone))
        room = max(0, room - cell_len(text))
    return [*lines[: count - 1], line(*last, "…")]


def changed_cells(old: Line, new: Line) -> tuple[int, int] | None:
    """Return the first cell and the end of what differs between two lines; None when nothing does.

    Only those cells are painted again: over a slow link every other byte is waste.
    """
    if old == new:
        return None
    cells_old, cells_new = _cells(old), _cells(new)
    end = max(len(cells_old), len(cells_new))
    blank = (" ", Tone.PLAIN)
    cells_old += [blank] * (end - len(cells_old))
    cells_new += [blank] * (end - len(cells_new))
    differing = [x for x in range(end) if cells_old[x] != cells_new[x]]
    return (differing[0], differing[-1] + 1) if differing else None


def _cells(spans: Line) -> list[Span]:
    cells: list[Span] = []
    for text, tone in spans:
        for char in text:
            cells.extend([(char, tone)] * max(1, cell_len(char)))
    return cells


LEAST_CELLS = 4
"""What a column keeps on a screen that is far too narrow."""


class Column:
    """One column of a table: how narrow it may get and whether it may go."""

    __slots__ = ("key", "least", "stays", "title")

    def __init__(self, key: str, title: str, least: int, *, stays: bool = False) -> None:
        self.key = key
        self.title = title
        self.least = least
        self.stays = stays


def fit(
    columns: Sequence[Column], wanted: Mapping[str, int], width: int, gap: int = 2
) -> list[tuple[str, int]]:
    """Choose the columns that fit into ``width`` cells, and how wide each is.

    Columns go from the right, those that ``stay`` last of all. What is left over goes to those that
    stay first, then to the others from the left, until each is as wide as it wants to be.
    """
    kept = list(columns)

    def needed() -> int:
        return sum(min(column.least, wanted.get(column.key, column.least)) for column in kept) + gap * (
            len(kept) - 1
        )

    while needed() > width:
        loose = [column for column in kept if not column.stays]
        if not loose:
            break
        kept.remove(loose[-1])
    spare = width - needed()
    widths = {column.key: min(column.least, wanted.get(column.key, column.least)) for column in kept}
    for column in sorted(kept, key=lambda column: not column.stays):
        grown = min(wanted.get(column.key, column.least) - widths[column.key], max(0, spare))
        spare -= grown
        widths[column.key] += grown
    while spare < 0 and max(widths.values(), default=0) > LEAST_CELLS:
        widest = max(widths, key=lambda key: widths[key])
        widths[widest] -= 1
        spare += 1
    return list(widths.items())


def join(cells: Iterable[Line], gap: str = "  ") -> Line:
    """Put cells side by side."""
    joined: list[Span] = []
    for index, cell in enumerate(cells):
        if index:
            joined.append((gap, Tone.PLAIN))
        joined.extend(cell)
    return line(*joined)
