"""How long each server was up lately, fetched from the history now and then."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from canary_tui.monitor.requests import ReadUptimes
from canary_tui.tui.presenters.long_run import DAY, SPANS
from canary_tui.tui.work import begin_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App

    from canary_tui.monitor.request import Monitor
    from canary_tui.monitor.uptime import Uptime

EVERY = 30.0
"""Seconds between two questions to the history about the last day."""
RARELY = 300.0
"""And about longer spans: they hardly move, and a month of 100 servers takes 0.2 s to add up."""


class Uptimes:
    """What the history says of the spans of ``SPANS``. ``clock`` counts seconds from anywhere."""

    def __init__(
        self, app: App[None], monitor: Monitor, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._monitor = monitor
        self._clock = clock
        self._asked: dict[float, float] = {}
        self.known: dict[float, dict[str, Uptime]] = {}
        """By the span in seconds, then by the server's name; empty while nothing is known."""
        self.changed = False
        """Whether ``known`` is not what it was when this was last set to False."""

    def of(self, name: str) -> tuple[Uptime | None, ...]:
        """Return a server's uptime over each of ``SPANS``; None where nothing is known."""
        return tuple(self.known.get(span, {}).get(name) for _, span in SPANS)

    def keep_fresh(self) -> None:
        """Ask again where the last answer is too old. Called with each look at the monitor."""
        now = self._clock()
        for words, span in SPANS:
            if now - self._asked.get(span, -RARELY) >= (EVERY if span <= DAY else RARELY):
                self._asked[span] = now
                name = f"uptime {words}"
                begin_alone(self._app, partial(self._ask, span), name, name)

    async def _ask(self, span: float) -> None:
        try:
            known = await asyncio.wrap_future(self._monitor.ask(ReadUptimes(span)))
        except OSError:
            # The history says itself, in the log, that it cannot be read. Here it is not known.
            known = {}
        self.changed = self.changed or known != self.known.get(span, {})
        self.known[span] = known
