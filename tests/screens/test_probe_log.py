"""The live probe log."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from textual.pilot import Pilot

from canary_tui.monitor.board import LogLine
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.history.reader import LatencyPoint, Percentiles
from canary_tui.monitor.requests import ReadLatency, ReadLog, ReadPercentiles
from canary_tui.monitor.uptime import Uptime
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.log_pages import PAGE
from canary_tui.tui.presenters.long_run import DAY
from canary_tui.tui.screens.probe_log import ProbeLog
from canary_tui.tui.widgets.log_list import LogList
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor


@pytest.fixture(autouse=True)
def _lines(monitor: FakeMonitor) -> None:
    for step in range(60):
        name = ("orders-prod", "billing", "legacy")[step % 3]
        at = samples.NOW - 60 + step
        monitor.log(samples.refused(name, at=at) if name == "legacy" else samples.passed(name, at=at))


@asynccontextmanager
async def log_of(
    app: CanaryApp, opened: Open, key: str = "L", size: tuple[int, int] = (100, 24)
) -> AsyncIterator[tuple[Pilot[None], LogList]]:
    """Open the log of all servers (``L``) or of the first one (``enter``)."""
    async with opened(size) as pilot:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ProbeLog) and app.screen.ready)
        lines = app.screen.query_one(LogList)
        await until(pilot, lambda: lines.count)
        yield pilot, lines


async def test_newest_line_is_last_and_followed(app: CanaryApp, monitor: FakeMonitor, opened: Open) -> None:
    async with log_of(app, opened) as (pilot, lines):
        assert "following" in screen_text(pilot)
        monitor.log(samples.passed("newcomer", at=samples.NOW))
        await until(pilot, lambda: "newcomer" in screen_text(pilot))
        assert lines.cursor == lines.count - 1


async def test_scrolling_stops_following_until_f(app: CanaryApp, monitor: FakeMonitor, opened: Open) -> None:
    async with log_of(app, opened) as (pilot, lines):
        await pilot.press("g", "j")
        await until(pilot, lambda: lines.count == 61)
        monitor.log(samples.passed("newcomer", at=samples.NOW))
        await until(pilot, lambda: lines.count == 62)
        assert "newcomer" not in screen_text(pilot)
        assert lines.cursor <= 2
        await pilot.press("f")
        await until(pilot, lambda: "newcomer" in screen_text(pilot))


async def test_space_pauses_the_view_and_says_how_much_is_newer(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with log_of(app, opened) as (pilot, lines):
        await pilot.press("space")
        monitor.log(samples.passed("newcomer", at=samples.NOW))
        await until(pilot, lambda: "paused, 1 newer" in screen_text(pilot))
        assert lines.count == 60
        await pilot.press("space")
        await until(pilot, lambda: lines.count == 61)


async def test_opened_from_a_server_it_shows_only_that_one_until_a(app: CanaryApp, opened: Open) -> None:
    async with log_of(app, opened, "enter") as (pilot, lines):
        assert lines.count == 20
        assert "billing" not in screen_text(pilot)
        await pilot.press("a")
        await until(pilot, lambda: lines.count == 60)
        await pilot.press("a")
        await until(pilot, lambda: lines.count == 20)


async def test_failures_only_and_text_narrow_what_is_shown(app: CanaryApp, opened: Open) -> None:
    async with log_of(app, opened) as (pilot, lines):
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: lines.count == 20)
        await pilot.press("slash", *"billing")
        await until(pilot, lambda: lines.count == 0)
        await pilot.press("escape", "exclamation_mark")
        await until(pilot, lambda: lines.count == 60)


async def test_n_goes_to_the_next_failure(app: CanaryApp, opened: Open) -> None:
    async with log_of(app, opened) as (pilot, lines):
        await pilot.press("g")
        await until(pilot, lambda: lines.count == 61)
        await pilot.press("g", "n")
        assert lines.cursor == 3
        await pilot.press("n", "N")
        assert lines.cursor == 3


async def test_enter_opens_the_stages_of_a_line_and_escape_closes_them(app: CanaryApp, opened: Open) -> None:
    async with log_of(app, opened, size=(120, 40)) as (pilot, _):
        await pilot.press("enter")
        await until(pilot, lambda: "✕ SSH login" in screen_text(pilot))
        assert "Install the key" in screen_text(pilot)
        await pilot.press("k")
        await until(pilot, lambda: "✓ Database login" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "✓ Database login" not in screen_text(pilot))
        assert isinstance(app.screen, ProbeLog)


@pytest.mark.parametrize("name", ["probes.jsonl", "probes.csv"])
async def test_export_writes_what_is_filtered_and_overwrites_nothing(
    app: CanaryApp, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a long path would be broken where the words are looked for
    target = tmp_path / name
    async with log_of(app, opened) as (pilot, lines):
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: lines.count == 20)
        for _ in range(2):
            await pilot.press("x")
            await until(pilot, lambda: "Export to" in screen_text(pilot))
            await pilot.press("ctrl+u", *name, "enter")
            await until(pilot, target.exists)
        await until(pilot, lambda: "File exists" in screen_text(pilot))
    if name.endswith(".csv"):
        with target.open(newline="") as file:
            records = list(csv.DictReader(file))
        assert {record["cause"] for record in records} == {"key_not_accepted"}
        assert records[0]["auth_ms"] == "21.0"
        assert len(records) == 20
    else:
        objects = [json.loads(text) for text in target.read_text().splitlines()]
        assert objects[0]["schema"] == 1
        assert objects[0]["failure"]["cause"] == "key_not_accepted"
        assert len(objects) == 20


async def test_chart_is_shown_and_hidden(app: CanaryApp, opened: Open) -> None:
    async with log_of(app, opened) as (pilot, _):
        await pilot.press("l")
        await until(pilot, lambda: "total, ms" in screen_text(pilot))
        await pilot.press("l")
        await until(pilot, lambda: "total, ms" not in screen_text(pilot))


def shows(pilot: Pilot[None], words: str) -> bool:
    """Tell whether these words are on the screen."""
    return words in screen_text(pilot)


async def test_the_span_of_the_chart_is_chosen_and_percentiles_go_with_it(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.latencies = Percentiles(count=8000, p50=3.0, p90=4.0, p95=5.5, p99=9.0, highest=30.0)
    values = [3.0, 4.0, None, 5.0, None, 3.5, 3.0]  # a piece of one point too
    monitor.series = [
        LatencyPoint(at=samples.NOW - DAY + 3600 * hour, count=9, p50=value, p95=value and value * 2)
        for hour, value in enumerate(values)
    ]
    async with log_of(app, opened, "enter") as (pilot, _):
        await pilot.press("s")
        assert "span of the chart" not in screen_text(pilot)
        await pilot.press("l")
        await until(pilot, lambda: "latency 24 h" in screen_text(pilot))
        assert not monitor.asked_for(ReadLatency), "the chart shows the live probes at first"
        for words in ("24 h", "7 d", "30 d"):
            await pilot.press("s")
            await until(pilot, partial(shows, pilot, f"95 of 100, within; {words}"))
            await until(pilot, partial(shows, pilot, f"latency {words}"))
        await pilot.press("s")
        await until(pilot, lambda: "95 of 100" not in screen_text(pilot))
        await until(pilot, lambda: "latency 24 h" in screen_text(pilot))
    spans = [DAY, 7 * DAY, 30 * DAY]
    assert monitor.asked_for(ReadLatency) == [ReadLatency("orders-prod", span, 120) for span in spans]
    assert monitor.asked_for(ReadPercentiles) == [
        ReadPercentiles("orders-prod", span) for span in (DAY, *spans, DAY)
    ]


async def test_all_servers_together_have_no_span(app: CanaryApp, monitor: FakeMonitor, opened: Open) -> None:
    async with log_of(app, opened) as (pilot, _):
        await pilot.press("l", "s")
        await until(pilot, lambda: "total, ms" in screen_text(pilot))
        assert "span of the chart" not in screen_text(pilot)
    assert not monitor.asked_for(ReadLatency)


def _yesterday(count: int) -> list[LogLine]:
    """Return lines of the day before, as the history has them: their ``seq`` is not the live log's."""
    begin = samples.NOW - 86_400
    results = [samples.passed("orders-prod", at=begin + step, ms=100.0 + step) for step in range(count)]
    return [
        LogLine(seq=round(one.started_at * 1_000_000), at=one.started_at, server=one.server, result=one)
        for one in results
    ]


async def test_looking_back_goes_on_from_disk_and_moves_nothing(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.past = _yesterday(250)
    async with log_of(app, opened) as (pilot, lines):
        live = screen_text(pilot)
        await pilot.press("g")
        await until(pilot, lambda: lines.count == 260)
        await pilot.pause()
        assert (lines.cursor, lines.scroll_offset.y) == (200, 200)
        assert "349 ms" not in screen_text(pilot)
        await pilot.press("k")
        await until(pilot, lambda: "349 ms" in screen_text(pilot))
        await pilot.press("g")
        await until(pilot, lambda: lines.count == 311)
        await pilot.press("g")
        await until(pilot, lambda: "the history begins here, 2026-09-20" in screen_text(pilot))
        assert "310 lines" in screen_text(pilot)
        await pilot.press("g", "k", "pageup", "f")
        await until(pilot, lambda: "following" in screen_text(pilot))
        assert live.split()[-1] == screen_text(pilot).split()[-1]
    assert monitor.asked_for(ReadLog) == [
        ReadLog(LogQuery(before=before, limit=PAGE))
        for before in (samples.NOW - 60, samples.NOW - 86_400 + 50)
    ]


async def test_the_filter_is_asked_of_the_history_too(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.past = _yesterday(3)
    async with log_of(app, opened, "enter") as (pilot, lines):
        await pilot.press("g")
        await until(pilot, lambda: lines.count == 24)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: lines.count == 0)
        await pilot.press("g")
        await until(pilot, lambda: "nothing older passes the filter" in screen_text(pilot))
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: lines.count == 20)
    assert monitor.asked_for(ReadLog) == [
        ReadLog(LogQuery(server="orders-prod", failures=failures, before=samples.NOW - 60, limit=PAGE))
        for failures in (False, True)
    ]


async def test_a_history_that_cannot_be_read_is_said_and_the_log_goes_on(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.errors[ReadLog] = OSError(5, "disk image is malformed", "history.db")
    async with log_of(app, opened) as (pilot, lines):
        await pilot.press("g")
        await until(pilot, lambda: "history.db: disk image is malformed" in screen_text(pilot))
        del monitor.errors[ReadLog]
        await pilot.press("g")
        await until(pilot, lambda: lines.count == 61)


async def test_beside_the_chart_stand_uptime_and_percentiles_of_the_server(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.up = {DAY: {"orders-prod": Uptime(up=9998, down=2)}, 7 * DAY: {"orders-prod": Uptime(up=5)}}
    monitor.latencies = Percentiles(count=8640, p50=3.2, p90=5.0, p95=8.1, p99=21.0, highest=412.0)
    async with log_of(app, opened, "enter") as (pilot, _):
        await pilot.press("l")
        await until(pilot, lambda: "uptime  24 h 99.98 %  7 d 100.00 %  30 d unknown" in screen_text(pilot))
        assert "p50 3.2 ms  p95 8.1 ms  p99 21 ms  of 8,640 probes" in screen_text(pilot)
        await pilot.press("a")
        await until(pilot, lambda: "p95" not in screen_text(pilot))
    assert monitor.asked_for(ReadPercentiles) == [ReadPercentiles("orders-prod", DAY)]


async def test_beside_the_chart_a_history_that_cannot_be_read_is_said(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.errors[ReadPercentiles] = OSError(5, "disk image is malformed", "history.db")
    async with log_of(app, opened, "enter") as (pilot, _):
        await pilot.press("l")
        await until(pilot, lambda: "cannot be read: disk image is malformed" in screen_text(pilot))
