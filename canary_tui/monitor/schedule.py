"""When a server's next probe is due."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from canary_tui.diagnosis.causes.retries import Retry
from canary_tui.monitor.backoff import delay, retry_of_probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.diagnosis.stages import Cause
    from canary_tui.servers.model import Engine


class Schedule:
    """The due times of one server's probes: at once, and then every so often on a grid that does not drift.

    Where the grid lies is left to chance: a thousand servers that were switched on together, or that all
    woke up in the same moment, are not probed in step.

    After a failure that more probes would make worse (rejected logins, refused certificates) it waits
    longer, or until a person asks. ``clock`` gives seconds and never steps back.
    """

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._clock = clock
        self._chance = chance
        self._wake = asyncio.Event()
        self._attempt = 0
        self._start = clock()
        self._share = chance()
        self._due: float | None = self._start

    @property
    def due(self) -> float | None:
        """When the next probe is due, by the clock; None: when a person asks for it."""
        return self._due

    def now(self) -> None:
        """Make the next probe due at once."""
        self._attempt = 0
        self._wake.set()

    def soon(self) -> None:
        """Make the next probe due at once, unless the last one was met with a longer wait or a person's."""
        if not self._attempt:
            self.now()

    def ended(self, cause: Cause | None, every: float, engine: Engine | None = None) -> None:
        """Note that a probe ended (``cause`` None: it passed) and set when the next one is due."""
        retry = retry_of_probe(cause, engine) if cause else None
        self._attempt = self._attempt + 1 if retry else 0
        if retry is Retry.PERSON:
            self._due = None
        elif retry is not None:
            self._due = self._clock() + max(every, delay(retry, self._attempt, self._chance()))
        else:
            self._due = self._next_on_grid(every)

    def _next_on_grid(self, every: float) -> float:
        """Return the grid's next point: not in the past, nor right after a probe that was asked for."""
        now = self._clock()
        after = now if self._due is None else max(now, self._due + every / 2)
        first = self._start + self._share * every
        return first + every * (math.floor((after - first) / every) + 1)

    async def wait(self) -> None:
        """Return when the next probe is due."""
        seconds = None if self._due is None else max(0.0, self._due - self._clock())
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
        self._due = self._clock()
