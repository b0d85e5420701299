"""Every open tunnel is a worker of the application, which lives as long as the tunnel does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from textual.worker import Worker, WorkerState

from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.requests import Hold
from canary_tui.tui.work import begin_alone

if TYPE_CHECKING:
    from textual.app import App

    from canary_tui.monitor.board import Snapshot
    from canary_tui.monitor.request import Monitor


class Holding:
    """The workers of the tunnels that the monitor has open. What should be open is the monitor's matter."""

    def __init__(self, app: App[None], monitor: Monitor) -> None:
        self._app = app
        self._monitor = monitor
        self._workers: dict[str, Worker[None]] = {}

    def follow(self, facts: Snapshot) -> None:
        """Begin the workers that are missing; each ends with its tunnel."""
        for row in facts.rows if facts.monitored_by is None else ():
            name, worker = row.server.name, self._workers.get(row.server.name)
            if worker is not None and not worker.is_finished:
                continue
            if row.tunnel is TunnelState.CLOSED:
                self._workers.pop(name, None)
            elif worker is None or worker.state is WorkerState.SUCCESS:
                hold = partial(self._hold, name)
                self._workers[name] = begin_alone(self._app, hold, name, f"tunnel:{name}")

    async def _hold(self, name: str) -> None:
        """Wait for the tunnel's end. Cancelled, close it, unless the application ends: then it is left."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        held = self._monitor.ask(Hold(name, reopen=False))

        def ended(_held: object) -> None:
            with suppress(RuntimeError):  # The loop is closed: the application has ended already.
                loop.call_soon_threadsafe(over.set)

        held.add_done_callback(ended)
        try:
            await over.wait()
        except asyncio.CancelledError:
            if self._app.is_running:
                held.cancel()
            raise
        if not held.cancelled():
            held.result()
