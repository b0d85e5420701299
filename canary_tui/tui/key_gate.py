"""The gate that every key passes: it is looked at when all that was typed before it has been carried out.

Textual sends a key to whatever has the focus at that moment, and looks its bindings up when it has bubbled
back. A key that was typed before the screen could follow would reach the field before, or run a command of
the list below a dialog. Here it waits until the screens are at rest.

What this file knows of Textual's insides, and of asyncio's, stands here and nowhere else; a test
(``tests/screens/test_key_gate.py``) fails when they change.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from textual import events
from textual.command import CommandPalette

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.app import App
    from textual.dom import DOMNode
    from textual.message_pump import MessagePump
    from textual.screen import Screen
    from textual.worker import Worker

TURNS = 200
"""Turns of the event loop in which a waiting key looks again at once; then it looks every ``LOOK``."""
LOOK = 0.002
"""Seconds between two looks."""
LOOKS = TURNS + 1000
"""Looks after which a key waits no longer: what takes more than two seconds holds up no keyboard.

Counted, for a process that gets no time to run (a busy machine, one that was stopped) has had none.
"""

LAYOUT_DUE = ("_layout_required", "_scroll_required", "_recompose_required", "_callbacks")
"""What a screen notes until it is laid out anew; the last are those of ``call_after_refresh``."""


class KeyGate:
    """Lets one key, paste or click through at a time.

    ``carry_out`` and ``expect`` name the work that belongs to a key although a worker does it: a server that
    is saved, a key that is read. Work that waits for a network is not among it.
    """

    def __init__(self, app: App[Any], *, starting: Callable[[], bool] = lambda: False) -> None:
        self._app = app
        self._starting = starting
        self._held: deque[events.Event] = deque()
        self._released: events.Event | None = None
        self._release: asyncio.Task[None] | None = None
        self._expected: dict[Worker[Any], int] = {}
        self._looks = 0
        self.passed = 0
        """Keys, pastes and clicks that were let through."""
        self.closed = False
        """Whether keys are dropped: another program has the terminal, and what was typed is meant for it."""

    # What passes

    def passes(self, event: events.Event) -> bool:
        """Tell whether the application may look at an event now; a key that may not is kept for later.

        Called for each event that comes to the application.
        """
        if not isinstance(event, events.InputEvent | events.Paste) or event.is_forwarded:
            return True
        if self.closed or self._app._exit:  # noqa: SLF001 - after *quit* nothing more is carried out
            return False
        if isinstance(event, events.Key) and event.key == "ctrl+j":
            # Enter, typed before the terminal was ours: its own line editing made it a line feed.
            event.key, event.character = "enter", "\r"
        alone = not self._held and self._release is None
        if event is self._released or (alone and self._may_go(event, asked_by_app=True)):
            self._released = None
            self.passed += not isinstance(event, events.MouseMove)
            return True
        self._held.append(event)
        if self._release is None:
            self._release = asyncio.create_task(self._release_held(), name="key gate")
        return False

    def typed_since(self, passed: int) -> bool:
        """Tell whether anything was typed since ``passed`` had that value."""
        return self.passed != passed or bool(self._held)

    @property
    def idle(self) -> bool:
        """Whether all that was typed has been carried out."""
        return self._release is None and self._may_go(events.Key("f24", None), asked_by_app=False)

    @contextmanager
    def terminal_away(self) -> Iterator[None]:
        """Drop the keys that wait and those that come: they cannot be handed to the program in front."""
        self._held.clear()
        self._looks = 0
        self.closed = True
        try:
            yield
        finally:
            self.closed = False

    async def _release_held(self) -> None:
        try:
            while self._held and not self._app._exit:  # noqa: SLF001
                turns = 0
                while self._held and not self._may_go(self._held[0], asked_by_app=False):
                    turns += 1
                    await asyncio.sleep(0 if turns < TURNS else LOOK)
                if self._held:
                    self._released = self._held.popleft()
                    self._app.post_message(self._released)
                await asyncio.sleep(0)
        finally:
            self._release = None

    def _may_go(self, event: events.Event, *, asked_by_app: bool) -> bool:
        """Tell whether everything before ``event`` has been carried out, or has had its time."""
        try:
            ready = self._at_rest(asked_by_app=asked_by_app) and not self._awaited(event)
        except AttributeError:  # another Textual inside: better a keyboard without a gate than none
            return True
        if ready:
            self._looks = 0
            return True
        self._looks += 1
        return self._looks > LOOKS

    # Whether the screens are at rest

    def _at_rest(self, *, asked_by_app: bool) -> bool:
        """Tell whether no widget has anything to do. The application, where it asks itself, is at work."""
        app = self._app
        if not _is_empty(app) or not (asked_by_app or _waits(app)):
            return False
        if not all(widget._task is None or _waits(widget) for widget in list(app._registry)):  # noqa: SLF001
            return False
        screen = app.screen
        if not _layout_is_due(screen):
            return True
        if not app._batch_count:  # noqa: SLF001
            # A sixtieth of a second before its turn.
            screen.call_next(screen._on_timer_update)  # noqa: SLF001
        return False

    def _awaited(self, event: events.Event) -> bool:
        """Tell whether ``event`` waits for work that a worker does for the keys before it."""
        self._expected = {
            worker: looks + 1
            for worker, looks in self._expected.items()
            if not worker.is_finished and looks < LOOKS
        }
        return bool(self._expected) or self._starting() or self._searching(event)

    def _searching(self, event: events.Event) -> bool:
        """What is typed into the palette need not wait for what it finds; what chooses from it must."""
        palette = self._app.screen
        if not isinstance(palette, CommandPalette):
            return False
        if isinstance(event, events.Key) and (event.is_printable or event.key == "backspace"):
            return False
        # The one worker that it has is its search.
        return any(worker.node is palette and not worker.is_finished for worker in self._app.workers)

    # Work that belongs to a key

    def expect(self, worker: Worker[Any]) -> None:
        """Have the next key wait for a worker, as long as it waits for anything."""
        self._expected[worker] = 0

    def carry_out(self, node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Run in a worker of ``node`` what a key asked for; nothing if that is under way already."""
        if any(w.node is node and w.name == name and not w.is_finished for w in self._app.workers):
            return
        self.expect(node.run_worker(cast("Any", work), name=name, group=name, exit_on_error=False))


def _queue(pump: MessagePump) -> Any:
    return pump._message_queue  # noqa: SLF001


def _is_empty(pump: MessagePump) -> bool:
    """Tell whether nothing waits for a widget (or screen, or the application)."""
    # Before it handles a message, Textual takes the next one out of the queue as well, and keeps it there.
    return bool(_queue(pump).empty()) and pump._pending_message is None  # noqa: SLF001


def _waits(pump: MessagePump) -> bool:
    """Tell whether a widget (or screen, or the application) waits for its next message."""
    # Who is at work, even if its work awaits something, does not wait there.
    return _is_empty(pump) and bool(_queue(pump).ready_event._waiters)  # noqa: SLF001


def _layout_is_due(screen: Screen[Any]) -> bool:
    """Tell whether widgets are to get other places, or something waits for that."""
    return any(getattr(screen, due) for due in LAYOUT_DUE)
