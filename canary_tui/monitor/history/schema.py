"""The history's file: made, opened, brought to our schema, or set aside when it is not what it should be."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import aiosqlite

from canary_tui.monitor.history.tables import APPLICATION_ID, MIGRATIONS
from canary_tui.paths import private_folder

if TYPE_CHECKING:
    from pathlib import Path

BUSY_SECONDS = 5.0
WAL_BYTES = 8_000_000
CACHE_KIB = 512
"""Pages of the file in memory: what is written lies at its ends."""
PARTS = ("-wal", "-shm")
"""What SQLite keeps beside the file (sqlite.org/wal.html)."""
NOT_OURS = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Primary result codes that say the file is broken, or never was a database."""


class TooNew(Exception):
    """The file's schema is of a newer canary-tui. It is left as it is."""

    def __init__(self, version: int) -> None:
        super().__init__(f"its schema {version} is of a newer canary-tui (this one knows {len(MIGRATIONS)})")


class Foreign(Exception):
    """The file is a database of something else."""


def is_broken(error: BaseException) -> bool:
    """Whether an error means that the file is no sound history, and not that the disk or a lock is."""
    if isinstance(error, Foreign):
        return True
    # The extended code has the primary one in its low byte (sqlite.org/rescode.html).
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in NOT_OURS


async def open_history(path: Path) -> aiosqlite.Connection:
    """Open the history for writing, private to its user; made or migrated where needed.

    Raises TooNew, Foreign, sqlite3.Error or OSError; nothing is left open then.
    """
    private_folder(path.parent)
    _make_private(path)
    database = await aiosqlite.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
    try:
        await _prepare(database)
    except BaseException:
        await database.close()
        raise
    return database


def _make_private(path: Path) -> None:
    """Make the file, for its user only. SQLite gives its -wal and -shm the mode of the file itself.

    Those of a file that was deleted belong to nothing: used with another, they would break it
    (sqlite.org/howtocorrupt.html §4.3).
    """
    if not path.exists():
        for part in PARTS:
            path.with_name(path.name + part).unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


async def _prepare(database: aiosqlite.Connection) -> None:
    owner, version = await pragma(database, "application_id"), await pragma(database, "user_version")
    empty = not await (await database.execute("SELECT 1 FROM sqlite_master LIMIT 1")).fetchone()
    if owner != APPLICATION_ID and not (empty and owner == version == 0):
        raise Foreign("it is a database of another program")
    if version > len(MIGRATIONS):
        raise TooNew(version)
    if empty:
        # Only before the first table: free pages can then be given back a few at a time.
        await database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    await database.execute("PRAGMA journal_mode = WAL")
    # Whole after any crash; a power cut may take the last moments (sqlite.org/wal.html).
    await database.execute("PRAGMA synchronous = NORMAL")
    await database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    await database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        await database.execute("BEGIN IMMEDIATE")
        for statement in statements:
            await database.execute(statement)
        await database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        await database.execute(f"PRAGMA user_version = {number}")
        await database.execute("COMMIT")


async def pragma(database: aiosqlite.Connection, name: str) -> int:
    """Return a pragma's number."""
    row = await (await database.execute(f"PRAGMA {name}")).fetchone()
    return int(row[0]) if row else 0


def set_aside(path: Path) -> Path:
    """Move a broken file, and what belongs to it, out of the way; return where it is now."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():  # never over one that was kept before
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    path.rename(aside)
    for part in PARTS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + part).rename(aside.with_name(aside.name + part))
    return aside
