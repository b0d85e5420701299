"""Uptime and percentiles of one server out of the history, asked for now and then."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from canary_tui.tui.presenters import long_run
from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.widgets.bars import Words

if TYPE_CHECKING:
    from canary_tui.tui.api import MonitorApi

EVERY = 30.0
"""Seconds between two questions about the same server."""


class LongRun(Words):
    """Two lines about the server that ``show_server`` names; none where it names no server."""

    def __init__(self, monitor: MonitorApi) -> None:
        super().__init__(id="long-run")
        self._monitor = monitor
        self._server = ""
        self._asked = -EVERY

    def show_server(self, server: str) -> None:
        """Be about this server; ask the history where the last answer is another's or too old."""
        now = time.monotonic()
        if server == self._server and now - self._asked < EVERY:
            return
        if server != self._server:
            self.say()
        self._server, self._asked = server, now
        if server:
            self.run_worker(self._ask(server), name="long run", exclusive=True, exit_on_error=False)

    async def _ask(self, server: str) -> None:
        uptimes = [self._monitor.uptimes(span) for _, span in long_run.SPANS]
        latencies = self._monitor.percentiles(server, long_run.DAY)
        try:
            known = await asyncio.gather(*map(asyncio.wrap_future, uptimes))
            found = await asyncio.wrap_future(latencies)
        except OSError as error:
            said: tuple[Line, ...] = (
                line((f"The history cannot be read: {error.strerror or error}", Tone.WARN)),
            )
        else:
            by_span = [spans.get(server) for spans in known]
            said = (long_run.uptime_line(by_span), long_run.latency_line(found))
        if server == self._server:
            self.say(*said)
