"""Follows a history that another process writes: what is new since the last look.

One connection stays open, on which ``PRAGMA data_version`` tells for next to nothing whether anything was
written. A file that was deleted, or set aside, under it is noticed by its number.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from canary_tui.diagnosis.printable import Source
from canary_tui.monitor.board import RECENT
from canary_tui.monitor.history.reader import HistoryUnreadable, is_history, open_read_only
from canary_tui.monitor.history.rows import MICRO, decode_tunnel
from canary_tui.monitor.history.search import LINES, PROBES, line_of
from canary_tui.monitor.history.tables import file_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from canary_tui.monitor.board import LogLine
    from canary_tui.monitor.events import TunnelChanged

FIRST_LINES = 500
"""Lines of the log that the first look gives; a reader fetches older ones when they are asked for."""
MOST_LINES = 2_000
"""Lines of one look; the others come with the next."""
AHEAD = round(1.0 * MICRO)
"""How far a line's key may be ahead of the clock (see ``Recorder.keep``), as a key."""
UNSOUND = (sqlite3.Error, OSError, msgspec.MsgspecError, ValueError, TypeError, LookupError)
"""What a file that cannot be read raises, or one whose rows are not what they should be."""
KNOWS_TUNNELS = 2
"""The schema from which on tunnels are kept."""

TUNNELS = (
    "SELECT name, at, state, reason, retry_at, local, failure, host_key FROM tunnels"
    " JOIN servers ON id = server WHERE ?1 IN (since, 0)"
)
OF_SERVER = "FROM probes WHERE server = ?1 AND id BETWEEN ?2 AND ?3"
RUN_BEGAN = (
    # The first probe after the last one that ended the other way. Failures have an index of their own.
    f"SELECT id {OF_SERVER} AND id > coalesce((SELECT id {OF_SERVER} AND failure IS {{other}}"
    " ORDER BY id DESC LIMIT 1), 0) ORDER BY id LIMIT 1"
)

NEWEST_BEFORE = (
    "SELECT coalesce(max(id), 0) FROM probes WHERE id < ?1"
    " UNION ALL SELECT coalesce(max(id), 0) FROM lines WHERE id < ?1"
)
KEYS_FROM = "SELECT id FROM probes WHERE id >= ?1 UNION ALL SELECT id FROM lines WHERE id >= ?1"


class News(msgspec.Struct, frozen=True):
    """What one look found."""

    lines: list[LogLine]
    """New lines of the log, oldest first; ``seq`` is the line's key."""
    tunnels: dict[str, TunnelChanged]
    """Where all tunnels stand, by the server's name."""
    more: bool
    """Whether there are more lines, for the next look."""


class Tail:
    """Reads on where it ended last. To be used on one thread; ``clock`` gives Unix time."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._version = -1
        """SQLite's data version at the last look: it changes with each commit of another connection."""
        self._newest: int | None = None
        """The key of the newest line that was given; None before the first look."""
        self._old: frozenset[int] = frozenset()
        """Keys that are ahead of a clock that was set back: lines of before, none of them new."""

    def close(self) -> None:
        """Close the file. The next look opens it again and goes on."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def look_again(self) -> None:
        """Have the next look tell where all tunnels stand, though nothing was written since."""
        self._version = -1

    def news(self, since: float) -> News | None:
        """Return what was written since the last look; None when nothing was.

        ``since`` is the signature of the monitor that writes (0: unknown): tunnels of another are not
        told. Raises HistoryUnreadable.
        """
        with self._in_words():
            database = self._opened()
            (version,) = database.execute("PRAGMA data_version").fetchone()
            end = round(self._clock() * MICRO) + AHEAD
            set_back = self._newest is not None and self._newest > end
            if version == self._version and not set_back:
                return None
            # One view for all: a line committed between two queries would be passed over for ever.
            database.execute("BEGIN")
            try:
                if not is_history(database):
                    raise ValueError("it is being made")
                if set_back:
                    # New lines will be among old ones: only what is not there yet is taken from now on.
                    self._anchor(database, end)
                lines, more = self._lines(database, end)
                tunnels = _tunnels(database, since)
            finally:
                database.execute("COMMIT")
            self._version = -1 if more else version
            return News(lines, tunnels, more)

    def recent(self, server: str, since: float) -> list[LogLine]:
        """Return a server's last probes after ``since``, oldest first, up to the newest line given.

        The first may be far older than the others: with it the state that the server is in began. Raises
        HistoryUnreadable.
        """
        with self._in_words():
            database = self._opened()
            found = database.execute("SELECT id FROM servers WHERE name = ?", (server,)).fetchone()
            if found is None or self._newest is None:
                return []
            where = (found[0], round(since * MICRO), self._newest)
            keys = f"SELECT id {OF_SERVER} ORDER BY id DESC LIMIT {RECENT}"
            rows = database.execute(f"{PROBES} ({keys}) ORDER BY p.id", where).fetchall()
            if rows:
                query = RUN_BEGAN.format(other="NULL" if rows[-1][3] is not None else "NOT NULL")
                (began,) = database.execute(query, where).fetchone()
                if began < rows[0][0]:
                    rows[:0] = database.execute(f"{PROBES} (?)", (began,)).fetchall()
            return [line_of(*row) for row in rows]

    def _opened(self) -> sqlite3.Connection:
        number = file_number(self._path)
        if self._database is not None and number == self._file:
            return self._database
        self.close()
        database = open_read_only(self._path)
        if database is None:
            raise ValueError("it is not there")
        self._database, self._file, self._version = database, number, -1
        return database

    def _lines(self, database: sqlite3.Connection, end: int) -> tuple[list[LogLine], bool]:
        """Return the new lines before ``end``, and whether there are more."""
        if self._newest is None:
            rows = _rows(database, (0, end), "DESC", FIRST_LINES)
            self._anchor(database, end)
            return [line_of(*row) for row in reversed(rows)], False
        rows = _rows(database, (self._newest, end), "ASC", MOST_LINES)
        lines = [line_of(*row) for row in rows if row[0] not in self._old]
        if lines:
            self._newest = lines[-1].seq
        return lines, len(rows) == MOST_LINES and bool(lines)

    def _anchor(self, database: sqlite3.Connection, end: int) -> None:
        """Go on at the newest line before ``end``; all that is later is there already."""
        self._newest = max(key for (key,) in database.execute(NEWEST_BEFORE, (end,)))
        self._old = frozenset(key for (key,) in database.execute(KEYS_FROM, (end,)))

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except UNSOUND as error:
            self.close()
            raise HistoryUnreadable(self._path, str(error)) from None


def _rows(database: sqlite3.Connection, span: tuple[int, int], order: str, limit: int) -> list[Any]:
    """Return probes and lines with keys between two, the first ``limit`` in this order."""
    keys = f"(SELECT id FROM {{}} WHERE id > ? AND id < ? ORDER BY id {order} LIMIT {limit})"  # noqa: S608
    rows: list[Any] = database.execute(f"{PROBES} {keys.format('probes')}", span).fetchall()
    rows += database.execute(f"{LINES} {keys.format('lines')}", span)
    rows.sort(key=lambda row: int(row[0]), reverse=order == "DESC")
    return rows[:limit]


def _tunnels(database: sqlite3.Connection, since: float) -> dict[str, TunnelChanged]:
    (schema,) = database.execute("PRAGMA user_version").fetchone()
    if schema < KNOWS_TUNNELS:
        return {}
    return {
        (clean := Source.HISTORY.text(name)): decode_tunnel(clean, tuple(row))
        for name, *row in database.execute(TUNNELS, (since,))
    }
