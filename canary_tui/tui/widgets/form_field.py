"""One field of a form: its label, where it is filled in, and what is wrong with it below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Label, Static

from canary_tui.tui.presenters import urls
from canary_tui.tui.widgets.choice import Choice

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult


class FormInput(Input):
    """A text field that hands what is pasted to the form first: a URL there fills several fields."""

    class Pasted(Message):
        """Text came in from the clipboard, or all at once from a terminal without bracketed paste."""

        def __init__(self, field: FormInput, text: str) -> None:
            super().__init__()
            self.field = field
            self.text = text

    takes_urls = False

    @on(Input.Changed)
    def _mask(self, event: Input.Changed) -> None:
        """A URL that is typed is not shown: a password may follow."""
        if self.takes_urls:
            self.password = _may_be_url(event.value)

    def _on_paste(self, event: events.Paste) -> None:
        if self.takes_urls and _may_be_url(event.text):
            # The text may hold a password: it never stands in the field.
            event.stop()
            event.prevent_default()
            self.post_message(self.Pasted(self, event.text))


def _may_be_url(text: str) -> bool:
    return "://" in text or urls.is_url(text)


class FormField(Vertical):
    """A labelled input or choice. ``value`` is its text whichever it is."""

    class Left(Message):
        """The field lost the focus: the moment to check it."""

        def __init__(self, field: FormField) -> None:
            super().__init__()
            self.field = field

    def __init__(self, key: str, label: str, control: Input | Choice, hint: str = "") -> None:
        super().__init__(id=f"field-{key.replace('_', '-')}", classes="field")
        self.key = key
        self.label = label
        self.input = control
        self._hint = hint
        control.id = key.replace("_", "-")

    def compose(self) -> ComposeResult:
        """Label, control and message."""
        with Horizontal(classes="field-line"):
            yield Label(self.label, classes="field-label")
            yield self.input
            if self._hint:
                yield Label(self._hint, classes="field-hint")
        yield Static("", classes="field-message", markup=False)

    @property
    def value(self) -> str:
        """What stands in the field."""
        return self.input.value

    @value.setter
    def value(self, value: str) -> None:
        self.input.value = value

    def complain(self, problem: str) -> None:
        """Show what is wrong below the field; empty clears it."""
        self.set_class(bool(problem), "-wrong")
        self.query_one(".field-message", Static).update(f"✕ {self.label} {problem}" if problem else "")

    def on_descendant_blur(self) -> None:
        """Say that the field was left."""
        self.post_message(self.Left(self))
