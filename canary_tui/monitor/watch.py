"""The monitor without screens: hands its events over."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from canary_tui.monitor.local import LocalMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.lock import Lock
    from canary_tui.paths import Paths

WAITING = 10_000
"""Events that wait for whoever reads them; beyond that they are counted and left out."""


class Watch:
    """Runs a monitor until ``stop``. Events are read on the thread that calls ``events``.

    Reading may be slow, or stop: the monitor never waits for it.
    """

    def __init__(self, paths: Paths, lock: Lock) -> None:
        self.monitor = LocalMonitor(paths, lock=lock)
        self.failure: BaseException | None = None
        """The defect by which the monitor ended by itself."""
        self.left_out = 0
        """How many events were not handed over because nobody read."""
        # SimpleQueue: a signal's handler may put into it while this very thread is inside it.
        self._events: queue.SimpleQueue[AnyEvent | None] = queue.SimpleQueue()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the monitor."""
        self.monitor.listen(self._heard)
        self.monitor.when_broken(self._broke)
        self.monitor.start()

    def events(self) -> Iterator[AnyEvent]:
        """Give the events as they come, until ``stop``, or until the monitor ends by a defect."""
        while (event := self._events.get()) is not None:
            yield event

    @property
    def ending(self) -> bool:
        """Whether ``end`` or ``stop`` was called."""
        return self._stopping.is_set()

    def end(self) -> None:
        """Have ``events`` end. May be called from a signal's handler."""
        self._stopping.set()
        self._events.put(None)

    def stop(self, limit: float) -> bool:
        """Close everything; True when that was done within ``limit`` seconds."""
        self.end()
        return self.monitor.stop(limit)

    def _broke(self, error: BaseException) -> None:
        self.failure = error
        self._events.put(None)

    def _heard(self, event: AnyEvent) -> None:
        """Take an event over; on the monitor's thread."""
        if self._events.qsize() < WAITING:
            self._events.put(event)
        else:
            self.left_out += 1
