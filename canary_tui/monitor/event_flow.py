"""Where an event goes: onto the board, which is published soon, to those who listen, into the history."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from canary_tui.monitor.breakdowns import ENDING

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.monitor.board import Board
    from canary_tui.monitor.breakdowns import Breakdowns
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.history.recorder import Recorder

PUBLISH_SECONDS = 0.1


class EventFlow:
    """Hands each event to all that take it. What fails in one of them is said, and the others go on."""

    def __init__(self, board: Board, broken: Breakdowns) -> None:
        self.board = board
        self.snapshot = board.publish()
        """The board as it was published last; replaced, never changed."""
        self.listeners: list[Callable[[AnyEvent], None]] = []
        self.recorder: Recorder | None = None
        """What keeps the history, once it is open."""
        self._broken = broken
        self._recorded = self.snapshot.log_seq
        self._publishing = False

    def take(self, event: AnyEvent) -> None:
        """Fold an event, keep it, and publish the board soon."""
        self._hand_to("the board", self.board.apply, event)
        for listener in self.listeners:
            self._hand_to("what listens to events", listener, event)
        self._hand_to("the history", self._keep, event)
        if not self._publishing:
            self._publishing = True
            asyncio.get_running_loop().call_later(PUBLISH_SECONDS, self.publish)

    def publish(self) -> None:
        """Publish the board now."""
        self._publishing = False
        try:
            self.snapshot = self.board.publish()
        except Exception as error:  # noqa: BLE001 - said as a breakdown
            self._broken.say("the board", error)

    def _hand_to(self, what: str, take: Callable[[AnyEvent], None], event: AnyEvent) -> None:
        """Hand an event on. Where that fails, the tunnel or probe that it is about goes on."""
        try:
            take(event)
        except ENDING:
            raise
        except BaseException as error:  # noqa: BLE001 - said as a breakdown
            self._broken.say(what, error)

    def _keep(self, event: AnyEvent) -> None:
        if self.recorder is not None:
            self.recorder.feed(event)
            for line in self.board.log_after(self._recorded, 100):
                self.recorder.keep(line)
                self._recorded = line.seq
