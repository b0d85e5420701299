"""Keys typed faster than the screen: each does what it would have done typed slowly."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.command import CommandPalette
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import Input

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Server
from canary_tui.tui import key_gate
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.key_gate import KeyGate
from canary_tui.tui.screens.connection_test import ConnectionTest
from canary_tui.tui.screens.dialogs import AskPassword, AskText, Confirm, Decision
from canary_tui.tui.screens.help import Reading
from canary_tui.tui.screens.key_view import KeyView
from canary_tui.tui.screens.probe_log import ProbeLog
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor


def key(name: str) -> events.Key:
    """Return what the terminal's driver makes of a key."""
    if len(name) > 1:
        return events.Key(name, None)
    return events.Key(name if name.isalnum() else _character_to_key(name), name)


async def typed(pilot: Pilot[Any], *keys: str, gap: float | None = None) -> None:
    """Type keys, all at once or ``gap`` seconds apart, and wait until they have been carried out."""
    driver = pilot.app._driver
    assert driver is not None
    for name in keys:
        event = key(name)
        event.set_sender(pilot.app)
        driver.send_message(event)
        if gap is not None:
            await asyncio.sleep(gap)
    gate = getattr(pilot.app, "keys")  # noqa: B009 - of whichever application
    await asyncio.sleep(0.01)
    await until(pilot, lambda: gate.idle or pilot.app._exit)


# What is known of Textual's insides


async def test_what_the_gate_looks_at_is_there(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        queue = key_gate._queue(app)
        await until(pilot, lambda: queue.empty() and queue.ready_event._waiters)
        assert app._exit is False
        assert app._batch_count == 0
        assert app.screen in app._registry
        assert app.screen._task is not None
        assert not any(getattr(app.screen, due) for due in key_gate.LAYOUT_DUE)
        app.screen.refresh(layout=True)
        await until(pilot, lambda: True)
        await until(pilot, lambda: not app.screen._layout_required)
        assert callable(app.screen._on_timer_update)
        assert isinstance(CommandPalette._GATHER_COMMANDS_GROUP, str)
        assert app.keys.idle


async def test_a_key_waits_for_a_message_that_textual_has_taken_out_of_the_queue_already(
    app: CanaryApp, opened: Open
) -> None:
    """Before it handles a key it takes out the message behind it, and the queue is empty then."""
    async with opened() as pilot:
        await until(pilot, lambda: app.keys.idle)
        assert app.keys._at_rest(asked_by_app=True)
        carried_out: list[bool] = []
        app.call_later(carried_out.append, True)
        app._peek_message()  # as Textual does it
        assert key_gate._queue(app).empty()
        assert not app.keys._at_rest(asked_by_app=True)
        app.call_later(carried_out.append, True)  # wakes it up
        await until(pilot, lambda: len(carried_out) == 2 and app.keys.idle)


async def test_a_widget_at_work_is_not_at_rest() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Input):
        async def on_key(self) -> None:
            begun.set()
            await go_on.wait()

    class Plain(App[None]):
        def compose(self) -> ComposeResult:
            yield Slow()

    app = Plain()
    gate = KeyGate(app)
    async with app.run_test() as pilot:
        await until(pilot, lambda: gate.idle)
        app.post_message(key("x"))
        await begun.wait()
        assert not gate._at_rest(asked_by_app=False)
        go_on.set()
        await until(pilot, lambda: gate.idle)


class Gated(App[None]):
    """Three fields; a widget of them may be slow."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = KeyGate(self)

    async def on_event(self, event: events.Event) -> None:
        if self.keys.passes(event):
            await super().on_event(event)

    def compose(self) -> ComposeResult:
        for name in ("one", "two", "three"):
            yield Input(id=name, select_on_focus=False)


async def test_what_is_typed_stands_in_its_own_field() -> None:
    app = Gated()
    async with app.run_test() as pilot:
        for _ in range(20):
            for field in app.query(Input):
                field.value = ""
            app.screen.set_focus(app.query_one("#one"))
            await typed(pilot, *"alpha", "tab", *"beta", "tab", *"gammo", "backspace", "a", "shift+tab", *"!")
            assert [field.value for field in app.query(Input)] == ["alpha", "beta!", "gamma"]


async def test_a_paste_goes_where_the_keys_before_it_led() -> None:
    app = Gated()
    async with app.run_test() as pilot:
        driver = app._driver
        assert driver is not None
        for event in (
            key("a"),
            key("tab"),
            events.Paste("pasted"),
            key("b"),
            key("tab"),
            events.Paste("more"),
        ):
            driver.send_message(event)
        await typed(pilot, "z")
        assert [field.value for field in app.query(Input)] == ["a", "pastedb", "morez"]


async def test_a_widget_that_hangs_holds_the_keyboard_up_for_two_seconds_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_gate, "LOOKS", 300)
    app, never = Gated(), asyncio.Event()

    async def hang(_event: events.Event) -> None:
        await never.wait()

    async with app.run_test() as pilot:
        app.query_one("#three", Input)._on_paste = hang  # type: ignore[assignment]
        app.screen.set_focus(app.query_one("#three"))
        app.post_message(events.Paste("hangs"))
        app.post_message(key("shift+tab"))
        for name in "quick":
            app.post_message(key(name))
        await until(pilot, lambda: app.query_one("#two", Input).value == "quick")
        never.set()


# The list


async def test_what_is_typed_after_the_slash_is_the_filter(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await typed(pilot, *"/Dsqdelivery")
        assert app.home.query_one("#filter", Input).value == "Dsqdelivery"
        assert app.screen is app.home
    assert not monitor.asked_for("remove")


async def test_the_password_that_is_typed_ahead_is_whole(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    first, *others = samples.fleet()
    monitor.show(msgspec.structs.replace(first, password_wanted=True), *others)
    async with opened() as pilot:
        await typed(pilot, *"Pdaisy", "enter", "j", "p")
        assert isinstance(app.screen, KeyView)
        assert app.screen.path[0] == "billing"
    ((name, secret),) = monitor.asked_for("give_password")
    assert name == "orders-prod"
    assert getattr(secret, "reveal")() == "daisy"  # noqa: B009 - recorded as an object


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
            assert not monitor.asked_for("remove"), name
        await typed(pilot, "home", "D", "tab", "enter", "D", "right", "enter", "u")
    assert monitor.asked_for("remove") == [("orders-prod",), ("billing",)]
    assert [server.name for (server,) in monitor.asked_for("restore")] == ["billing"]  # type: ignore[attr-defined]


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
    async with opened() as pilot:
        await typed(pilot, *"qeoDq")
    assert app.return_code == 0
    assert not monitor.asked_for("set_enabled")
    assert app._exception is None


async def test_every_way_to_quit_asks_one_question(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.connected = 2
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
    assert monitor.asked_for("set_enabled") == [("orders-prod", False), ("billing", False)]


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
    ((server, replaced, _),) = monitor.asked_for("save")
    assert isinstance(server, Server)
    assert (server.name, server.database.host, server.database.port) == ("delivery", "db.internal", 6432)
    assert (server.database.name, server.database.user) == ("shop", "reader")
    assert server.ssh is not None
    assert (server.ssh.host, server.ssh.port, server.ssh.user) == ("bastion.internal", 22, "me")
    assert replaced is None
    assert monitor.asked_for("set_enabled") == [("delivery", False)]


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
    assert monitor.asked_for("save") == []


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
    assert monitor.asked_for("trust") == [("orders-prod", samples.offer(), True)]


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
