"""Short questions over the screen: confirm, a line of text, a password."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from canary_tui.servers.secrets import Secret
from canary_tui.tui.presenters.lines import Tone, line
from canary_tui.tui.widgets.bars import KeyBar, Words


class Confirm(ModalScreen[bool]):
    """A question with yes or no. ``enter`` alone never says yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape", "answer(False)", "no"),
    ]

    def __init__(self, question: str, consequence: str = "") -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence

    def compose(self) -> ComposeResult:
        """The question, what follows, the keys."""
        with Vertical(classes="dialog"):
            yield Words(line((self._question, Tone.STRONG)))
            if self._consequence:
                yield Static(self._consequence, markup=False)
            yield KeyBar()

    def action_answer(self, yes: bool) -> None:
        """Answer."""
        self.dismiss(yes)


class Answer(Button):
    """One of the answers of a decision."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "press", "give this answer", key_display="enter")
    ]


class Decision(ModalScreen[bool]):
    """A question about something that is not easily undone. It stands on *Cancel*.

    No key of the screen below answers it: what was meant for the list cannot delete a server.
    """

    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,right", "app.focus_next", "choose", key_display="tab"),
        Binding("shift+tab,left", "app.focus_previous", "choose", show=False),
        Binding("escape", "dismiss(False)", "cancel"),
    ]

    def __init__(self, question: str, consequence: str, verb: str) -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence
        self._verb = verb

    def compose(self) -> ComposeResult:
        """The question, what follows, the two answers, the keys."""
        with Vertical(classes="dialog"):
            yield Words(line((self._question, Tone.STRONG)))
            yield Static(self._consequence, markup=False)
            with Horizontal(classes="answers"):
                yield Answer("Cancel", id="cancel", compact=True)
                yield Answer(self._verb, id="do", variant="error", compact=True)
            yield KeyBar()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.dismiss(event.button.id == "do")


class AskText(ModalScreen[str | None]):
    """Asks for one line of text, such as a file's name."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept", "go on", key_display="enter", priority=True),
        Binding("escape", "cancel", "cancel"),
    ]

    def __init__(self, question: str, value: str = "", hint: str = "") -> None:
        super().__init__()
        self._question = question
        self._value = value
        self._hint = hint

    def compose(self) -> ComposeResult:
        """The question, the field, a hint, the keys."""
        with Vertical(classes="dialog"):
            yield Words(line((self._question, Tone.STRONG)))
            yield Input(self._value, compact=True, id="answer", select_on_focus=False)
            if self._hint:
                yield Static(self._hint, classes="muted", markup=False)
            yield KeyBar()

    def action_accept(self) -> None:
        """Hand the text over; an empty one is no answer."""
        text = self.query_one("#answer", Input).value.strip()
        if text:
            self.dismiss(text)

    def action_cancel(self) -> None:
        """Answer nothing."""
        self.dismiss(None)


class AskPassword(ModalScreen[Secret | None]):
    """Asks for a database password. It is masked, and kept in memory only."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept", "use it", key_display="enter", priority=True),
        Binding("escape", "cancel", "cancel"),
    ]

    def __init__(self, whose: str) -> None:
        super().__init__()
        self._whose = whose

    def compose(self) -> ComposeResult:
        """Whose password, the field, what becomes of it, the keys."""
        with Vertical(classes="dialog"):
            yield Words(line(("Password of ", Tone.STRONG), (self._whose, Tone.STRONG)))
            yield Input(password=True, compact=True, id="answer")
            yield Static("Kept in memory until canary ends; written nowhere.", classes="muted", markup=False)
            yield KeyBar()

    def action_accept(self) -> None:
        """Hand the password over."""
        field = self.query_one("#answer", Input)
        secret = Secret(field.value)
        field.value = ""
        self.dismiss(secret)

    def action_cancel(self) -> None:
        """Answer nothing."""
        self.query_one("#answer", Input).value = ""
        self.dismiss(None)
