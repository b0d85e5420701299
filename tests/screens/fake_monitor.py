"""A monitor without a network: its facts are set by the test, its intents are written down."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from canary_tui.diagnosis.stages import HostKeyOffer, ProbeResult, Stage, StageResult
from canary_tui.keys.authorized import KeyInfo
from canary_tui.keys.rotation import Rotation, Tried
from canary_tui.monitor.board import LogLine, Row, Snapshot
from canary_tui.monitor.history.reader import LatencyPoint, Percentiles
from canary_tui.monitor.incidents import Incident
from canary_tui.monitor.lock import Holder
from canary_tui.monitor.uptime import Uptime
from canary_tui.servers.model import Server
from canary_tui.servers.secrets import Secret
from canary_tui.tui.lifetime import LiveMonitor
from canary_tui.tui.log_book import shows

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.monitor.history.query import LogQuery
    from canary_tui.tunnels.audit import AuditReport

T = TypeVar("T")


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

    def __init__(self, server: Server) -> None:
        self._server = server
        self.stage: Stage | None = Stage.RESOLVE
        self.stages: tuple[StageResult, ...] = ()
        self.result: ProbeResult | None = None
        self.trying_keys = False
        self.tried: Tried | None = None
        self.cancelled = False

    @property
    def server(self) -> Server:
        """The server that is tested."""
        return self._server

    def cancel(self) -> None:
        """Stop it."""
        self.cancelled = True

    def end(self, result: ProbeResult) -> None:
        """End it this way."""
        self.stages, self.stage, self.result = result.stages, None, result


class FakeMonitor:
    """Records what is asked of it in ``asked``; ``errors`` makes an intent fail."""

    def __init__(self, rows: tuple[Row, ...] = (), *, loaded: bool = True) -> None:
        self.facts = Snapshot(version=1, rows=rows, loaded=loaded)
        self.lines: list[LogLine] = []
        self.asked: list[tuple[object, ...]] = []
        self.errors: dict[str, Exception] = {}
        self.holding: dict[str, Future[None]] = {}
        self.tests: list[FakeTest] = []
        self.audits: list[Future[AuditReport]] = []
        self.client: tuple[list[str], dict[str, str]] = (["psql"], {})
        self.key: KeyInfo | None = None
        self.rotation: Rotation | None = None
        self.tries: list[Future[Tried]] = []
        self.connected = 0
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

    def log(self, *results: ProbeResult) -> None:
        """Add probes to the log."""
        for result in results:
            seq = len(self.lines) + 1
            self.lines.append(LogLine(seq=seq, at=result.started_at, server=result.server, result=result))
        self.facts = msgspec.structs.replace(
            self.facts, version=self.facts.version + 1, log_seq=len(self.lines)
        )

    def asked_for(self, what: str) -> list[tuple[object, ...]]:
        """Return the arguments of every call of one intent."""
        return [call[1:] for call in self.asked if call[0] == what]

    def _answer(self, value: T, *call: object) -> Future[T]:
        self.asked.append(call)
        error = self.errors.get(str(call[0]))
        return failed(error) if error is not None else ended(value)

    # The monitor's own

    def start(self) -> None:
        """Start."""
        self.asked.append(("start",))

    def when_broken(self, call: Callable[[BaseException], None]) -> None:
        """Never told: nothing here breaks."""

    def stop(self, limit: float = 3.0) -> bool:
        """Stop."""
        self.asked.append(("stop", limit))
        return True

    def snapshot(self) -> Snapshot:
        """Return what the test has set."""
        return self.facts

    def log_after(self, seq: int, limit: int = 1000) -> list[LogLine]:
        """Return lines newer than ``seq``."""
        return self.lines[seq:][-limit:]

    def history_lines(self, query: LogQuery) -> Future[list[LogLine]]:
        """Return a page of ``past``, which is oldest first."""
        before, after = query.before, query.after
        lines = [entry for entry in self.past if shows(query, entry) and (not before or entry.at < before)]
        if before is None and after is not None:
            page = [entry for entry in lines if entry.at > after][: query.limit]
        else:
            page = lines[-query.limit :]
        return self._answer(page, "history_lines", query)

    def uptimes(self, span: float) -> Future[dict[str, Uptime]]:
        """Return what the test has set for this span."""
        return self._answer(self.up.get(span, {}), "uptimes", span)

    def percentiles(self, server: str, span: float) -> Future[Percentiles | None]:
        """Return what the test has set."""
        return self._answer(self.latencies, "percentiles", server, span)

    def latency_series(self, server: str, span: float, points: int) -> Future[list[LatencyPoint]]:
        """Return what the test has set."""
        return self._answer(self.series, "latency_series", server, span, points)

    def incidents(self, limit: int = 200) -> Future[list[Incident]]:
        """Return what the test has set."""
        return self._answer(self.broken[:limit], "incidents", limit)

    def hold(self, name: str) -> Future[None]:
        """Hold until ``close``."""
        self.asked.append(("hold", name))
        if "hold" in self.errors:
            return failed(self.errors["hold"])
        self.holding[name] = Future()
        return self.holding[name]

    def close(self, name: str) -> Future[None]:
        """End ``hold``."""
        held = self.holding.pop(name, None)
        if held is not None and not held.done():
            held.set_result(None)
        return self._answer(None, "close", name)

    def probe_now(self, name: str) -> None:
        """Write it down."""
        self.asked.append(("probe_now", name))

    def retry_now(self, name: str) -> None:
        """Write it down."""
        self.asked.append(("retry_now", name))

    def start_test(self, name: str) -> FakeTest:
        """Begin a test that the caller moves on."""
        self.asked.append(("start_test", name))
        row = self.facts.row(name)
        if row is None:
            raise KeyError(name)
        self.tests.append(FakeTest(row.server))
        return self.tests[-1]

    def trust(self, name: str, offer: HostKeyOffer, *, replace: bool = True) -> Future[None]:
        """Write it down."""
        return self._answer(None, "trust", name, offer, replace)

    def give_password(self, name: str, password: Secret) -> None:
        """Write it down."""
        self.asked.append(("give_password", name, password))

    def save(
        self, server: Server, *, replaces: str | None, keyring_password: Secret | None = None
    ) -> Future[Server]:
        """Save what is given; the list shows it at the next look."""
        if "save" not in self.errors:
            rows = [row for row in self.facts.rows if row.server.name not in {replaces, server.name}]
            self.show(*rows, Row(server=server))
        return self._answer(server, "save", server, replaces, keyring_password)

    def remove(self, name: str) -> Future[None]:
        """Take the row away."""
        if "remove" not in self.errors:
            self.show(*(row for row in self.facts.rows if row.server.name != name))
        return self._answer(None, "remove", name)

    def restore(self, server: Server) -> Future[None]:
        """Bring the row back."""
        self.show(*self.facts.rows, Row(server=server))
        return self._answer(None, "restore", server)

    def set_enabled(self, name: str, enabled: bool) -> Future[None]:
        """Write it down."""
        return self._answer(None, "set_enabled", name, enabled)

    def key_info(self, name: str) -> Future[KeyInfo]:
        """Return the key that the test has set."""
        self.asked.append(("key_info", name))
        if self.key is None:
            return failed(self.errors.get("key_info", OSError(2, "No such file or directory", name)))
        return ended(self.key)

    def rotation_state(self, name: str) -> Future[Rotation]:
        """Return what the test has set; no change of key is under way by default."""
        return self._answer(self.rotation or Rotation(server=name), "rotation_state", name)

    def rotate(self, name: str) -> Future[Rotation]:
        """Write it down; the test sets ``rotation``."""
        return self._answer(self.rotation or Rotation(server=name), "rotate", name)

    def try_keys(self, name: str) -> Future[Tried]:
        """Begin a try that the test ends."""
        self.asked.append(("try_keys", name))
        self.tries.append(Future())
        return self.tries[-1]

    def give_up_key(self, name: str) -> Future[Path | None]:
        """Forget the change of key."""
        if "give_up_key" not in self.errors:
            self.rotation = None
        return self._answer(None, "give_up_key", name)

    def audit(self, name: str) -> Future[AuditReport]:
        """Begin an audit that the test ends."""
        self.asked.append(("audit", name))
        self.audits.append(Future())
        return self.audits[-1]

    def client_env(self, name: str) -> Future[tuple[list[str], dict[str, str]]]:
        """Return the client that the test has set."""
        return self._answer(self.client, "client_env", name)

    def clients(self) -> int:
        """Return how many clients the test says there are."""
        return self.connected


_CHECKED: type[LiveMonitor] = FakeMonitor
