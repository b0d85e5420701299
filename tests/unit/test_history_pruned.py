"""What is old goes from the history, and the file does not grow without end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.history import retention
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.history.schema import open_history
from canary_tui.servers.fleet import HistoryLimits
from tests.unit.fake_history import REFUSED, FakeHistory
from tests.unit.kept_history import DAY, kept, rows, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("frequent_batches")


async def test_old_results_go_and_incidents_stay(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    history.limits = HistoryLimits(raw=3 * DAY, rollups=400 * DAY)
    async with history.recording() as recorder:
        history.probed(recorder, failure=REFUSED)
        history.wrote(recorder, "long ago")
        history.now += 60
        history.probed(recorder)
        history.now += 5
    history.now += 2 * DAY
    await pruned(history)
    assert len(history.reader.lines()) == 3
    history.now += 2 * DAY
    await pruned(history)
    assert history.reader.lines() == []
    assert rows(history.path, "SELECT count(*) FROM failures") == [(0,)]
    assert history.reader.uptimes(30 * DAY)["orders"].up > 0
    history.now += 400 * DAY
    await pruned(history)
    assert rows(history.path, "SELECT count(*) FROM hours") == [(0,)]
    assert len(history.reader.incidents()) == 1


async def test_nothing_is_deleted_before_it_is_known_how_long_it_is_to_be_kept(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        history.wrote(recorder, "ten days ago")
    history.now += 10 * DAY
    async with history.recording(loaded=False) as recorder:
        for count in (2, 3, 4):  # each is written by a round of its own, which might delete
            history.wrote(recorder, "today")
            await kept(history, count)
    assert [line.text for line in history.reader.lines()] == ["ten days ago", "today", "today", "today"]
    await pruned(history)
    assert [line.text for line in history.reader.lines()] == ["today", "today", "today"]


async def test_the_size_limit_holds_and_the_newest_stay(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    history.limits = HistoryLimits(max_size=200_000)
    async with history.recording() as recorder:
        for _ in range(4_000):
            history.probed(recorder)
            history.now += 0.001
    newest = history.now
    await pruned(history)
    assert history.path.stat().st_size <= 200_000
    kept = history.reader.lines(LogQuery(limit=4_000))
    assert 0 < len(kept) < 4_000
    assert kept[-1].at == pytest.approx(newest, abs=1)


async def test_space_is_given_back_in_few_steps(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        for _ in range(4_000):
            history.probed(recorder)
    database, steps = await open_history(history.path), 0
    try:
        while await retention.step(database, history.now, HistoryLimits(max_size=100_000)):
            steps += 1
    finally:
        await database.close()
    assert history.path.stat().st_size <= 100_000
    assert steps < 12


async def pruned(history: FakeHistory) -> None:
    """Record nothing until the recorder has found nothing more to delete."""
    async with history.recording() as recorder:
        await until(lambda: recorder._pruned == history.now)
