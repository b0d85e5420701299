"""What is kept is read back, page by page, and the file is what it should be."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Stage
from canary_tui.monitor.events import IncidentChanged, Slept, TunnelChanged, TunnelState
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.history.rows import STAGES
from canary_tui.monitor.incidents import Change
from tests.unit.fake_history import REFUSED, START, FakeHistory
from tests.unit.kept_history import DAY, kept, rows, until

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.monitor.board import LogLine

pytestmark = pytest.mark.usefixtures("frequent_batches")


async def test_a_probe_is_read_back_as_it_was(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        good = history.probed(recorder)
        history.now += 10
        bad = history.probed(recorder, failure=REFUSED)
    found = [line.result for line in history.reader.lines()]
    assert found == [good, bad]


async def test_pages_follow_each_other_without_gap_or_repetition(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path, "orders", "billing")
    async with history.recording() as recorder:
        for number in range(25):
            name = "orders" if number % 2 else "billing"
            history.probed(recorder, name, failure=None if number % 5 else REFUSED)
            history.wrote(recorder, f"line {number}")  # at the very same time
            history.now += number % 3
    everything = history.reader.lines(LogQuery(limit=1000))
    assert len(everything) == 50
    assert [line.at for line in everything] == sorted({line.at for line in everything})
    back: list[LogLine] = []
    before = None
    while page := history.reader.lines(LogQuery(before=before, limit=7)):
        back[:0] = page
        before = page[0].at
    forth: list[LogLine] = []
    after = 0.0
    while page := history.reader.lines(LogQuery(after=after, limit=7)):
        forth += page
        after = page[-1].at
    assert back == forth == everything
    assert (
        history.reader.lines(LogQuery(after=everything[10].at, before=everything[13].at)) == everything[11:13]
    )


async def test_lines_are_chosen_by_server_failure_and_words(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path, "orders", "billing")
    async with history.recording() as recorder:
        history.probed(recorder, "orders")
        history.probed(recorder, "orders", failure=REFUSED)
        history.probed(recorder, "billing", failure=REFUSED)
        history.wrote(recorder, "tunnel lost: Broken pipe", "billing")
    assert [line.server for line in history.reader.lines(LogQuery(server="orders"))] == ["orders", "orders"]
    assert len(history.reader.lines(LogQuery(failures=True))) == 2
    assert len(history.reader.lines(LogQuery(server="billing", failures=True))) == 1
    found = history.reader.lines(LogQuery(text="BROKEN billing"))
    assert [line.text for line in found] == ["tunnel lost: Broken pipe"]
    assert len(history.reader.lines(LogQuery(text="database_refused"))) == 2
    assert len(history.reader.lines(LogQuery(text="orders 10.0.0.1"))) == 1
    assert (
        history.reader.lines(LogQuery(server="nobody"))
        == history.reader.lines(LogQuery(text="nowhere"))
        == []
    )


async def test_the_plans_of_paging_read_an_index_and_no_table(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording():
        pass
    for condition, wanted in (
        ("server = 1", "probes_by_server"),
        ("failure IS NOT NULL", "failed_by_time"),
        ("failure IS NOT NULL AND server = 1", "failed_by_server"),
        ("1", "INTEGER PRIMARY KEY"),
    ):
        query = f"SELECT id FROM probes WHERE id > 5 AND id < 9 AND {condition} ORDER BY id DESC LIMIT 3"
        (plan,) = rows(history.path, f"EXPLAIN QUERY PLAN {query}")
        assert wanted in str(plan[3]), query


async def test_a_clock_that_is_stepped_back_loses_no_line(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    for _ in range(2):
        async with history.recording() as recorder:
            for _ in range(3):
                history.probed(recorder)
                history.now += 60
        history.now = START
    assert len(history.reader.lines()) == 6


async def test_an_hour_that_a_clock_lives_twice_has_both_its_seconds(tmp_path: Path) -> None:
    history, seconds = FakeHistory(tmp_path), []
    for _ in range(2):
        history.now = START
        async with history.recording() as recorder:
            history.probed(recorder)
            history.now += 3600
            history.probed(recorder)
        seconds += rows(history.path, f"SELECT up FROM hours WHERE hour = {int(START // 3600)}")
    assert seconds == [(30,), (60,)]


async def test_failures_that_are_alike_are_kept_once(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    for _ in range(2):
        async with history.recording() as recorder:
            for _ in range(5):
                history.probed(recorder, failure=REFUSED)
                history.now += 1
    assert rows(history.path, "SELECT count(*) FROM failures") == [(1,)]
    assert len(history.reader.lines(LogQuery(failures=True))) == 10


async def test_uptime_is_counted_over_restarts_and_without_sleep(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    history.now += 1800
    async with history.recording() as recorder:
        history.probed(recorder)
        history.now += 20
        history.probed(recorder, failure=REFUSED)
        history.now += 10
        history.probed(recorder)
        history.now += 600
        recorder.feed(Slept(at=history.now, seconds=600))
        history.now += 5
        recorder.feed(TunnelChanged(at=history.now, server="orders", state=TunnelState.CLOSED))
    history.now += 100
    async with history.recording() as recorder:
        history.probed(recorder)
        history.now += 10
    found = history.reader.uptimes(DAY)["orders"]
    assert (found.up, found.down, found.asleep) == (35, 10, 600)
    assert found.unknown == pytest.approx(23 * 3600 + 1800 + 100)
    assert found.percent == pytest.approx(100 * 35 / 45)
    assert "nobody" not in history.reader.uptimes(DAY)
    assert history.reader.uptimes(DAY) == {"orders": found}


async def test_hours_that_are_over_are_kept_and_the_spans_add_up(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        for number in range(6):
            history.probed(recorder, ms=5)
            history.now += 20
            history.probed(recorder, ms=50)
            await kept(history, 2 * number + 2)
            history.now += 3580
    assert rows(history.path, "SELECT count(*) FROM hours") == [(6,)]
    found = history.reader.uptimes(7 * DAY)["orders"]
    assert found.up == pytest.approx(6 * 50)
    history.now -= 1
    many = history.reader.percentiles("orders", DAY)
    assert many is not None
    assert many.count == 12
    assert many.p50 == pytest.approx(5, rel=0.05)
    assert many.p99 == pytest.approx(50, rel=0.05)
    assert history.reader.percentiles("nobody", DAY) is None
    chart = history.reader.latency_series("orders", DAY, 48)
    assert len(chart) == 24
    assert sum(point.count for point in chart) == 12


async def test_a_short_chart_comes_from_the_probes_themselves(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        for number in range(60):
            history.now += 1
            history.probed(recorder, ms=number + 1, failure=REFUSED if number == 59 else None)
    chart = history.reader.latency_series("orders", 60, 6)
    assert [point.count for point in chart] == [9, 10, 10, 10, 10, 10]
    assert [p.p50 for p in chart] == pytest.approx([5, 14, 24, 34, 44, 54], rel=0.12)


async def test_an_incident_is_kept_told_and_taken_up_again(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        history.probed(recorder, failure=REFUSED)
    (kept,) = history.reader.incidents()
    assert (kept.ended, kept.servers) == (None, ("orders",))
    history.now += 60
    async with history.recording() as recorder:
        await until(lambda: recorder._recalled)
        history.probed(recorder, failure=REFUSED)
        history.now += 30
        history.probed(recorder)
    (kept,) = history.reader.incidents()
    assert (kept.ended, kept.ended_by) == (START + 90, "orders answered again")
    told = [event.change for event in history.heard if isinstance(event, IncidentChanged)]
    assert told[0] is Change.OPENED
    assert told[-1] is Change.CLOSED


async def test_the_files_are_private(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    history.paths.state.mkdir(mode=0o700)
    history.path.touch(mode=0o644)
    async with history.recording() as recorder:
        history.probed(recorder)
        await until(lambda: bool(history.reader.lines()))
        files = sorted(history.paths.state.glob("history.db*"))
        assert [file.name for file in files] == ["history.db", "history.db-shm", "history.db-wal"]
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


async def test_two_readers_see_whole_lines_while_it_is_written(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)

    def read() -> list[int]:
        counts: list[int] = []
        while not counts or counts[-1] < 900:
            lines = history.reader.lines(LogQuery(limit=2000))
            assert all(line.result is not None and len(line.result.stages) == 2 for line in lines)
            counts.append(len(lines))
            history.reader.uptimes(DAY)
        return counts

    async with history.recording() as recorder:
        readers = [asyncio.create_task(asyncio.to_thread(read)) for _ in range(2)]
        for _ in range(900):
            history.probed(recorder)
            history.now += 0.01
            await asyncio.sleep(0.001)
        async with asyncio.timeout(20):
            for counts in await asyncio.gather(*readers):
                assert counts == sorted(counts)


def test_a_history_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    reader = FakeHistory(tmp_path).reader
    assert not reader.lines()
    assert not reader.incidents()
    assert not reader.servers()
    assert reader.uptimes(DAY) == {}
    assert not any(tmp_path.iterdir()), "reading makes nothing"


async def test_only_the_holder_of_the_lock_writes_and_the_other_takes_over(tmp_path: Path) -> None:
    first, second = FakeHistory(tmp_path), FakeHistory(tmp_path)
    async with AsyncExitStack() as ending:
        mine = await ending.enter_async_context(first.recording())
        for history in (first, second):
            history.now += 20
        first.probed(mine, ms=2)
        first.now += 20
        await until(lambda: len(first.reader.lines()) == 1)
        async with second.recording() as other:
            second.probed(other, ms=1)
            second.now += 20
            second.probed(other, ms=1)
            await until(lambda: bool(second.notes))
            assert "monitors already" in second.notes[0]
            await ending.aclose()
            await until(lambda: other._writer is not None)
            second.now += 50
            second.probed(other, ms=3)
    assert [line.result.total_ms for line in second.reader.lines() if line.result] == [2, 3]
    assert second.reader.uptimes(DAY)["orders"].up == 20 + 30, "what both have seen counts once"


def test_every_stage_has_a_number_of_its_own() -> None:
    assert set(STAGES) == set(Stage)
    assert len(set(STAGES.values())) == len(STAGES)
