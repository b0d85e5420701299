"""Keys typed ahead of dialogs and pages: each does what it would have done typed slowly."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest
from textual.widgets import Input

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.requests import GivePassword, Remove, Restore, Save, SetEnabled, Trust
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.connection_test import ConnectionTest
from canary_tui.tui.screens.dialogs import AskPassword, AskText, Confirm, Decision
from canary_tui.tui.screens.help import Reading
from canary_tui.tui.screens.key_view import KeyView
from canary_tui.tui.screens.probe_log import ProbeLog
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor
from tests.screens.keys_ahead import key, typed


async def test_what_is_typed_after_the_slash_is_the_filter(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await typed(pilot, *"/Dsqdelivery")
        assert app.home.query_one("#filter", Input).value == "Dsqdelivery"
        assert app.screen is app.home
    assert not monitor.asked_for(Remove)


async def test_the_password_that_is_typed_ahead_is_whole(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    first, *others = samples.fleet()
    monitor.show(msgspec.structs.replace(first, password_wanted=True), *others)
    async with opened() as pilot:
        await typed(pilot, *"Pdaisy", "enter", "j", "p")
        assert isinstance(app.screen, KeyView)
        assert app.screen.path[0] == "billing"
    (given,) = monitor.asked_for(GivePassword)
    assert given.server == "orders-prod"
    assert given.password.reveal() == "daisy"


async def test_many_keys_open_one_dialog_that_stands_on_cancel(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await typed(pilot, *"DDDDyhnjkGuoP!dD", "space")
        assert [type(screen) for screen in app.screen_stack[2:]] == [Decision]
        await typed(pilot, "enter")
        assert app.screen is app.home
        # Each key of the list, and enter: none of them deletes.
        bound = set(app.home._bindings.key_to_bindings) - {"escape", "tab", "shift+tab"}
        for name in sorted(bound | {"down", "up", "home", "d", "Y"}):
            await typed(pilot, "D", name, "enter")
            await typed(pilot, "escape")
            assert not monitor.asked_for(Remove), name
        await typed(pilot, "home", "D", "tab", "enter", "D", "right", "enter", "u")
    assert monitor.asked_for(Remove) == [Remove("orders-prod"), Remove("billing")]
    assert [request.server.name for request in monitor.asked_for(Restore)] == ["billing"]


async def test_the_terminal_is_given_away_once(
    app: CanaryApp, monitor: FakeMonitor, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[object] = []
    over = asyncio.Event()

    async def client(app: CanaryApp, argv: object, _extra: object) -> str:
        runs.append(argv)
        with app.keys.terminal_away():
            await over.wait()
        return ""

    monkeypatch.setattr("canary_tui.tui.app.run_client", client)
    async with opened() as pilot:
        driver = app._driver
        assert driver is not None
        for name in "ssDpssq":
            driver.send_message(key(name))
        await until(pilot, lambda: runs)
        await pilot.pause()
        over.set()
        await until(pilot, lambda: app.keys.idle)
        assert runs == [["psql"]]
        assert app.screen is app.home
        await typed(pilot, "p")
        assert isinstance(app.screen, KeyView)


async def test_after_quit_nothing_more_is_carried_out(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.connect(0)
    async with opened() as pilot:
        await typed(pilot, *"qeoDq")
    assert app.return_code == 0
    assert not monitor.asked_for(SetEnabled)
    assert app._exception is None


async def test_every_way_to_quit_asks_one_question(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.connect(2)
    async with opened() as pilot:
        await typed(pilot, "q", "ctrl+q", "q", "ctrl+q", "ctrl+p")
        assert [type(screen) for screen in app.screen_stack[2:]] == [Confirm]
        await typed(pilot, "n")
        assert app.screen is app.home
        await typed(pilot, *"qyea")
    assert app.return_code == 0


# Dialogs and pages, each typed at in one go


async def test_switching_is_carried_out_in_turn(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await typed(pilot, *"ojo")
    assert monitor.asked_for(SetEnabled) == [SetEnabled("orders-prod", False), SetEnabled("billing", False)]


async def test_a_form_takes_it_all_and_the_next_keys_are_the_next_screens(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        keys = ["a", *"delivery", "tab", "tab", *"db.internal", "tab", *["backspace"] * 4, *"6432"]
        # Password, TLS, tags and the switch stay as they are.
        keys += ["tab", *"shop", "tab", *"reader", *["tab"] * 5, *"bastion.internal", "tab", "tab", *"me"]
        await typed(pilot, *keys, "ctrl+s", "C", "escape", "o")
        assert app.screen is app.home
        assert app.clipboard == samples.key().script
    (save,) = monitor.asked_for(Save)
    server = save.server
    assert (server.name, server.database.host, server.database.port) == ("delivery", "db.internal", 6432)
    assert (server.database.name, server.database.user) == ("shop", "reader")
    assert server.ssh is not None
    assert (server.ssh.host, server.ssh.port, server.ssh.user) == ("bastion.internal", 22, "me")
    assert save.replaces is None
    assert monitor.asked_for(SetEnabled) == [SetEnabled("delivery", False)]


async def test_what_is_typed_for_a_dialog_reaches_it(
    app: CanaryApp, monitor: FakeMonitor, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Help, palette, file names, the find field, leaving a form: opened and typed into at once."""
    monkeypatch.chdir(tmp_path)
    for step in range(12):
        monitor.log(samples.passed(at=samples.NOW - 30 + step))
    async with opened() as pilot:
        await typed(pilot, "?", "j", "j", "q", "L", "/", *"orders", "enter", "x", *".csv")
        assert [type(screen) for screen in app.screen_stack[2:]] == [ProbeLog, AskText]
        assert app.screen.query_one(Input).value == "canary-probes.jsonl.csv"
        await typed(pilot, "escape", "escape", "escape")
        await typed(pilot, "ctrl+p", *"reports: log", "enter", "!")
        assert [type(screen) for screen in app.screen_stack[2:]] == [ProbeLog]
        assert "reports › log" in screen_text(pilot)
        await typed(pilot, "escape", "e", "x", "escape", *"ext", "enter", "y", "?", "x")
        assert [type(screen) for screen in app.screen_stack[2:]] == [Reading]
        await typed(pilot, "escape", "p", "w", *".txt", "ctrl+p", "enter", "escape", "j", "p")
        assert isinstance(app.screen, KeyView)
        assert app.screen.path[0] == "billing"
    assert os.listdir(tmp_path) == ["orders-prod.authorized_keys.txt"]  # noqa: PTH208 - not awaited
    assert monitor.asked_for(Save) == []


async def test_a_question_comes_by_itself_only_to_who_watches(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await typed(pilot, "t", "j")
        monitor.tests[-1].end(samples.refused(offer=samples.offer()))
        assert isinstance(app.screen, ConnectionTest)
        await until(pilot, lambda: isinstance(app.screen, ConnectionTest) and app.screen.result is not None)
        await typed(pilot, "y")
        assert isinstance(app.screen, ConnectionTest)
        await typed(pilot, *"hy")
        assert len(monitor.tests) == 2
    assert monitor.asked_for(Trust) == [Trust("orders-prod", samples.offer(), False)]


async def test_a_password_that_is_asked_for_takes_no_key_of_the_screen_below(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    why = samples.failure(Stage.SETTINGS, Cause.PASSWORD_MISSING)
    async with opened() as pilot:
        await typed(pilot, "t", "k")
        monitor.tests[-1].end(msgspec.structs.replace(samples.refused(), failure=why))
        await until(pilot, lambda: "P password" in screen_text(pilot))
        assert not isinstance(app.screen, AskPassword)
        await typed(pilot, "r", "r", "P", *"lost", "P")
        assert len(monitor.tests) == 3
