"""The list of what broke."""

from __future__ import annotations

import msgspec

from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.incidents import Incidents
from canary_tui.tui.screens.probe_log import ProbeLog
from canary_tui.tui.widgets.line_list import LineList
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor


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
        monitor.errors["incidents"] = OSError(5, "broken", "history.db")
        await until(pilot, lambda: "history.db: broken" in screen_text(pilot))


async def test_the_palette_has_the_incidents(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("ctrl+p", *"incidents")
        await until(pilot, lambda: "key i" in screen_text(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Incidents))
