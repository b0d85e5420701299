"""Where an event goes: through each of the folds, once and in order, and to those who listen."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from canary_tui.monitor.board import Board
from canary_tui.monitor.breakdowns import ENDING
from canary_tui.monitor.events import FleetLoaded
from canary_tui.monitor.history.unwritten import Unwritten
from canary_tui.monitor.incident_tracker import IncidentTracker
from canary_tui.monitor.uptime import UptimeCounters

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.monitor.breakdowns import Breakdowns
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.servers.fleet import Fleet

PUBLISH_SECONDS = 0.1
Taken = TypeVar("Taken")
Made = TypeVar("Made")


class EventFlow:
    """Hands each event to all that take it. What fails in one of them is said, and the others go on.

    No fold knows another, or says anything: what it makes of an event it returns. ``fleet`` is what the
    board knows of the servers file already.
    """

    def __init__(self, board: Board, broken: Breakdowns, fleet: Fleet | None = None) -> None:
        self.board = board
        self.incidents = IncidentTracker()
        self.uptime = UptimeCounters()
        self.unwritten = Unwritten(self.uptime)
        """What the history does not have yet."""
        self.listeners: list[Callable[[AnyEvent], None]] = []
        self.snapshot = board.publish()
        """The board as it was published last; replaced, never changed."""
        self._broken = broken
        self._publishing = False
        if fleet is not None and fleet.servers:  # the file may be wrong now, and tell nothing
            loaded = FleetLoaded(at=time.time(), fleet=fleet)
            for fold in (self.incidents, self.uptime, self.unwritten):
                fold.apply(loaded)

    def take(self, event: AnyEvent) -> None:
        """Fold an event, tell those who listen, and publish the board soon. Never called by a fold."""
        line = self._hand_to("the board", self.board.apply, event)
        self._hand_to("counting uptime", self.uptime.apply, event)
        changes = self._hand_to("grouping incidents", self.incidents.apply, event) or []
        for told in (event, *changes):
            for listener in self.listeners:
                self._hand_to("what listens to events", listener, told)
            self._hand_to("the history", self.unwritten.apply, told)
        if line is not None:
            self._hand_to("the history", self.unwritten.keep, line)
        if not self._publishing:
            self._publishing = True
            asyncio.get_running_loop().call_later(PUBLISH_SECONDS, self.publish)

    def publish(self) -> None:
        """Publish the board now."""
        self._publishing = False
        self.snapshot = self._hand_to("the board", Board.publish, self.board) or self.snapshot

    def _hand_to(self, what: str, take: Callable[[Taken], Made], taken: Taken) -> Made | None:
        """Hand something on. Where that fails, the tunnel or probe that it is about goes on."""
        try:
            return take(taken)
        except ENDING:
            raise
        except BaseException as error:  # noqa: BLE001 - said as a breakdown
            # Later, for that is an event too, and this one is not through.
            asyncio.get_running_loop().call_soon(self._broken.say, what, error)
            return None
