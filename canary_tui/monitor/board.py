"""Events folded into the state that a screen shows."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

from canary_tui.diagnosis.stages import Cause, Failure, HostKeyOffer, ProbeResult
from canary_tui.monitor import events
from canary_tui.monitor.durations import duration_words
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.lock import Holder
from canary_tui.servers.fleet import BrokenServer, Fleet
from canary_tui.servers.model import Server

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

RECENT = 40
"""How many of a server's last probes a row carries."""
LOG_LENGTH = 5_000
"""How many lines of the log stay in memory (1 kB each), over all servers; the history has the others."""


class Health(StrEnum):
    """One word for a server's state: what the list shows when there is no failure to name."""

    BROKEN = "settings wrong"
    """Its entry in servers.yaml has mistakes and was never good in this run: nothing is opened by it."""
    OFF = "off"
    UNKNOWN = "not probed yet"
    OPENING = "opening"
    UP = "up"
    SLOW = "slow"
    DOWN = "down"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One server as a screen shows it."""

    server: Server
    """What is used of it. Of a ``BROKEN`` one what could be read, which nobody may use, switched off."""
    mistakes: tuple[str, ...] = ()
    """What is wrong with its entry in servers.yaml; unless ``BROKEN``, its last good settings are used."""
    health: Health = Health.UNKNOWN
    since: float = 0.0
    """Unix time since which ``health`` is what it is."""
    tunnel: TunnelState = TunnelState.CLOSED
    tunnel_reason: str = ""
    retry_at: float | None = None
    local: str = ""
    local_trouble: str = ""
    """What is wrong with the local port though it is open."""
    failure: Failure | None = None
    """What is wrong now: the last probe's failure, or the tunnel's. None when all is well."""
    last: ProbeResult | None = None
    recent: tuple[float | None, ...] = ()
    """Total milliseconds of the last probes, oldest first; None for one that failed."""
    host_key: HostKeyOffer | None = None
    """A host key that waits for a person."""
    password_wanted: bool = False
    clients: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the live log: a probe that ended, or something said about a tunnel."""

    seq: int = 0
    """Grows by one a line, over all servers."""
    at: float
    server: str
    result: ProbeResult | None = None
    text: str = ""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The whole board at one moment. Shared between threads, never changed."""

    version: int = 0
    """Grows with every change; equal versions are equal snapshots."""
    rows: tuple[Row, ...] = ()
    """In the order of the file."""
    problems: tuple[str, ...] = ()
    """Why servers.yaml as a whole cannot be used, each with file, line and field; the rows are the last
    good ones."""
    warnings: tuple[str, ...] = ()
    """What stands in servers.yaml and has no effect."""
    loaded: bool = False
    """Whether the file has been read at all."""
    log_seq: int = 0
    """The newest log line's ``seq``."""
    monitored_by: Holder | None = None
    """Who monitors instead of this process; None: this one does."""
    unread: str = ""
    """Why nothing is known of the servers, while this process does not monitor: what the other one writes
    cannot be read, it writes nothing, or nobody monitors."""

    def row(self, name: str) -> Row | None:
        """Return the row of a server, if there is one."""
        return next((row for row in self.rows if row.server.name == name), None)


class Board:
    """Folds events into rows and log lines. Used on one thread; what it publishes may go to any."""

    def __init__(self) -> None:
        self.version = 0
        self._rows: dict[str, Row] = {}
        self._problems: tuple[str, ...] = ()
        self._warnings: tuple[str, ...] = ()
        self._loaded = False
        self._monitored_by: Holder | None = None
        self._unread = ""
        self._log: deque[LogLine] = deque(maxlen=LOG_LENGTH)
        self._log_lock = Lock()
        self._seq = 0

    def publish(self) -> Snapshot:
        """Return the board as it is now."""
        return Snapshot(
            version=self.version,
            rows=tuple(self._rows.values()),
            problems=self._problems,
            warnings=self._warnings,
            loaded=self._loaded,
            log_seq=self._seq,
            monitored_by=self._monitored_by,
            unread=self._unread,
        )

    def row(self, name: str) -> Row | None:
        """Return a server's row as it is now."""
        return self._rows.get(name)

    def log_after(self, seq: int, limit: int) -> list[LogLine]:
        """Return the log lines after ``seq``, oldest first: the newest ``limit`` of them. Any thread."""
        with self._log_lock:
            wanted = min(limit, len(self._log), max(0, self._seq - seq))
            return list(islice(reversed(self._log), wanted))[::-1]

    def apply(self, event: events.AnyEvent) -> LogLine | None:
        """Fold one event, and return the line of the log that it makes, if it makes one."""
        line = _line(event, self._rows.get(getattr(event, "server", "")))
        self.recall(event)
        # A server may have been taken out of the file while the event was under way.
        return self.copy(line) if line and (not line.server or line.server in self._rows) else None

    def recall(self, event: events.AnyEvent) -> None:
        """Fold one event into the rows only: its line is in the log already, or comes by ``copy``."""
        self.version += 1
        match event:
            case events.FleetLoaded():
                self._problems, self._loaded = (), True
                self._warnings = tuple(map(str, event.fleet.warnings))
                self._rows = {row.server.name: row for row in _listed(event.fleet, self._rows, event.at)}
            case events.FileRejected():
                self._problems, self._loaded = event.problems, True
            case events.ProbeFinished():
                self._probed(event.result, event.at)
            case events.TunnelChanged():
                self._tunnel(event)
            case events.ClientsChanged():
                self._update(
                    event.server,
                    event.at,
                    clients=event.clients,
                    bytes_up=event.bytes_up,
                    bytes_down=event.bytes_down,
                )
            case events.LocalEndChanged():
                self._update(event.server, event.at, local_trouble=event.trouble)
            case events.PasswordWanted():
                self._update(event.server, event.at, password_wanted=True)

    def copy(self, line: LogLine) -> LogLine:
        """Put a line into the log as it is, but for its ``seq``; return it as it stands there."""
        with self._log_lock:
            self.version += 1
            self._seq += 1
            line = msgspec.structs.replace(line, seq=self._seq)
            self._log.append(line)
            return line

    def follow(self, holder: Holder | None, unread: str = "") -> None:
        """Say who monitors instead of this process (None: nobody), and why no server's state is known."""
        if (holder, unread) != (self._monitored_by, self._unread):
            self.version += 1
            self._monitored_by, self._unread = holder, unread

    def start_over(self, at: float, names: Collection[str] | None = None) -> None:
        """Forget what is known of servers (None: all): whoever knew it has ended. List and log stay."""
        self.version += 1
        for name, row in self._rows.items():
            if (names is None or name in names) and row.health is not Health.BROKEN:
                self._rows[name] = _fresh(None, row.server, row.mistakes, at)

    def _probed(self, result: ProbeResult, at: float) -> None:
        row = self._rows.get(result.server)
        if row is None:
            return
        recent = (*row.recent, result.total_ms if result.ok else None)[-RECENT:]
        self._update(result.server, at, recent=recent, **_probe_changes(result))

    def _tunnel(self, event: events.TunnelChanged) -> None:
        self._update(
            event.server,
            event.at,
            tunnel=event.state,
            tunnel_reason=event.reason,
            retry_at=event.retry_at,
            local=event.local,
            host_key=event.host_key,
        )
        if event.state is TunnelState.CLOSED:
            self._update(event.server, event.at, failure=None, local_trouble="")
        elif event.failure is not None:
            self._update(event.server, event.at, failure=event.failure)

    def _update(self, name: str, at: float, **changes: Any) -> None:
        row = self._rows.get(name)
        if row is None or row.health is Health.BROKEN:
            return  # an event that was under way when the server was taken out of the file
        row = msgspec.structs.replace(row, **changes)
        health = _health(row)
        if health is not row.health:
            row = msgspec.structs.replace(row, health=health, since=at)
        self._rows[name] = row


def _listed(fleet: Fleet, old: dict[str, Row], at: float) -> Iterator[Row]:
    """Go through the rows of a list that was read, in its order; what is known of a server stays."""
    wrong = {broken.name: tuple(map(str, broken.problems)) for broken in fleet.broken}
    for entry in fleet.entries:
        row = old.get(entry.name)
        if not isinstance(entry, BrokenServer):
            yield _fresh(row, entry, wrong.get(entry.name, ()), at)
        else:
            since = row.since if row is not None and row.health is Health.BROKEN else at
            server = msgspec.structs.replace(entry.read, name=entry.name, enabled=False)
            yield Row(server=server, mistakes=wrong[entry.name], health=Health.BROKEN, since=since)


def _fresh(old: Row | None, server: Server, mistakes: tuple[str, ...], at: float) -> Row:
    if old is None or old.health is Health.BROKEN:
        health = Health.UNKNOWN if server.enabled else Health.OFF
        return Row(server=server, mistakes=mistakes, since=at, health=health)
    if (old.server, old.mistakes) == (server, mistakes):
        return old
    row = msgspec.structs.replace(old, server=server, mistakes=mistakes)
    health = _health(row)
    return row if health is row.health else msgspec.structs.replace(row, health=health, since=at)


def _probe_changes(result: ProbeResult) -> dict[str, Any]:
    changes: dict[str, Any] = {"last": result, "failure": result.failure}
    if result.ok or (result.failure and result.failure.cause is not Cause.PASSWORD_MISSING):
        changes["password_wanted"] = False
    if result.host_key is not None:
        changes["host_key"] = result.host_key
    return changes


def _line(event: events.AnyEvent, row: Row | None) -> LogLine | None:
    """Return what the log says of an event; ``row`` is its server's before it."""
    match event:
        case events.ProbeFinished():
            return LogLine(at=event.at, server=event.result.server, result=event.result)
        case events.TunnelChanged() if row and row.server.tunnel and event.state is not row.tunnel:
            text = event.words
        case events.ClientRefused():
            text = f"client refused: {event.reason}"
        case events.LocalEndChanged():
            text = event.words
        case events.Noted():
            text = event.text
        case events.Slept():
            text = f"the machine slept for {duration_words(event.seconds)}"
        case _:
            return None
    return LogLine(at=event.at, server=getattr(event, "server", ""), text=text)


def _health(row: Row) -> Health:
    if not row.server.enabled:
        return Health.OFF
    if row.failure is not None:
        return Health.DOWN
    if row.tunnel in {TunnelState.OPENING, TunnelState.LOST}:
        return Health.OPENING
    if row.tunnel is TunnelState.CLOSED or row.last is None or not row.last.ok:
        return Health.UNKNOWN
    return Health.SLOW if row.last.total_ms > row.server.probe.slow_after * 1000 else Health.UP
