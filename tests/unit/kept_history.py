"""Waiting for what a history keeps, and looking into its file."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

from canary_tui.monitor.history.query import LogQuery
from tests.unit.fake_history import FakeHistory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


DAY = 86_400.0


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


async def kept(history: FakeHistory, count: int) -> None:
    """Wait until so many lines are on disk."""
    await until(lambda: len(history.reader.lines(LogQuery(limit=2000))) == count)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)
