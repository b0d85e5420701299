"""Reads the history, from any thread and any process, while another one writes it.

Each call opens the file anew, read-only, and sees it as it is at that moment (WAL: no reader waits for the
writer, nor the writer for a reader). A history that is not there yet is an empty one.
"""

from __future__ import annotations

import errno
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.printable import Source
from canary_tui.monitor.histogram import Histogram
from canary_tui.monitor.history.query import NEWEST, LogQuery
from canary_tui.monitor.history.rows import MICRO, decode_incident
from canary_tui.monitor.history.search import Search
from canary_tui.monitor.history.tables import APPLICATION_ID, MIGRATIONS
from canary_tui.monitor.uptime import HOUR, Uptime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from canary_tui.monitor.board import LogLine
    from canary_tui.monitor.incidents import Incident

BUSY_SECONDS = 5.0
RAW_SPAN = 6 * 3600.0
"""Spans up to this (seconds) are read from the probes themselves, longer ones from the hours' histograms."""

HOURS = "(SELECT * FROM hours WHERE {0} UNION ALL SELECT * FROM this_hour WHERE {0})"


class HistoryUnreadable(OSError):
    """The history cannot be read. ``str`` says which file and why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(errno.EIO, Source.HISTORY.text(why), str(path))


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies of the probes that passed, in milliseconds, each within 4.8 % of the true one."""

    count: int
    p50: float
    p90: float
    p95: float
    p99: float
    highest: float


class LatencyPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a latency chart; milliseconds, None where no probe passed."""

    at: float
    """Unix time at which the piece begins."""
    count: int
    p50: float | None
    p95: float | None


class HistoryReader:
    """Reads one history file. Every method raises HistoryUnreadable. ``clock`` gives Unix time."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock

    def servers(self) -> list[str]:
        """Return the names of all servers of which anything is kept."""
        with self._open() as database:
            return [
                Source.HISTORY.text(name)
                for (name,) in database.execute("SELECT name FROM servers WHERE name <> '' ORDER BY name")
            ]

    def lines(self, query: LogQuery = NEWEST) -> list[LogLine]:
        """Return a page of the log, oldest line first; ``seq`` is the line's key, and not the live log's."""
        with self._open() as database:
            return Search(database, query).page()

    def uptimes(self, span: float) -> dict[str, Uptime]:
        """Return for each server how long it was up in the last ``span`` seconds.

        The hours count that began in it, and the one under way: the first of it may be an hour short.
        """
        now = self._clock()
        first = int((now - span) // HOUR) + 1
        # Server by server, as the table is ordered: else all 400 days would be gone through.
        each = "server IN (SELECT id FROM servers)"
        hours = HOURS.format(f"{each} AND hour >= {first} AND hour <= {int(now // HOUR)}")
        with self._open() as database:
            rows = database.execute(
                f"SELECT name, sum(up), sum(down), sum(asleep) FROM {hours}"  # noqa: S608 - numbers only
                " JOIN servers ON id = server GROUP BY server"
            ).fetchall()
        whole = now - first * HOUR
        return {
            Source.HISTORY.text(name): Uptime(
                up=up, down=down, asleep=asleep, unknown=max(0.0, whole - up - down - asleep)
            )
            for name, up, down, asleep in rows
        }

    def percentiles(self, server: str, span: float) -> Percentiles | None:
        """Return the latency percentiles of the last ``span`` seconds; None when no probe passed."""
        whole = Histogram()
        for _, piece in self._latencies(server, span):
            whole.merge(piece)
        values = [whole.percentile(percent) for percent in (50, 90, 95, 99, 100)]
        p50, p90, p95, p99, highest = (value or 0.0 for value in values)
        count = whole.count
        return (
            Percentiles(count=count, p50=p50, p90=p90, p95=p95, p99=p99, highest=highest) if count else None
        )

    def latency_series(self, server: str, span: float, points: int) -> list[LatencyPoint]:
        """Return a latency chart of the last ``span`` seconds in ``points`` pieces of equal length.

        Beyond six hours a piece cannot be shorter than an hour, and there are fewer of them.
        """
        width = span / points if span <= RAW_SPAN else max(HOUR, span / points)
        count = round(span / width)
        start = self._clock() - count * width
        pieces = [Histogram() for _ in range(count)]
        for at, piece in self._latencies(server, span):
            pieces[min(count - 1, max(0, int((at - start) // width)))].merge(piece)
        return [
            LatencyPoint(
                at=start + number * width,
                count=piece.count,
                p50=piece.percentile(50),
                p95=piece.percentile(95),
            )
            for number, piece in enumerate(pieces)
        ]

    def incidents(self, limit: int | None = 200) -> list[Incident]:
        """Return the newest incidents, newest first."""
        with self._open() as database:
            rows = database.execute(
                "SELECT * FROM incidents ORDER BY id DESC LIMIT ?", (-1 if limit is None else limit,)
            ).fetchall()
        return [decode_incident(row) for row in rows]

    def _latencies(self, server: str, span: float) -> list[tuple[float, Histogram]]:
        """Return what was measured with the time at which it was: single probes, or hours."""
        since = self._clock() - span
        chosen = "server = (SELECT id FROM servers WHERE name = ?1)"
        with self._open() as database:
            if span <= RAW_SPAN:
                rows = database.execute(
                    f"SELECT id, total FROM probes WHERE {chosen} AND failure IS NULL AND id >= ?2",  # noqa: S608
                    (server, round(since * MICRO)),
                ).fetchall()
                return [(key / MICRO, Histogram.of([total / 1000])) for key, total in rows]
            query = f"SELECT hour, latencies FROM {HOURS.format(f'{chosen} AND hour > ?2')}"  # noqa: S608
            rows = database.execute(query, (server, int(since // HOUR))).fetchall()
            return [(hour * HOUR, Histogram.decode(latencies)) for hour, latencies in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            database = self._connect()
            try:
                yield database
            finally:
                database.close()
        except (sqlite3.Error, msgspec.MsgspecError, ValueError, KeyError) as error:
            raise HistoryUnreadable(self._path, str(error)) from None

    def _connect(self) -> sqlite3.Connection:
        database = open_read_only(self._path)
        if database is None:
            return _empty()
        try:
            # One view for all of a call's queries, whatever is written meanwhile.
            database.execute("BEGIN")
            ours = is_history(database)
        except BaseException:
            database.close()
            raise
        if ours:
            return database
        database.close()
        return _empty()


def open_read_only(path: Path) -> sqlite3.Connection | None:
    """Open a file that another process may write meanwhile; None when it is not there."""
    if not path.exists():
        return None
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def is_history(database: sqlite3.Connection) -> bool:
    """Tell whether the history is there; False: it is being made. Raises ValueError when it is not ours."""
    (owner,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise ValueError(f"its schema {version} is of a newer canary-tui")
    if owner == version == 0 and not database.execute("SELECT 1 FROM sqlite_master").fetchone():
        return False
    if owner != APPLICATION_ID:
        raise ValueError("it is a database of another program")
    return True


def _empty() -> sqlite3.Connection:
    """Return a history in which nothing is."""
    database = sqlite3.connect(":memory:")
    for step in MIGRATIONS:
        for statement in step:
            database.execute(statement)
    return database
