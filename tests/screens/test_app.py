"""The application: tunnels as workers, quitting, the palette, themes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from textual.css.query import NoMatches
from textual.widgets import OptionList

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.requests import Close, Hold
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.connection_test import ConnectionTest
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor

ENABLED = {row.server.name for row in samples.fleet() if row.server.enabled}


async def test_each_enabled_server_has_one_worker_of_its_own(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await until(pilot, lambda: set(monitor.holding) == ENABLED)
        groups = {worker.group for worker in app.workers if worker.group.startswith("tunnel:")}
        assert groups == {f"tunnel:{name}" for name in ENABLED}
        await until(pilot, lambda: len(monitor.asked_for(Hold)) == len(ENABLED))


async def test_a_server_switched_off_is_closed(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await until(pilot, lambda: "billing" in monitor.holding)
        rows = [row for row in samples.fleet() if row.server.name != "billing"]
        monitor.show(*rows)
        await until(pilot, lambda: Close("billing") in monitor.asked)
        assert "billing" not in monitor.holding


async def test_a_server_that_comes_later_is_held(monitor: FakeMonitor, opened: Open) -> None:
    monitor.show()
    async with opened() as pilot:
        monitor.show(*samples.fleet()[:1])
        await until(pilot, lambda: set(monitor.holding) == {"orders-prod"})


async def test_a_hold_that_fails_is_said_once_and_not_repeated_with_the_same_settings(
    monitor: FakeMonitor, opened: Open
) -> None:
    monitor.show(*samples.fleet()[:1])
    monitor.errors[Hold] = Failed(Cause.KEY_MISSING, detail="the key is gone")
    async with opened() as pilot:
        await until(pilot, lambda: "the key is gone" in screen_text(pilot))
        del monitor.errors[Hold]
        changed = msgspec.structs.replace(samples.server(), tags=("eu",))
        monitor.show(msgspec.structs.replace(samples.fleet()[0], server=changed))
        await until(pilot, lambda: "orders-prod" in monitor.holding)
    assert len(monitor.asked_for(Hold)) == 2


async def test_quitting_asks_while_clients_are_connected(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.connect(2)
    async with opened() as pilot:
        await pilot.press("q")
        await until(pilot, lambda: "2 client connections" in screen_text(pilot))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is app.home)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: "2 client connections" in screen_text(pilot))
        await pilot.press("y")
        await until(pilot, lambda: not app.is_running)


async def test_quitting_without_clients_asks_nothing(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.connect(0)
    async with opened() as pilot:
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)


async def test_the_palette_finds_a_server_by_its_name(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("ctrl+p", *"billing: test")
        await until(pilot, lambda: "billing: test" in screen_text(pilot).replace("billing: test", "", 1))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConnectionTest))


async def test_the_palette_has_the_actions_of_the_screen(opened: Open) -> None:
    async with opened((120, 40)) as pilot:
        await pilot.press("ctrl+p", *"public key")
        await until(pilot, lambda: "Public key" in screen_text(pilot))


async def test_the_theme_is_remembered(monitor: FakeMonitor, tmp_path: Path) -> None:
    state = tmp_path / "state"
    app = CanaryApp(monitor, state)
    assert app.theme == "canary-dark"
    async with app.run_test() as pilot:
        app.theme = "canary-light"
        await until(pilot, (state / "ui.json").exists)
    assert json.loads((state / "ui.json").read_text()) == {"theme": "canary-light"}
    assert CanaryApp(monitor, state).theme == "canary-light"


async def test_a_broken_memory_is_no_reason_to_fail(monitor: FakeMonitor, tmp_path: Path) -> None:
    (tmp_path / "ui.json").write_bytes(b"\xff{")
    assert CanaryApp(monitor, tmp_path).theme == "canary-dark"


async def test_shell_without_the_client_names_what_to_install(monitor: FakeMonitor, opened: Open) -> None:
    monitor.client = (["no-such-client"], {})
    async with opened() as pilot:
        await pilot.press("s")
        await until(pilot, lambda: "no-such-client is not installed" in screen_text(pilot))


async def test_shell_where_the_terminal_cannot_be_handed_over_says_so(
    monitor: FakeMonitor, opened: Open
) -> None:
    monitor.client = (["true"], {})
    async with opened() as pilot:
        await pilot.press("s")
        await until(pilot, lambda: "cannot be handed" in screen_text(pilot))


async def test_a_look_at_widgets_that_are_not_there_is_an_error_and_no_silence(
    app: CanaryApp, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened():
        monkeypatch.setattr(app.home, "tick", lambda: app.home.query_one("#no-such-widget"))
        with pytest.raises(NoMatches):
            app._tick()
        monkeypatch.undo()


async def test_facts_that_come_while_the_application_ends_hurt_nobody(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened():
        pass
    monitor.show()
    app._tick()
    assert app.facts.rows == ()


@pytest.mark.parametrize("width", [1, 5, 8])
async def test_the_palette_opens_and_finds_at_any_width(app: CanaryApp, opened: Open, width: int) -> None:
    async with opened((width, 24)) as pilot:
        await pilot.press("ctrl+p", *"log")
        await until(pilot, lambda: app.screen.query(OptionList).first().option_count > 1)
        await pilot.resize_terminal(1, 1)
        await pilot.pause()
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.home)
