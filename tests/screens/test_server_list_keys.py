"""What the keys of the server list do."""

from __future__ import annotations

import msgspec
import pytest
from textual.geometry import Region
from textual.widgets import Input

from canary_tui.monitor.requests import (
    GivePassword,
    ProbeNow,
    Remove,
    Restore,
    RetryNow,
    SetEnabled,
    StartClient,
    Trust,
)
from canary_tui.servers.model import Engine
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.presenters import urls
from canary_tui.tui.screens.key_view import KeyView
from canary_tui.tui.screens.probe_log import ProbeLog
from canary_tui.tui.screens.server_form import ServerForm
from canary_tui.tui.widgets.line_list import LineList
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor


async def test_filter_shows_matching_servers_and_escape_clears_it(opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("slash", *"bill")
        assert "reports" not in screen_text(pilot)
        await pilot.press("enter", "escape")
        assert "reports" in screen_text(pilot)


async def test_a_letter_typed_into_the_filter_is_no_command(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("slash", *"adptoq")
        assert app.screen is app.home
        assert app.home.query_one("#filter", Input).value == "adptoq"
        assert monitor.asked_for(SetEnabled) == []


async def test_n_goes_to_the_next_server_in_trouble_and_round(app: CanaryApp, opened: Open) -> None:
    visited = []
    async with opened() as pilot:
        for _ in range(4):
            await pilot.press("n")
            assert app.home.selected is not None
            visited.append(app.home.selected.server.name)
    assert visited == ["reports", "legacy", "new-jump", "reports"]


async def test_keys_hand_intents_to_the_monitor(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("o", "r", "space")
        await until(pilot, lambda: monitor.asked_for(SetEnabled))
    assert monitor.asked_for(SetEnabled) == [SetEnabled("orders-prod", False)]
    assert monitor.asked_for(RetryNow) == [RetryNow("orders-prod")]
    assert monitor.asked_for(ProbeNow) == [ProbeNow("orders-prod")]


async def test_delete_asks_first_and_undo_brings_it_back(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("D")
        await until(pilot, lambda: "Delete orders-prod?" in screen_text(pilot))
        await pilot.press("y", "d", "D", "n", "j", "enter")
        assert monitor.asked_for(Remove) == []
        await pilot.press("D")
        await until(pilot, lambda: "Delete orders-prod?" in screen_text(pilot))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "● orders-prod" not in screen_text(pilot))
        await pilot.press("u")
        await until(pilot, lambda: monitor.asked_for(Restore) == [Restore(samples.server())])


async def test_what_the_monitor_refuses_is_said(monitor: FakeMonitor, opened: Open) -> None:
    monitor.errors[SetEnabled] = PermissionError(13, "Permission denied", "servers.yaml")
    async with opened() as pilot:
        await pilot.press("o")
        await until(pilot, lambda: "servers.yaml: Permission denied" in screen_text(pilot))


async def test_copied_url_has_no_password_and_stands_on_the_screen(app: CanaryApp, opened: Open) -> None:
    async with opened((120, 40)) as pilot:
        await pilot.press("y")
        assert app.clipboard == "postgresql://canary_reader@127.0.0.1:15432/orders"
        await until(pilot, lambda: app.clipboard in screen_text(pilot))


async def test_no_url_is_copied_of_a_port_that_is_not_ours(
    monitor: FakeMonitor, app: CanaryApp, opened: Open
) -> None:
    row = msgspec.structs.replace(samples.fleet()[0], local="")
    monitor.show(row)
    async with opened() as pilot:
        await pilot.press("y")
        await until(pilot, lambda: urls.NOT_BOUND in {toast.message for toast in app._notifications})
        assert app.clipboard == ""


async def test_where_there_is_no_client_to_start_it_is_said_what_to_do(
    monitor: FakeMonitor, opened: Open
) -> None:
    server = samples.server("cache", engine=Engine.TCP).fitting()
    monitor.show(msgspec.structs.replace(samples.fleet()[0], server=server))
    async with opened((120, 40)) as pilot:
        await pilot.press("s")
        await until(pilot, lambda: "no client to start" in " ".join(screen_text(pilot).split()))
        assert "tcp://127.0.0.1:15432" in screen_text(pilot)
    assert monitor.asked_for(StartClient) == []


async def test_places_open_and_escape_leads_back(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        for keypress, kind in (("p", KeyView), ("a", ServerForm), ("e", ServerForm), ("enter", ProbeLog)):
            await pilot.press(keypress)
            await until(pilot, lambda kind=kind: isinstance(app.screen, kind) and app.screen.ready)  # type: ignore[misc]
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.home)


async def test_help_comes_from_the_same_descriptions_as_the_footer(opened: Open) -> None:
    async with opened((120, 40)) as pilot:
        assert "copy URL" in screen_text(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: "next server in trouble" in screen_text(pilot))
        text = screen_text(pilot)
        assert "copy URL" in text
        await pilot.press("G")
        await until(pilot, lambda: "Signs" in screen_text(pilot))


async def test_password_is_asked_masked_and_kept_out_of_the_screen(
    monitor: FakeMonitor, opened: Open
) -> None:
    first, *others = samples.fleet()
    monitor.show(msgspec.structs.replace(first, password_wanted=True), *others)
    async with opened() as pilot:
        assert "password wanted" in screen_text(pilot)
        await pilot.press("P")
        await until(pilot, lambda: "Password of canary_reader" in screen_text(pilot))
        await pilot.press(*"hunter2")
        assert "hunter2" not in screen_text(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: monitor.asked_for(GivePassword))
    (given,) = monitor.asked_for(GivePassword)
    assert given.server == "orders-prod"
    assert given.password.reveal() == "hunter2"


async def test_host_key_that_waits_is_shown_and_trusted(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("j", "j", "j", "j", "h")
        await until(pilot, lambda: samples.offer().fingerprint in screen_text(pilot))
        assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in screen_text(pilot)
        await pilot.press("y")
        await until(pilot, lambda: monitor.asked_for(Trust) == [Trust("new-jump", samples.offer(), False)])


async def test_only_the_changed_cells_are_painted_again(
    app: CanaryApp, monitor: FakeMonitor, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened((120, 40)) as pilot:
        lines = app.home.query_one(LineList)
        painted: list[tuple[Region, ...]] = []
        refresh = lines.refresh

        def count(*regions: Region, **more: bool) -> LineList:
            painted.append(regions)
            return refresh(*regions, **more)

        monkeypatch.setattr(lines, "refresh", count)
        rows = list(samples.fleet())
        rows[1] = msgspec.structs.replace(rows[1], last=samples.passed("billing", ms=9.9))
        monitor.show(*rows)
        await until(pilot, lambda: "9.9 ms" in screen_text(pilot))
        ((region,),) = painted
        assert (region.y, region.height) == (1, 1)
        assert region.width <= len("9.9")
