"""The list of what broke."""

from __future__ import annotations

import msgspec
from textual.pilot import Pilot

from canary_tui.monitor.board import LogLine
from canary_tui.monitor.requests import ReadIncidents
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.incidents import Incidents
from canary_tui.tui.screens.probe_log import ProbeLog
from canary_tui.tui.widgets.line_list import LineList
from canary_tui.tui.widgets.log_list import LogList
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor

YESTERDAY = samples.NOW - 86_400


def kept(*names: str, begin: float = YESTERDAY - 300, count: int = 600) -> list[LogLine]:
    """Return the history's lines, one a second; ``legacy`` failed for a minute from ``YESTERDAY`` on."""
    lines = []
    for step in range(count):
        at, name = begin + step, names[step % len(names)]
        down = name == "legacy" and YESTERDAY <= at < YESTERDAY + 60
        result = samples.refused(name, at=at) if down else samples.passed(name, at=at)
        lines.append(LogLine(seq=round(at * 1_000_000), at=at, server=name, result=result))
    return lines


async def in_the_log_of_the_incident(pilot: Pilot[None]) -> LogList:
    """Open the first incident's log, and wait for the history."""
    await pilot.press("i")
    await until(pilot, lambda: "1 incident" in screen_text(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, ProbeLog))
    lines = pilot.app.screen.query_one(LogList)
    await until(pilot, lambda: not lines.follows)
    await pilot.pause()
    return lines


def under_cursor(pilot: Pilot[None]) -> str:
    """Return the line that the cursor is on, as it stands on the screen."""
    (text,) = [text for text in screen_text(pilot).splitlines() if "┃" in text]
    return " ".join(text.split())


async def test_each_incident_says_what_whom_how_long_and_what_ended_it(
    monitor: FakeMonitor, opened: Open
) -> None:
    monitor.broken = [samples.incident("legacy", "billing"), samples.incident(ended=61.0)]
    async with opened((140, 24)) as pilot:
        await pilot.press("i")
        await until(pilot, lambda: "2 incidents  ✕ 1 open" in screen_text(pilot))
        lines = [text for text in screen_text(pilot).splitlines() if "key not accepted" in text]
        assert "✕ 2026-" in lines[0]
        assert lines[0].index("2 m 5 s") < lines[0].index("SSH login · key not accepted")
        assert lines[0].rstrip().endswith("legacy, billing  open")
        assert "✓ 2026-" in lines[1]
        assert lines[1].index("1 m 1 s") < lines[1].index("legacy answered again")


async def test_the_log_of_the_server_is_one_key_away(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.broken = [samples.incident("legacy")]
    async with opened() as pilot:
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, ProbeLog) and app.screen.ready)
        await pilot.press("i")
        await until(pilot, lambda: "1 incident" in screen_text(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ProbeLog) and app.screen.path == ("legacy", "log"))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Incidents))


async def test_a_newer_incident_leaves_the_cursor_where_it_is(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    old = samples.incident(ended=61.0)
    monitor.broken = [old]
    async with opened() as pilot:
        await pilot.press("i")
        await until(pilot, lambda: "1 incident" in screen_text(pilot))
        monitor.broken = [msgspec.structs.replace(samples.incident(), id=old.id + 9), old]
        await until(pilot, lambda: "2 incidents" in screen_text(pilot))
        assert app.screen.query_one(LineList).cursor == 1


async def test_a_fleet_without_incidents_and_a_history_that_cannot_be_read_are_said(
    monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("i")
        await until(pilot, lambda: "No incident is known" in screen_text(pilot))
        monitor.errors[ReadIncidents] = OSError(5, "broken", "history.db")
        await until(pilot, lambda: "history.db: broken" in screen_text(pilot))


async def test_the_palette_has_the_incidents(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("ctrl+p", *"incidents")
        await until(pilot, lambda: "key i" in screen_text(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Incidents))


async def test_enter_shows_the_log_where_the_incident_began_and_f_follows_again(
    monitor: FakeMonitor, opened: Open
) -> None:
    monitor.past = kept("legacy")
    monitor.log(samples.passed("legacy", ms=7.7))
    monitor.broken = [samples.incident("legacy", began=YESTERDAY, ended=60.0)]
    async with opened() as pilot:
        await in_the_log_of_the_incident(pilot)
        assert under_cursor(pilot).startswith("┃ 09-20 14:13:20 legacy ✕")
        assert "09-20 14:13:19  legacy       ●" in screen_text(pilot), "what was before it is in view"
        monitor.log(samples.passed("legacy", at=samples.NOW + 1, ms=8.8))
        await until(pilot, lambda: monitor.facts.log_seq == pilot.app.screen._book.newest)  # type: ignore[attr-defined]
        assert under_cursor(pilot).startswith("┃ 09-20 14:13:20")
        await pilot.press("f")
        await until(pilot, lambda: "following" in screen_text(pilot))
        assert under_cursor(pilot).startswith("┃ 14:13:21 legacy ● 8.8 ms")


async def test_filtering_in_the_past_stays_at_its_moment(monitor: FakeMonitor, opened: Open) -> None:
    monitor.past = kept("legacy", "billing")
    monitor.broken = [samples.incident("legacy", "billing", began=YESTERDAY, ended=YESTERDAY + 60)]
    async with opened() as pilot:
        lines = await in_the_log_of_the_incident(pilot)
        before = under_cursor(pilot)
        await pilot.press("slash", *"legacy", "enter")
        await until(pilot, lambda: "with “legacy”" in screen_text(pilot) and not lines.follows)
        await until(pilot, lambda: under_cursor(pilot) == before)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "30 lines" in screen_text(pilot) and not lines.follows)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "30 lines" not in screen_text(pilot) and not lines.follows)
        await until(pilot, lambda: under_cursor(pilot) == before)


async def test_looking_on_from_the_incident_leads_through_the_history_to_now(
    monitor: FakeMonitor, opened: Open
) -> None:
    monitor.past = kept("legacy")
    monitor.log(samples.passed("legacy", ms=7.7))
    monitor.broken = [samples.incident("legacy", began=YESTERDAY, ended=60.0)]
    async with opened() as pilot:
        lines = await in_the_log_of_the_incident(pilot)
        assert lines.count == 400
        await pilot.press("G")
        await until(pilot, lambda: lines.count == 501)
        assert lines.live
        await until(pilot, lambda: "in the past" not in screen_text(pilot))
        await pilot.press("G")
        await until(pilot, lambda: "following" in screen_text(pilot))
        assert under_cursor(pilot).startswith("┃ 09-21 14:13:20 legacy ● 7.7 ms")
        await pilot.press("g")
        await until(pilot, lambda: lines.count == 602)
        await pilot.press("g")
        await until(pilot, lambda: "the history begins here, 2026-09-20 14:08" in screen_text(pilot))


async def test_an_incident_of_several_servers_shows_the_log_of_all_at_that_time(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.past = kept("billing", "legacy")
    monitor.broken = [samples.incident("legacy", "reports", began=YESTERDAY, ended=60.0)]
    async with opened() as pilot:
        await in_the_log_of_the_incident(pilot)
        assert isinstance(app.screen, ProbeLog)
        assert app.screen.path == ("log",)
        assert under_cursor(pilot).startswith("┃ 09-20 14:13:21 legacy ✕")
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "failures only" in screen_text(pilot))
        await until(pilot, lambda: under_cursor(pilot).startswith("┃ 09-20 14:13:21 legacy ✕"))
        assert "billing" not in screen_text(pilot)


async def test_an_incident_of_this_run_is_found_among_the_live_lines(
    monitor: FakeMonitor, opened: Open
) -> None:
    for step in range(30):
        at = samples.NOW - 30 + step
        monitor.log(samples.refused("legacy", at=at) if step >= 20 else samples.passed("legacy", at=at))
    monitor.past = list(monitor.lines)
    monitor.broken = [samples.incident("legacy", began=samples.NOW - 10)]
    async with opened() as pilot:
        lines = await in_the_log_of_the_incident(pilot)
        assert (lines.count, lines.cursor) == (31, 21), "no line is there twice"
        assert under_cursor(pilot).startswith("┃ 14:13:10 legacy ✕")


async def test_an_incident_whose_lines_are_no_longer_kept_says_so(monitor: FakeMonitor, opened: Open) -> None:
    monitor.past = kept("legacy")
    monitor.broken = [samples.incident("legacy", began=YESTERDAY - 9 * 86_400, ended=60.0)]
    async with opened((120, 24)) as pilot:
        await in_the_log_of_the_incident(pilot)
        said = "2026-09-11 14:13 is no longer kept; the history begins here, 2026-09-20 14:08"
        assert said in under_cursor(pilot)
        monitor.past = []
        await pilot.press("i", "enter")
        await until(pilot, lambda: "2026-09-11 14:13 is no longer kept" in under_cursor(pilot))
        assert "begins here" not in screen_text(pilot)
