"""What is old goes, a little at a time, so that no commit waits long for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.monitor.history.rows import MICRO
from canary_tui.monitor.history.schema import pragma
from canary_tui.monitor.uptime import HOUR

if TYPE_CHECKING:
    import aiosqlite

    from canary_tui.servers.fleet import HistoryLimits

ROWS_A_STEP = 2_000
ROWS_A_PAGE = 40
"""About how many probes a page of 4 KiB holds."""
PAGES_A_STEP = 1_000
FILL = 0.9
"""How much of ``max_size`` may be in use: the write-ahead log and the next minute need room too."""
NEWEST = 2**62
"""A key that is after all others."""
SPARSE = 4
"""Free pages are given back when they are more than one in so many; else they are used again."""


async def step(database: aiosqlite.Connection, now: float, limits: HistoryLimits) -> bool:
    """Delete one batch of what is beyond the limits; tell whether there may be more.

    Raw results older than ``limits.raw`` seconds, roll-ups older than ``limits.rollups``; beyond
    ``limits.max_size`` bytes the oldest raw results first, then the oldest roll-ups. Incidents stay.
    """
    before_id = int((now - limits.raw) * MICRO)
    deleted = await _raw_before(database, before_id)
    deleted += await _hours_before(database, int((now - limits.rollups) // HOUR))
    page, pages, free = [await pragma(database, n) for n in ("page_size", "page_count", "freelist_count")]
    allowed = int(FILL * limits.max_size / page)
    over = pages - free - allowed
    if not deleted and over > 0:
        key = await _oldest_keys(database, min(ROWS_A_STEP, over * ROWS_A_PAGE))
        deleted = await _raw_before(database, key) or await _oldest_hours(database)
    vacuuming = bool(free) and (pages > allowed or free * SPARSE > pages)
    if vacuuming:
        # As a script: a statement is stepped once, and each step gives one page back.
        await database.executescript(f"PRAGMA incremental_vacuum({PAGES_A_STEP})")
        vacuuming = await pragma(database, "freelist_count") < free
    return bool(deleted) or vacuuming


async def forget_failures(database: aiosqlite.Connection) -> None:
    """Delete the failures that no probe has any more."""
    await database.execute(
        "DELETE FROM failures WHERE id NOT IN (SELECT failure FROM probes WHERE failure IS NOT NULL)"
    )


async def _raw_before(database: aiosqlite.Connection, key: int) -> int:
    deleted = 0
    for table in ("probes", "lines"):
        cursor = await database.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE id < ? ORDER BY id LIMIT ?)",  # noqa: S608
            (key, ROWS_A_STEP),
        )
        deleted += cursor.rowcount
    return deleted


async def _oldest_keys(database: aiosqlite.Connection, count: int) -> int:
    """Return the key before which the ``count`` oldest probes lie."""
    cursor = await database.execute("SELECT id FROM probes ORDER BY id LIMIT 1 OFFSET ?", (count,))
    row = await cursor.fetchone()
    return int(row[0]) if row else NEWEST


async def _hours_before(database: aiosqlite.Connection, hour: int) -> int:
    deleted = 0
    # Server by server: the key begins with the server, so that one's chart is read in one go.
    for (server,) in await database.execute_fetchall("SELECT id FROM servers"):
        cursor = await database.execute("DELETE FROM hours WHERE server = ? AND hour < ?", (server, hour))
        deleted += cursor.rowcount
    return deleted


async def _oldest_hours(database: aiosqlite.Connection) -> int:
    row = await (await database.execute("SELECT min(hour) FROM hours")).fetchone()
    return 0 if row is None or row[0] is None else await _hours_before(database, row[0] + 24)
