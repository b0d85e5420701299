"""The host-key question: is this really the SSH server's key?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from canary_tui.monitor.requests import Trust
from canary_tui.tui.presenters.host_key import host_key_lines
from canary_tui.tui.presenters.lines import Tone, line, wrap
from canary_tui.tui.screens.page import done, error_words
from canary_tui.tui.widgets.bars import KeyBar, Words

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.monitor.request import Monitor
    from canary_tui.tui.app import CanaryApp
    from canary_tui.tui.key_gate import KeyGate

REPLACE, ADD = "replace", "add"
BROAD, NARROW, FRAME = 116, 76, 6
"""Widths of the dialog in the style sheet, and what its border and padding take of them."""
SHORT = 16
"""Lines of a screen from which on dialogs have air around them."""


class HostKeyQuestion(ModalScreen[bool]):
    """``y`` accepts an unknown key; a changed one takes typing a word. Time spent here counts nowhere.

    The word says whether the key replaces those that are trusted or stands beside them: several machines may
    answer at one address.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "accept", "it is the same: trust it"),
        Binding("escape,n", "refuse", "do not trust it"),
        Binding("down", "scroll(1)", "down", show=False),
        Binding("up", "scroll(-1)", "up", show=False),
    ]

    def __init__(self, monitor: Monitor, server: str, offer: HostKeyOffer) -> None:
        super().__init__()
        self._monitor = monitor
        self._server = server
        self._offer = offer
        self._replaces = False

    @property
    def _gate(self) -> KeyGate:
        return cast("CanaryApp", self.app).keys

    @property
    def changed(self) -> bool:
        """Whether another key is trusted for this server."""
        return bool(self._offer.known)

    def compose(self) -> ComposeResult:
        """What is offered, what was known, how to compare, the answer."""
        guess = max(20, min(BROAD if self.changed else NARROW, self.app.size.width) - FRAME)
        title = "The SSH host key has CHANGED" if self.changed else "Unknown SSH host key"
        with Vertical(classes="dialog -broad" if self.changed else "dialog"):
            yield Words(line((title, Tone.BAD if self.changed else Tone.STRONG)), classes="dialog-title")
            with VerticalScroll(id="offer", can_focus=False):
                # A good guess until the dialog has its size: the question must not come a frame late.
                yield Words(*host_key_lines(self._offer, guess), id="question")
            if self.changed:
                how = f"Type {REPLACE}, or {ADD} to trust both keys, and press enter:"
                yield Words(line(how), id="how")
                yield Input(compact=True, id="answer", placeholder=REPLACE)
            yield Words(id="trouble", classes="hidden")
            yield KeyBar()

    def on_resize(self) -> None:
        """Lay the keys out for the room there is."""
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        # The question scrolls; the answer and its keys are always in view.
        beside = 3 + (4 if self.changed else 0) + (0 if self.size.height < SHORT else 3)
        offer = self.query_one("#offer")
        offer.styles.max_height = max(2, self.size.height - beside)
        width = max(20, offer.size.width - 1)  # room for a scroll bar, which may come with the text
        self.query_one("#question", Words).say(*host_key_lines(self._offer, width))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A changed key takes more than one key press."""
        return not (action == "accept" and self.changed)

    def action_accept(self) -> None:
        """Trust exactly this key."""
        self._gate.carry_out(self, self._trust, "trust")

    @on(Input.Submitted, "#answer")
    def _typed(self, event: Input.Submitted) -> None:
        word = event.value.strip().lower()
        if word in {REPLACE, ADD}:
            self._replaces = word == REPLACE
            self._gate.carry_out(self, self._trust, "trust")
        else:
            self._say(f"Nothing was changed: the word is {REPLACE}, or {ADD}.")

    async def _trust(self) -> None:
        await done(self._monitor.ask(Trust(self._server, self._offer, self._replaces)))
        self.dismiss(True)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say why the key could not be kept."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            event.stop()
            self._say(error_words(event.worker.error))

    def _say(self, words: str) -> None:
        lines = [line((text, Tone.BAD)) for text in wrap(words, 68)]
        place = self.query_one("#trouble", Words)
        place.remove_class("hidden")
        place.say(*lines)

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one("#offer").scroll_relative(y=by, animate=False)

    def action_refuse(self) -> None:
        """Trust nothing."""
        self.dismiss(False)
