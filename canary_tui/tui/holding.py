"""Every open tunnel is a worker of the application: which ones there are, and which there should be."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from textual.worker import Worker, WorkerState

from canary_tui.monitor.requests import Close, Hold
from canary_tui.tui.work import begin_alone

if TYPE_CHECKING:
    from textual.app import App

    from canary_tui.monitor.board import Snapshot
    from canary_tui.monitor.request import Monitor
    from canary_tui.servers.model import Server

HOLD_AGAIN = 1.0
"""Seconds before a tunnel's worker that ended by itself is started once more."""
GROUP = "tunnel:"


class Holding:
    """Holds every enabled server by a worker of its own, and no other."""

    def __init__(self, app: App[None], monitor: Monitor) -> None:
        self._app = app
        self._monitor = monitor
        self._workers: dict[str, Worker[None]] = {}
        self._since: dict[str, float] = {}
        self._refused: dict[str, Server] = {}
        self._servers: dict[str, Server] = {}
        self.unsettled = True
        """Whether something is not held yet that should be."""

    def reconcile(self, facts: Snapshot) -> None:
        """Begin what is missing and end what is too much; nothing is held while another process monitors."""
        if facts.monitored_by is not None:
            self.unsettled = False
            return
        wanted = {row.server.name: row.server for row in facts.rows if row.server.enabled}
        self._servers = wanted
        for name, worker in list(self._workers.items()):
            if name not in wanted:
                del self._workers[name]
                worker.cancel()
        now = time.monotonic()
        self.unsettled = False
        for name, server in wanted.items():
            worker_of = self._workers.get(name)
            if worker_of is not None and not worker_of.is_finished:
                continue
            # What failed for its settings is not tried again with the same ones.
            if self._refused.get(name) == server:
                continue
            if now - self._since.get(name, -HOLD_AGAIN) < HOLD_AGAIN:
                self.unsettled = True
                continue
            self._since[name] = now
            self._workers[name] = begin_alone(self._app, partial(self._hold, name), name, f"{GROUP}{name}")

    async def _hold(self, name: str) -> None:
        """Be the tunnel's worker: it lives as long as the tunnel is wanted."""
        try:
            await asyncio.wrap_future(self._monitor.ask(Hold(name)))
        except asyncio.CancelledError:
            worker = self._workers.get(name)
            if worker is None or worker.is_cancelled:
                self._monitor.ask(Close(name))
            raise

    def ended(self, event: Worker.StateChanged) -> None:
        """Take note of how a tunnel's worker ended; other workers are none of ours."""
        worker = event.worker
        if not worker.group.startswith(GROUP):
            return
        if event.state is WorkerState.SUCCESS:
            self.unsettled = True
        elif event.state is WorkerState.ERROR and worker.name in self._servers:
            self._refused[worker.name] = self._servers[worker.name]

    def try_again(self, name: str) -> None:
        """Hold a server once more although it was refused: a person has saved it anew."""
        self._refused.pop(name, None)
        self.unsettled = True
