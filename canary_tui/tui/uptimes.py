"""How long each server was up in the last day, fetched from the history now and then."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from canary_tui.tui.presenters.long_run import DAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App

    from canary_tui.monitor.uptime import Uptime
    from canary_tui.tui.api import MonitorApi

EVERY = 30.0
"""Seconds between two questions to the history."""


class Uptimes:
    """What the history says of the last 24 hours. ``clock`` counts seconds from anywhere."""

    def __init__(
        self, app: App[None], monitor: MonitorApi, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._monitor = monitor
        self._clock = clock
        self._asked = -EVERY
        self.known: dict[str, Uptime] = {}
        """By the server's name; empty while nothing is known."""
        self.changed = False
        """Whether ``known`` is not what it was when this was last set to False."""

    def keep_fresh(self) -> None:
        """Ask again where the last answer is too old. Called with each look at the monitor."""
        now = self._clock()
        if now - self._asked >= EVERY:
            self._asked = now
            self._app.run_worker(
                self._ask(), name="uptime", group="uptime", exclusive=True, exit_on_error=False
            )

    async def _ask(self) -> None:
        try:
            known = await asyncio.wrap_future(self._monitor.uptimes(DAY))
        except OSError:
            # The history says itself, in the log, that it cannot be read. Here it is not known.
            known = {}
        self.changed = self.changed or known != self.known
        self.known = known
