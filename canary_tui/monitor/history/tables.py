"""The history's tables and where its file is; what writers and readers agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.paths import Paths

APPLICATION_ID = 0x63616E61
"""``cana``: by it SQLite's file header says whose file it is (sqlite.org/fileformat2.html §1.3.15)."""

FIRST = (
    "CREATE TABLE servers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE failures (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE)",
    # The keys of probes and lines are microseconds of Unix time: in order, and their time too.
    "CREATE TABLE probes (id INTEGER PRIMARY KEY, server INTEGER NOT NULL, failure INTEGER,"
    " route INTEGER NOT NULL, began INTEGER NOT NULL, total INTEGER NOT NULL, stages BLOB NOT NULL)",
    "CREATE INDEX probes_by_server ON probes (server)",
    "CREATE INDEX failed_by_server ON probes (server) WHERE failure IS NOT NULL",
    "CREATE INDEX failed_by_time ON probes (id, failure) WHERE failure IS NOT NULL",
    "CREATE TABLE lines (id INTEGER PRIMARY KEY, server INTEGER NOT NULL, text TEXT NOT NULL)",
    "CREATE INDEX lines_by_server ON lines (server)",
    "CREATE TABLE hours (server INTEGER, hour INTEGER, up REAL NOT NULL, down REAL NOT NULL,"
    " asleep REAL NOT NULL, latencies BLOB NOT NULL, PRIMARY KEY (server, hour)) WITHOUT ROWID",
    # The hour under way stands apart: it is written twice a second, and in `hours` every server's
    # would be on a page of its own.
    "CREATE TABLE this_hour (server INTEGER PRIMARY KEY, hour INTEGER NOT NULL, up REAL NOT NULL,"
    " down REAL NOT NULL, asleep REAL NOT NULL, latencies BLOB NOT NULL)",
    "CREATE TABLE incidents (id INTEGER PRIMARY KEY, started REAL NOT NULL, ended REAL,"
    " stage TEXT NOT NULL, cause TEXT NOT NULL, place TEXT NOT NULL, servers TEXT NOT NULL,"
    " summary TEXT NOT NULL, ended_by TEXT NOT NULL)",
    "CREATE INDEX incidents_open ON incidents (id) WHERE ended IS NULL",
)
SECOND = (
    # What a probe does not tell: where each server's tunnel stands now. `since` is the signature of the
    # monitor that wrote it (``lock.Holder``), by which the words of a dead one are known.
    "CREATE TABLE tunnels (server INTEGER PRIMARY KEY, since REAL NOT NULL, at REAL NOT NULL,"
    " state TEXT NOT NULL, reason TEXT NOT NULL, retry_at REAL, local TEXT NOT NULL,"
    " failure TEXT, host_key TEXT)",
)
MIGRATIONS: tuple[tuple[str, ...], ...] = (FIRST, SECOND)
"""The statements that lead from each schema to the next; the schema's number is how many steps were made."""


def history_file(paths: Paths) -> Path:
    """Return where the history is kept."""
    return paths.state / "history.db"


def file_number(path: Path) -> tuple[int, int] | None:
    """Return which file stands at a path (device and inode); None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
