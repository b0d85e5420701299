"""A history without servers: made-up probes through the real recorder into a real file."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause, Failure, ProbeResult, RouteKind, Stage, StageResult
from canary_tui.monitor.board import Board, LogLine
from canary_tui.monitor.breakdowns import Breakdowns
from canary_tui.monitor.event_flow import EventFlow
from canary_tui.monitor.events import FleetLoaded, ProbeFinished
from canary_tui.monitor.history.reader import HistoryReader
from canary_tui.monitor.history.recorder import Recorder
from canary_tui.monitor.history.tables import history_file
from canary_tui.monitor.lock import Lock
from canary_tui.paths import Paths
from canary_tui.servers.fleet import Fleet, HistoryLimits
from canary_tui.servers.model import Database, Engine, Server, SshServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from canary_tui.monitor.events import AnyEvent

START = 3600.0 * 490_000
REFUSED = Failure(
    stage=Stage.FORWARD, cause=Cause.DATABASE_REFUSED, summary="10.0.0.1 refuses.", remedies=("Start it.",)
)


def server(name: str) -> Server:
    database, ssh = Database(host="10.0.0.1", port=5432), SshServer(host="jump", user="u")
    return Server(name=name, engine=Engine.POSTGRESQL, database=database, ssh=ssh)


def probe(name: str, at: float, *, failure: Failure | None = None, ms: float = 4.25) -> ProbeResult:
    return ProbeResult(
        server=name,
        ok=failure is None,
        route=RouteKind.REUSED,
        started_at=at - 0.25,
        total_ms=ms,
        stages=(
            StageResult(stage=Stage.SETTINGS, ok=True, ms=0.012),
            StageResult(stage=Stage.FORWARD, ok=failure is None, ms=1.5, note="127.0.0.1"),
        ),
        failure=failure,
    )


class NoRows(Board):
    """Knows no server, and writes no line: a test says itself what is in the log."""

    def apply(self, event: AnyEvent) -> None:
        """Leave the log alone."""


class FedRecorder(Recorder):
    """A recorder, and the folds that it writes, without a monitor that hands events to them."""

    def __init__(self, history: FakeHistory, lock: Lock) -> None:
        def emit(event: AnyEvent) -> None:
            history.said.append(event)
            self.flow.take(event)

        self.broken = Breakdowns(emit, history.paths.state, first=0.02)
        self.flow = EventFlow(NoRows(), self.broken)
        self.flow.listeners.append(history.heard.append)
        super().__init__(
            history.paths,
            lock,
            emit,
            uptime=self.flow.uptime,
            incidents=self.flow.incidents,
            unwritten=self.flow.unwritten,
            clock=lambda: history.now,
        )

    def feed(self, event: AnyEvent) -> None:
        """Have something happen."""
        self.flow.take(event)

    def keep(self, line: LogLine) -> None:
        """Have a line stand in the log."""
        self.flow.unwritten.keep(line)


class FakeHistory:
    """A user's history, and a clock that only a test moves."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.paths = Paths.below(folder)
        self.path = history_file(self.paths)
        self.now = START
        self.names = names or ("orders",)
        self.limits = HistoryLimits()
        self.said: list[AnyEvent] = []
        """What the recorder said."""
        self.heard: list[AnyEvent] = []
        """All that happened, as those who listen hear it."""
        self.reader = HistoryReader(self.path, lambda: self.now)

    @asynccontextmanager
    async def recording(self, *, loaded: bool = True) -> AsyncIterator[FedRecorder]:
        """Record; when this is left all is written, as when a monitor stops.

        Without ``loaded`` the servers file could not be read.
        """
        lock = Lock(self.paths)
        recorder = FedRecorder(self, lock)
        fleet = Fleet(servers=tuple(server(name) for name in self.names), history=self.limits)
        if loaded:
            recorder.feed(FleetLoaded(at=self.now, fleet=fleet))
        running = asyncio.create_task(recorder.broken.keep("the history", recorder.run))
        try:
            yield recorder
        finally:
            recorder.close()
            await running
            lock.release()

    def probed(
        self, recorder: FedRecorder, name: str = "orders", *, failure: Failure | None = None, ms: float = 4.25
    ) -> ProbeResult:
        """Have a probe end now."""
        result = probe(name, self.now, failure=failure, ms=ms)
        recorder.feed(ProbeFinished(at=self.now, result=result))
        recorder.keep(LogLine(at=self.now, server=name, result=result))
        return result

    def wrote(self, recorder: FedRecorder, text: str, name: str = "orders") -> None:
        """Have something be said in the log now."""
        recorder.keep(LogLine(at=self.now, server=name, text=text))

    @property
    def notes(self) -> list[str]:
        """What was said to the person."""
        return [event.text for event in self.said if hasattr(event, "text")]
