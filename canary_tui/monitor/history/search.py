"""Lines of the log out of the history, a page at a time; only the page's own rows are read and decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from canary_tui.diagnosis.catalogue import title
from canary_tui.diagnosis.printable import Source
from canary_tui.monitor.board import LogLine
from canary_tui.monitor.history.rows import MICRO, decode_failure, decode_probe

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from canary_tui.monitor.history.query import LogQuery

FIRST, LAST = -(2**62), 2**62
"""Keys before and after all others."""

PROBES = (
    "SELECT p.id, s.name, '', f.content, p.route, p.began, p.total, p.stages FROM probes p"
    " JOIN servers s ON s.id = p.server LEFT JOIN failures f ON f.id = p.failure WHERE p.id IN"
)
LINES = "SELECT l.id, s.name, l.text FROM lines l JOIN servers s ON s.id = l.server WHERE l.id IN"


class Search:
    """A query as conditions of SQL."""

    def __init__(self, database: sqlite3.Connection, query: LogQuery) -> None:
        self._database = database
        self._query = query
        self._probes = ["failure IS NOT NULL"] if query.failures else []
        self._lines = ["0"] if query.failures else []
        self._words: list[str] = []
        if query.server:
            number = database.execute("SELECT id FROM servers WHERE name = ?", (query.server,)).fetchone()
            self._both(f"server = {number[0] if number else -1}")
        if query.text.strip():
            self._look_for(query.text.lower().split())

    def page(self) -> list[LogLine]:
        """Return the page that the query asks for, oldest line first."""
        before, after, limit = self._query.before, self._query.after, self._query.limit
        forward = after is not None and before is None
        low = FIRST if after is None else round(after * MICRO)
        high = LAST if before is None else round(before * MICRO)
        span = f"id > {low} AND id < {high}"
        order = f"ORDER BY id {'ASC' if forward else 'DESC'} LIMIT {int(limit)}"
        # The inner queries are answered by an index alone; the outer ones read one page of rows.
        keys = f"SELECT id FROM probes WHERE {' AND '.join([span, *self._probes])} {order}"  # noqa: S608
        rows: list[Any] = self._database.execute(f"{PROBES} ({keys})").fetchall()
        keys = f"SELECT id FROM lines WHERE {' AND '.join([span, *self._lines])} {order}"  # noqa: S608
        rows += self._database.execute(f"{LINES} ({keys})", self._words)
        rows.sort(key=lambda row: row[0])
        return [line_of(*row) for row in (rows[:limit] if forward else rows[-limit:])]

    def _both(self, condition: str) -> None:
        self._probes.append(condition)
        self._lines.append(condition)

    def _look_for(self, words: list[str]) -> None:
        """Have each word in the server's name, in the failure (``ok`` when there is none) or in the line."""
        servers = self._database.execute("SELECT id, lower(name) FROM servers").fetchall()
        failures = [
            (number, _searchable(content))
            for number, content in self._database.execute("SELECT id, content FROM failures")
        ]
        for word in words:
            named = _numbers(number for number, name in servers if word in name)
            failed = _numbers(number for number, said in failures if word in said)
            passed = " OR failure IS NULL" if word in "ok" else ""
            self._probes.append(f"(server IN {named} OR failure IN {failed}{passed})")
            self._lines.append(f"(server IN {named} OR instr(lower(text), ?) > 0)")
            self._words.append(word)


def _searchable(content: str) -> str:
    failure = decode_failure(content)
    said = (title(failure.cause), failure.cause.value, failure.summary, failure.detail)
    return " ".join(said).lower()


def _numbers(numbers: Iterable[int]) -> str:
    return f"({', '.join(map(str, numbers))})"


def line_of(key: int, server: str, text: str, failure: str | None = None, *probe: Any) -> LogLine:
    """Return a row of ``PROBES`` or ``LINES`` as a line of the log; its key is its ``seq``."""
    server, result = Source.HISTORY.text(server), None
    if probe:
        result = decode_probe(server, key, probe, decode_failure(failure) if failure else None)
    return LogLine(seq=key, at=key / MICRO, server=server, result=result, text=Source.HISTORY.text(text))
