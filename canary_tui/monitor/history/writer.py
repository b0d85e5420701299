"""One batch of the past into the database, in one transaction."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from canary_tui.monitor.histogram import Histogram
from canary_tui.monitor.history.rows import (
    decode_incident,
    encode_failure,
    encode_incident,
    encode_probe,
    encode_tunnel,
)
from canary_tui.monitor.uptime import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import aiosqlite

    from canary_tui.diagnosis.stages import Failure
    from canary_tui.monitor.board import LogLine
    from canary_tui.monitor.history.unwritten import Batch
    from canary_tui.monitor.incidents import Incident
    from canary_tui.monitor.uptime import HourSums

FAILURES_KEPT = 1_000
"""How many failures are known by heart; the details of more may differ each time."""

PROBE = "INSERT INTO probes (id, server, failure, route, began, total, stages) VALUES (?, ?, ?, ?, ?, ?, ?)"
LINE = "INSERT INTO lines (id, server, text) VALUES (?, ?, ?)"
THIS_HOUR = "INSERT OR REPLACE INTO this_hour (server, hour, up, down, asleep, latencies)"
HOUR_OVER = "INSERT OR REPLACE INTO hours (server, hour, up, down, asleep, latencies)"
INCIDENT = "INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
TUNNEL = "INSERT OR REPLACE INTO tunnels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
NEXT_KEY = (
    "SELECT max(coalesce((SELECT max(id) FROM probes), 0), coalesce((SELECT max(id) FROM lines), 0)) + 1"
)


class Writer:
    """Writes batches over one connection, and knows the numbers of servers and failures by heart.

    ``since`` is the signature of the monitor that writes: the present is known by it.
    """

    def __init__(self, database: aiosqlite.Connection, since: float = 0.0) -> None:
        self.database = database
        self._since = since
        self._servers: dict[str, int] = {}
        self._failures: OrderedDict[str, int] = OrderedDict()

    def forget(self) -> None:
        """Forget the numbers: rows were deleted, or a transaction that gave some was undone."""
        self._servers.clear()
        self._failures.clear()

    async def open_incidents(self) -> list[Incident]:
        """Return the incidents that have no end."""
        rows = await self.database.execute_fetchall("SELECT * FROM incidents WHERE ended IS NULL ORDER BY id")
        return [decode_incident(tuple(row)) for row in rows]

    async def hours_under_way(self) -> list[tuple[str, int, Totals]]:
        """Return what the table of the hour under way holds: of this hour, or of one that is over."""
        rows = await self.database.execute_fetchall(
            "SELECT name, hour, up, down, asleep, latencies FROM this_hour JOIN servers ON id = server"
        )
        return [(name, hour, _totals(rest)) for name, hour, *rest in rows]

    async def forget_tunnels(self) -> None:
        """Delete what another monitor said of its tunnels: it has ended, and they with it."""
        await self.database.execute("DELETE FROM tunnels WHERE since <> ?", (self._since,))

    async def write(self, batch: Batch) -> None:
        """Write a batch, whole or not at all. Raises sqlite3.Error."""
        await self.database.execute("BEGIN IMMEDIATE")
        try:
            await self._log_lines(batch.lines)
            await self._hours(batch.hours)
            await self.database.executemany(INCIDENT, [encode_incident(one) for one in batch.incidents])
            for event in batch.tunnels:
                row = (await self._server(event.server), self._since, *encode_tunnel(event))
                await self.database.execute(TUNNEL, row)
            await self.database.execute("COMMIT")
        except BaseException:
            self.forget()
            if self.database.in_transaction:
                await self.database.execute("ROLLBACK")
            raise

    async def _log_lines(self, log: Iterable[LogLine]) -> None:
        probes: list[tuple[Any, ...]] = []
        lines: list[tuple[Any, ...]] = []
        for line in log:
            server = await self._server(line.server)
            if line.result is None:
                lines.append((line.seq, server, line.text))
            else:
                failure = await self._failure(line.result.failure)
                probes.append((line.seq, server, failure, *encode_probe(line.result, line.seq)))
        await self._insert(PROBE, probes)
        await self._insert(LINE, lines)

    async def _insert(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        await self.database.execute("SAVEPOINT several")
        try:
            await self.database.executemany(sql, rows)
        except sqlite3.IntegrityError:
            # The clock was stepped back and a key is there already: such rows go behind the newest.
            await self.database.execute("ROLLBACK TO several")
            for row in rows:
                try:
                    await self.database.execute(sql, row)
                except sqlite3.IntegrityError:
                    (key,) = await self._one(NEXT_KEY, ())
                    await self.database.execute(sql, (key, *row[1:]))
        await self.database.execute("RELEASE several")

    async def _hours(self, hours: Iterable[HourSums]) -> None:
        now: list[tuple[Any, ...]] = []
        over: list[tuple[Any, ...]] = []
        for name, hour, totals, is_over in hours:
            server = await self._server(name)
            if is_over:
                over.append(await self._with_older(server, hour, totals))
                await self.database.execute(
                    "DELETE FROM this_hour WHERE server = ? AND hour = ?", (server, hour)
                )
            else:
                now.append(_sums(server, hour, totals))
        await self.database.executemany(f"{HOUR_OVER} VALUES (?, ?, ?, ?, ?, ?)", over)
        await self.database.executemany(f"{THIS_HOUR} VALUES (?, ?, ?, ?, ?, ?)", now)

    async def _with_older(self, server: int, hour: int, totals: Totals) -> tuple[Any, ...]:
        """Add what stands there of the same hour: a clock that was stepped back lives it twice."""
        row = await self._one(
            "SELECT up, down, asleep, latencies FROM hours WHERE server = ? AND hour = ?", (server, hour)
        )
        if row is None:
            return _sums(server, hour, totals)
        both = _totals(row)
        both.merge(totals)
        return _sums(server, hour, both)

    async def _server(self, name: str) -> int:
        if name not in self._servers:
            await self.database.execute("INSERT OR IGNORE INTO servers (name) VALUES (?)", (name,))
            (self._servers[name],) = await self._one("SELECT id FROM servers WHERE name = ?", (name,))
        return self._servers[name]

    async def _failure(self, failure: Failure | None) -> int | None:
        if failure is None:
            return None
        content = encode_failure(failure)
        if content not in self._failures:
            await self.database.execute("INSERT OR IGNORE INTO failures (content) VALUES (?)", (content,))
            (number,) = await self._one("SELECT id FROM failures WHERE content = ?", (content,))
            self._failures[content] = number
            if len(self._failures) > FAILURES_KEPT:
                self._failures.popitem(last=False)
            return int(number)
        self._failures.move_to_end(content)
        return self._failures[content]

    async def _one(self, sql: str, values: tuple[Any, ...]) -> Any:
        return await (await self.database.execute(sql, values)).fetchone()


def _sums(server: int, hour: int, totals: Totals) -> tuple[Any, ...]:
    return server, hour, totals.up, totals.down, totals.asleep, totals.latencies.encode()


def _totals(row: Sequence[Any]) -> Totals:
    up, down, asleep, latencies = row
    return Totals(up, down, asleep, Histogram.decode(latencies))
