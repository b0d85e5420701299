"""The application: tunnels as workers, quitting, the palette, themes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from textual.css.query import NoMatches
from textual.widgets import OptionList

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.requests import Close, Hold
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.connection_test import ConnectionTest
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor

OPEN = {row.server.name for row in samples.fleet() if row.tunnel is not TunnelState.CLOSED}


def workers(app: CanaryApp) -> set[str]:
    """The groups of the tunnels' workers that are there."""
    return {worker.group for worker in app.workers if worker.group.startswith("tunnel:")}


def shown(monitor: FakeMonitor, name: str, tunnel: TunnelState) -> None:
    """Have one tunnel be in a state."""
    change = msgspec.structs.replace
    rows = monitor.facts.rows
    monitor.show(*(change(row, tunnel=tunnel) if row.server.name == name else row for row in rows))


async def test_each_open_tunnel_has_one_worker_of_its_own(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await until(pilot, lambda: set(monitor.holding) == OPEN)
        assert workers(app) == {f"tunnel:{name}" for name in OPEN}
        for _ in range(3):
            monitor.show(*monitor.facts.rows)
            await until(pilot, lambda: app.facts.version == monitor.facts.version)
        assert len(monitor.asked_for(Hold)) == len(OPEN)


async def test_a_worker_lives_as_long_as_its_tunnel(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.show(*samples.fleet()[:1])
    async with opened() as pilot:
        await until(pilot, lambda: workers(app) == {"tunnel:orders-prod"})
        shown(monitor, "orders-prod", TunnelState.CLOSED)
        await until(pilot, lambda: app.facts.version == monitor.facts.version)
        assert workers(app) == {"tunnel:orders-prod"}, "another may be opened before this has been answered"
        monitor.holding["orders-prod"].set_result(None)
        await until(pilot, lambda: not workers(app))
        monitor.show(*monitor.facts.rows)
        await until(pilot, lambda: app.facts.version == monitor.facts.version)
        assert not workers(app)
        shown(monitor, "orders-prod", TunnelState.OPENING)
        await until(pilot, lambda: workers(app) == {"tunnel:orders-prod"})
    assert monitor.asked_for(Hold) == [Hold("orders-prod", reopen=False)] * 2


async def test_a_worker_that_is_cancelled_closes_its_tunnel(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await until(pilot, lambda: set(monitor.holding) == OPEN)
        app.workers.cancel_group(app, "tunnel:billing")
        await until(pilot, monitor.holding["billing"].cancelled)
        monitor.show(*monitor.facts.rows)
        await until(pilot, lambda: app.facts.version == monitor.facts.version)
        assert len(monitor.asked_for(Hold)) == len(OPEN), "it is not opened again by the application"
        assert not any(held.cancelled() for name, held in monitor.holding.items() if name != "billing")


async def test_an_application_that_ends_closes_no_tunnel(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.connect(0)
    async with opened() as pilot:
        await until(pilot, lambda: set(monitor.holding) == OPEN)
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
    assert not any(held.done() for held in monitor.holding.values())
    assert Close not in map(type, monitor.asked)


async def test_a_tunnel_that_is_opened_later_has_a_worker(monitor: FakeMonitor, opened: Open) -> None:
    monitor.show()
    async with opened() as pilot:
        monitor.show(*samples.fleet()[:1])
        await until(pilot, lambda: set(monitor.holding) == {"orders-prod"})


async def test_a_hold_that_fails_is_said_once_and_not_repeated_before_the_tunnel_was_closed(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.show(*samples.fleet()[:1])
    monitor.errors[Hold] = Failed(Cause.KEY_MISSING, detail="the key is gone")
    async with opened() as pilot:
        await until(pilot, lambda: "the key is gone" in screen_text(pilot))
        del monitor.errors[Hold]
        for state in (TunnelState.WAITING, TunnelState.CLOSED):
            shown(monitor, "orders-prod", state)
            await until(pilot, lambda: app.facts.version == monitor.facts.version)
            assert len(monitor.asked_for(Hold)) == 1
        shown(monitor, "orders-prod", TunnelState.OPENING)
        await until(pilot, lambda: "orders-prod" in monitor.holding)


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
