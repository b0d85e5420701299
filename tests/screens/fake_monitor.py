"""A monitor without a network: its facts are set by the test, its intents are written down."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from canary_tui.diagnosis.stages import ProbeResult, Stage
from canary_tui.keys.authorized import KeyInfo
from canary_tui.keys.rotation import Rotation, Tried
from canary_tui.monitor.board import LogLine, Row, Snapshot
from canary_tui.monitor.history.reader import LatencyPoint, Percentiles
from canary_tui.monitor.incidents import Incident
from canary_tui.monitor.lock import Holder
from canary_tui.monitor.request import Monitor, Request, Tell, TestState, unheard
from canary_tui.monitor.requests import (
    AuditKey,
    GiveUpKey,
    Hold,
    ReadIncidents,
    ReadKey,
    ReadLatency,
    ReadLog,
    ReadPercentiles,
    ReadRotation,
    ReadUptimes,
    Remove,
    Restore,
    RotateKey,
    RunTest,
    Save,
    StartClient,
    TryKeys,
)
from canary_tui.monitor.uptime import Uptime
from canary_tui.tui.log_book import shows

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.monitor.history.query import LogQuery
    from canary_tui.tunnels.audit import AuditReport

T = TypeVar("T")
R = TypeVar("R", bound="Request[Any]")


def ended(value: T) -> Future[T]:
    """Return a future that is over."""
    future: Future[T] = Future()
    future.set_result(value)
    return future


def failed(error: Exception) -> Future[T]:
    """Return a future that ended badly."""
    future: Future[T] = Future()
    future.set_exception(error)
    return future


class FakeTest:
    """A connection test that a test moves on by hand."""

    __test__ = False

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.state = TestState(stage=Stage.RESOLVE)
        self.future: Future[TestState] = Future()
        tell(self.state)

    def show(self, **changes: Any) -> None:
        """Tell how far it is."""
        self.state = msgspec.structs.replace(self.state, **changes)
        self._tell(self.state)

    def end(self, result: ProbeResult, tried: Tried | None = None) -> None:
        """End it this way."""
        self.state = TestState(stages=result.stages, result=result, tried=tried)
        if not self.future.cancelled():
            self.future.set_result(self.state)


class FakeMonitor:
    """Records what is asked of it in ``asked``; ``errors`` makes a kind of request fail."""

    def __init__(self, rows: tuple[Row, ...] = (), *, loaded: bool = True) -> None:
        self.facts = Snapshot(version=1, rows=rows, loaded=loaded)
        self.lines: list[LogLine] = []
        self.asked: list[Request[Any]] = []
        self.errors: dict[type[Request[Any]], Exception] = {}
        self.stopped = False
        self.holding: dict[str, Future[None]] = {}
        self.tests: list[FakeTest] = []
        self.audits: list[Future[AuditReport]] = []
        self.client: tuple[list[str], dict[str, str]] = (["psql"], {})
        self.key: KeyInfo | None = None
        self.rotation: Rotation | None = None
        self.tries: list[Future[Tried]] = []
        self.past: list[LogLine] = []
        self.up: dict[float, dict[str, Uptime]] = {}
        self.latencies: Percentiles | None = None
        self.series: list[LatencyPoint] = []
        self.broken: list[Incident] = []

    # What a test sets

    def show(self, *rows: Row, problems: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> None:
        """Publish these rows."""
        version = self.facts.version + 1
        self.facts = msgspec.structs.replace(
            self.facts, version=version, rows=rows, problems=problems, warnings=warnings, loaded=True
        )

    def follow(self, holder: Holder | None, unread: str = "") -> None:
        """Have another process monitor, or nobody else any more."""
        self.facts = msgspec.structs.replace(
            self.facts, version=self.facts.version + 1, monitored_by=holder, unread=unread
        )

    def connect(self, clients: int) -> None:
        """Have so many clients connected to local ports."""
        first, *others = (msgspec.structs.replace(row, clients=0) for row in self.facts.rows)
        self.show(msgspec.structs.replace(first, clients=clients), *others)

    def log(self, *results: ProbeResult) -> None:
        """Add probes to the log."""
        for result in results:
            seq = len(self.lines) + 1
            self.lines.append(LogLine(seq=seq, at=result.started_at, server=result.server, result=result))
        self.facts = msgspec.structs.replace(
            self.facts, version=self.facts.version + 1, log_seq=len(self.lines)
        )

    def asked_for(self, kind: type[R]) -> list[R]:
        """Return every request of one kind."""
        return [request for request in self.asked if isinstance(request, kind)]

    # The monitor's own

    def start(self) -> None:
        """Start."""

    def when_broken(self, call: Callable[[BaseException], None]) -> None:
        """Never told: nothing here breaks."""

    def stop(self, limit: float = 3.0) -> bool:
        """Stop."""
        self.stopped = True
        return True

    def snapshot(self) -> Snapshot:
        """Return what the test has set."""
        return self.facts

    def log_after(self, seq: int, limit: int = 1000) -> list[LogLine]:
        """Return lines newer than ``seq``."""
        return self.lines[seq:][-limit:]

    def ask(self, request: Request[T], tell: Tell = unheard) -> Future[T]:
        """Write the request down, and answer as the test has set."""
        self.asked.append(request)
        error = self.errors.get(type(request))
        return failed(error) if error is not None else cast("Future[T]", self._answer(request, tell))

    def _answer(self, request: Request[Any], tell: Tell) -> Future[Any]:
        match request:
            case Hold(name):
                self.holding[name] = Future()
                return self.holding[name]
            case RunTest(name) if self.facts.row(name) is None:
                return failed(KeyError(name))
            case RunTest():
                self.tests.append(FakeTest(tell))
                return self.tests[-1].future
            case TryKeys():
                self.tries.append(Future())
                return self.tries[-1]
            case AuditKey():
                self.audits.append(Future())
                return self.audits[-1]
            case ReadKey(name) if self.key is None:
                return failed(OSError(2, "No such file or directory", name))
            case _:
                self._take(request)
                return ended(self._found(request))

    def _take(self, request: Request[Any]) -> None:
        """Do to the rows what is asked for."""
        rows = self.facts.rows
        match request:
            case Save(server, replaces):
                names = {replaces, server.name}
                self.show(*(row for row in rows if row.server.name not in names), Row(server=server))
            case Remove(name):
                self.show(*(row for row in rows if row.server.name != name))
            case Restore(server):
                self.show(*rows, Row(server=server))
            case GiveUpKey():
                self.rotation = None

    def _found(self, request: Request[Any]) -> object:
        """Return what the test has set as the answer."""
        found: object = None
        match request:
            case Save(server):
                found = server
            case ReadKey():
                found = self.key
            case ReadRotation(name) | RotateKey(name):
                found = self.rotation or Rotation(server=name)
            case StartClient():
                found = self.client
            case ReadLog(query):
                found = self._page(query)
            case ReadUptimes(span):
                found = self.up.get(span, {})
            case ReadPercentiles():
                found = self.latencies
            case ReadLatency():
                found = self.series
            case ReadIncidents(limit):
                found = self.broken[:limit]
        return found

    def _page(self, query: LogQuery) -> list[LogLine]:
        """Return a page of ``past``, which is oldest first."""
        before, after = query.before, query.after
        lines = [entry for entry in self.past if shows(query, entry) and (not before or entry.at < before)]
        if before is None and after is not None:
            return [entry for entry in lines if entry.at > after][: query.limit]
        return lines[-query.limit :]


_CHECKED: type[Monitor] = FakeMonitor
