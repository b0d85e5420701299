"""A history that an older version made is brought to our schema with all that is in it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from canary_tui.monitor.events import TunnelChanged, TunnelState
from canary_tui.monitor.history import schema
from canary_tui.monitor.history.schema import open_history
from canary_tui.monitor.history.tables import FIRST, MIGRATIONS
from canary_tui.monitor.history.tail import Tail
from tests.unit.fake_history import REFUSED, START, FakeHistory

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0
TABLES = ("servers", "failures", "probes", "lines", "hours", "this_hour", "incidents")


def query(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        return database.execute(sql).fetchall()


def contents(path: Path) -> dict[str, list[Any]]:
    return {table: query(path, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}


async def made_by_the_first_schema(folder: Path) -> FakeHistory:
    """A history with something in each table, as a version made it that knew the first schema only."""
    history = FakeHistory(folder, "orders", "billing")
    async with history.recording() as recorder:
        history.probed(recorder)
        history.probed(recorder, "billing", failure=REFUSED)
        history.wrote(recorder, "tunnel up at 127.0.0.1:15432")
        history.now += 4000
        history.probed(recorder)
        history.now += 10
    with closing(sqlite3.connect(history.path, isolation_level=None)) as database:
        database.executescript("DROP TABLE tunnels; PRAGMA user_version = 1; PRAGMA journal_mode = DELETE")
        found = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    assert found == set(FIRST), "nothing is left of a later schema"
    assert all(contents(history.path).values())
    return history


async def test_everything_is_kept_and_the_present_of_tunnels_can_be_written(tmp_path: Path) -> None:
    history = await made_by_the_first_schema(tmp_path)
    before, told = contents(history.path), history.reader.lines()
    database = await open_history(history.path)
    await database.close()
    assert contents(history.path) == before
    assert query(history.path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert query(history.path, "PRAGMA integrity_check") == [("ok",)]
    async with history.recording() as recorder:
        recorder.feed(TunnelChanged(at=history.now, server="orders", state=TunnelState.UP, local="here"))
    news = Tail(history.path, lambda: history.now).news(0.0)
    assert news is not None
    assert news.tunnels["orders"].local == "here"
    assert history.reader.lines() == told
    assert history.reader.uptimes(DAY)["orders"].up > 0
    assert [one.servers for one in history.reader.incidents()] == [("billing",)]


async def test_opening_twice_migrates_once(tmp_path: Path) -> None:
    history = await made_by_the_first_schema(tmp_path)
    for _ in range(2):
        database = await open_history(history.path)
        await database.close()
    assert query(history.path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


async def test_a_step_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = await made_by_the_first_schema(tmp_path)
    before = contents(history.path)
    monkeypatch.setattr(schema, "MIGRATIONS", (FIRST, ("CREATE TABLE half (x)", "no statement at all")))
    with pytest.raises(sqlite3.OperationalError):
        await open_history(history.path)
    assert contents(history.path) == before
    assert query(history.path, "PRAGMA user_version") == [(1,)]
    assert not query(history.path, "SELECT 1 FROM sqlite_master WHERE name = 'half'")


async def test_an_older_history_is_read_as_it_is(tmp_path: Path) -> None:
    history = await made_by_the_first_schema(tmp_path)
    assert len(history.reader.lines()) == 4
    tail = Tail(history.path, lambda: history.now)
    news = tail.news(START)
    assert news is not None
    assert (len(news.lines), news.tunnels) == (4, {})
    assert [line.at for line in tail.recent("orders", 0.0)] == [START, START + 4000]
    tail.close()
    assert query(history.path, "PRAGMA user_version") == [(1,)]


async def test_a_reader_follows_while_the_file_is_migrated(tmp_path: Path) -> None:
    history = await made_by_the_first_schema(tmp_path)
    tail = Tail(history.path, lambda: history.now)
    assert tail.news(0.0) is not None
    async with history.recording() as recorder:
        recorder.feed(TunnelChanged(at=history.now, server="orders", state=TunnelState.UP))
        async with asyncio.timeout(5):
            while (news := tail.news(0.0)) is None or not news.tunnels:
                await asyncio.sleep(0.01)
    assert news.lines == []
    tail.close()
