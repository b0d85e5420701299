"""The line above every screen and the keys below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from canary_tui.tui.presenters.lines import Line, Tone, clip_line, line, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.geometry import Size
    from textual.screen import Screen

NARROW = 60
"""Cells below which a title bar has no room for both its mark and the program's name."""
TONE_STYLES: dict[Tone, str] = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.MUTED: "$foreground-muted",
    Tone.GOOD: "$success",
    Tone.WARN: "$warning",
    Tone.BAD: "$error",
    Tone.ACCENT: "$accent",
}


def content_of(*lines: Line) -> Content:
    """Return lines as what a Static shows, tones as the theme's colours."""
    return Content("\n").join(
        [Content.assemble(*((text, TONE_STYLES[tone]) for text, tone in spans)) for spans in lines]
    )


class Words(Static):
    """Lines with tones; painted again only when they change."""

    def __init__(self, *lines: Line, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(content_of(*lines), id=id, classes=classes)
        self._shown = lines

    def say(self, *lines: Line) -> None:
        """Show these lines."""
        if lines != self._shown:
            self._shown = lines
            # Where the height is fixed nothing else moves, and nothing else need be painted.
            fixed = self.styles.height is not None and not self.styles.is_auto_height
            self.update(content_of(*lines), layout=not fixed)

    @property
    def shown(self) -> tuple[Line, ...]:
        """The lines that stand there."""
        return self._shown


class TitleBar(Widget):
    """Where we are on the left, a summary on the right."""

    def __init__(self, *path: str) -> None:
        super().__init__()
        self._path = path
        self._summary: Line = ()
        self._mark = ""

    def say(self, summary: Line, path: tuple[str, ...] | None = None) -> None:
        """Show another summary (or place)."""
        if summary != self._summary or (path is not None and path != self._path):
            self._summary, self._path = summary, path if path is not None else self._path
            self.refresh()

    def mark(self, word: str) -> None:
        """Show a word beside the program's name, or none."""
        if word != self._mark:
            self._mark = word
            self.refresh()

    def render(self) -> Content:
        """Return the bar's one line."""
        width = self.size.width
        # Where it is narrow the mark takes the name's place: what the screen itself says has more to tell.
        name = "" if self._mark and width < NARROW else "canary"
        mark = f" {self._mark}" if self._mark and name else self._mark
        steps = ((f" › {step}", Tone.STRONG) for step in self._path)
        left = line((name, Tone.ACCENT), (mark, Tone.WARN), *steps)
        left = clip_line(left, width)
        right = clip_line(self._summary, max(0, width - width_of(left) - 2))
        space = " " * (width - width_of(left) - width_of(right))
        return content_of(line(*left, space, *right))


HIDDEN = frozenset({"screen.copy_text", "help_quit"})
"""Textual's own keys that a mouse needs, or that only point to another key."""


class Key(NamedTuple):
    """One key of the bar."""

    key: str
    does: str


def reachable_keys(screen: Screen[object]) -> list[tuple[Key, bool]]:
    """Return the keys that do something now, in their order, each with whether the bar shows it.

    The bar and the help stand on the same descriptions. A letter does nothing while a person types.
    """
    typing = isinstance(screen.focused, Input)
    found: dict[str, tuple[Key, bool]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        display = screen.app.get_key_display(binding)
        if (
            not binding.description
            or not active.enabled
            or binding.action in HIDDEN
            or (typing and len(display) == 1)
        ):
            continue
        # Textual's own words are in title case, ours are not.
        words = binding.description.lower() if binding.description.istitle() else binding.description
        key, show = found.get(binding.action, (Key("", words), False))
        # The shortest name comes first: the bar has room for one.
        names = sorted(dict.fromkeys([*key.key.split(), display]), key=len)
        found[binding.action] = (Key(" ".join(names), key.does), show or binding.show)
    ways_out = [found.pop(action) for action in ("help", "quit") if action in found]
    return [*found.values(), *ways_out]


def laid_out(keys: Sequence[Key], width: int, lines: int) -> list[list[Key]]:
    """Put keys into ``lines`` lines of ``width`` cells; the last two keys are kept whatever falls out.

    They are the ways to help and out.
    """
    rows: list[list[Key]] = [[]]
    last = list(keys[-2:])
    reserve = sum(_length(key) + 2 for key in last)
    for position, key in enumerate(keys):
        final = len(rows) == lines
        space = width - sum(_length(other) + 2 for other in rows[-1])
        need = _length(key)
        is_last = position >= len(keys) - 2
        if need <= space - (reserve if final and not is_last else 0):
            rows[-1].append(key)
        elif not final:
            rows.append([key])
        elif is_last and need <= space:
            rows[-1].append(key)
    return rows


def _length(key: Key) -> int:
    return cell_len(key.key) + 1 + cell_len(key.does)


class KeyBar(Widget):
    """The keys of the screen, over two lines where one is too short."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[Key] = []

    def on_mount(self) -> None:
        """Follow the screen's bindings."""
        self._changed(self.screen)
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _screen: object) -> None:
        keys = [Key(key.key.split(" ")[0], key.does) for key, show in reachable_keys(self.screen) if show]
        if keys != self._keys:
            self._keys = keys
            self.refresh(layout=True)

    def _rows(self, width: int) -> list[list[Key]]:
        return laid_out(self._keys, width, 2 if self.app.size.height >= 16 else 1)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines the keys take."""
        return max(1, len(self._rows(width)))

    def render(self) -> Content:
        """Return the keys."""
        rows = []
        for row in self._rows(self.size.width):
            spans = [span for key in row for span in ((key.key, Tone.ACCENT), (f" {key.does}  ", Tone.MUTED))]
            rows.append(line(*spans))
        return content_of(*rows)
