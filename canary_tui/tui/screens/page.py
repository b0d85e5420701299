"""What all screens have in common: a title, the keys, a way back, and errors that are shown."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from canary_tui.diagnosis.printable import one_line, system_words
from canary_tui.diagnosis.stages import Failed
from canary_tui.tui.presenters import second_copy
from canary_tui.tui.presenters.words import cause_words
from canary_tui.tui.widgets.bars import KeyBar, TitleBar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from concurrent.futures import Future

    from textual import events
    from textual.app import ComposeResult
    from textual.widget import Widget

    from canary_tui.monitor.board import Snapshot
    from canary_tui.tui.app import CanaryApp

T = TypeVar("T")


async def done(future: Future[T]) -> T:
    """Wait for the monitor. A screen that goes away meanwhile does not call the work off."""
    return await asyncio.shield(asyncio.wrap_future(future))


class Page(Screen[None]):
    """A screen that shows facts of the monitor. ``escape`` always leads back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back")]

    def __init__(self, *path: str) -> None:
        super().__init__()
        self.path = path
        self.ready = False

    @property
    def canary(self) -> CanaryApp:
        """The application."""
        return cast("CanaryApp", self.app)

    def compose(self) -> ComposeResult:
        """Title, body, keys."""
        yield TitleBar(*self.path)
        yield from self.body()
        yield KeyBar()

    def body(self) -> Iterable[Widget]:
        """Return what stands between the title and the keys."""
        return ()

    def on_mount(self) -> None:
        """Show what is known already."""
        self.ready = True
        self.mark()
        self.show_facts(self.canary.facts)

    def mark(self) -> None:
        """Show in the title whether another process monitors, and offer what is possible now."""
        self.query_one(TitleBar).mark(second_copy.MARK if self.canary.view_only else "")
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer nothing that needs the monitor while another process has it."""
        return not (self.canary.view_only and action in second_copy.NEEDS_MONITOR)

    def on_key(self, event: events.Key) -> None:
        """Say why a key that is not offered does nothing."""
        bound = self._bindings.key_to_bindings.get(event.key, ())
        if self.canary.view_only and any(
            second_copy.NEEDS_MONITOR & {binding.action.partition("(")[0]} for binding in bound
        ):
            self.canary.say_who_monitors()

    @property
    def in_use(self) -> bool:
        """Whether the widgets are there: after the mounting, before the tearing down."""
        return self.ready and self.is_attached and self.app.is_running

    def show_facts(self, snapshot: Snapshot) -> None:
        """Paint what changed. Called while this screen is in front, ten times a second at most."""

    def tick(self) -> None:
        """Poll what is under way on this screen. Called ten times a second while it is in front."""

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was in front."""
        self.catch_up()

    def catch_up(self) -> None:
        """Show the facts as they are, once there is something to show them on."""
        if self.in_use:
            self.show_facts(self.canary.facts)

    # What a key asks for

    def carry_out(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Run ``work`` in a worker before the next key is looked at; nothing if it is under way already."""
        self.canary.keys.carry_out(self, work, name)

    def ask(self, question: Screen[T], then: Callable[[T], Coroutine[Any, Any, None]], name: str) -> None:
        """Open a question, which has the keyboard from now on; carry out what its answer means."""

        def answered(answer: T | None) -> None:
            if answer:
                self.carry_out(partial(then, answer), name)

        self.app.push_screen(question, answered)

    def action_back(self) -> None:
        """Go back to the screen before."""
        self.dismiss()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show why something that was asked for did not work."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            event.stop()
            self.trouble(event.worker.error)

    def trouble(self, error: BaseException) -> None:
        """Show an error where nothing better is at hand."""
        self.notify(error_words(error), severity="error", timeout=12, markup=False)


def error_words(error: BaseException) -> str:
    """Return an error's own words; an OSError's with the file, a failure's with its cause."""
    if isinstance(error, Failed):
        cause = cause_words(error.cause)
        return f"{cause}: {error.detail}" if error.detail else cause
    if isinstance(error, KeyError):
        return f"There is no server {error.args[0]} any more." if error.args else "There is no such server."
    if isinstance(error, OSError) and error.strerror:
        return system_words(error)
    return one_line(str(error)) or type(error).__name__
