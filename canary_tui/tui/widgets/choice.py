"""One of a few, on one line: left and right choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.geometry import Size


class Choice(Widget, can_focus=True):
    """All options stand side by side; the chosen one is in brackets, so that colour is not needed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "choose(1)", "next choice", show=False),
        Binding("left,h", "choose(-1)", "previous choice", show=False),
        Binding("space", "choose(1)", "next choice", show=False),
    ]

    value: reactive[str] = reactive("", layout=True)

    class Changed(Message):
        """Another option was chosen."""

        def __init__(self, choice: Choice, value: str) -> None:
            super().__init__()
            self.choice = choice
            self.value = value

        @property
        def control(self) -> Choice:
            """The widget that it happened in."""
            return self.choice

    def __init__(self, options: Sequence[str], value: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.options = tuple(options)
        self.set_reactive(Choice.value, value)

    def render(self) -> Content:
        """Return the options."""
        parts: list[tuple[str, str]] = []
        for option in self.options:
            chosen = option == self.value
            style = "" if not chosen else "bold $accent" if self.has_focus else "bold"
            parts.append((f"[{option}]" if chosen else f" {option} ", style or "$foreground-muted"))
        return Content.assemble(*parts)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines the options take."""
        return len(self.render().wrap(width)) if width else 1

    def watch_value(self, value: str) -> None:
        """Tell."""
        self.post_message(self.Changed(self, value))

    def action_choose(self, by: int) -> None:
        """Choose a neighbour, round and round."""
        self.value = self.options[(self.options.index(self.value) + by) % len(self.options)]

    def on_key(self, event: events.Key) -> None:
        """A letter chooses the next option that begins with it."""
        if not event.character or not event.is_printable or event.key in {"space", "h", "l"}:
            return
        here = self.options.index(self.value)
        order = (*self.options[here + 1 :], *self.options[: here + 1])
        found = next((option for option in order if option.startswith(event.character.lower())), None)
        if found is not None:
            event.stop()
            self.value = found
