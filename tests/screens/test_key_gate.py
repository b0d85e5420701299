"""Keys typed faster than the screen: each does what it would have done typed slowly."""

from __future__ import annotations

import asyncio

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import Input

from canary_tui.tui import key_gate
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.key_gate import KeyGate
from tests.screens.conftest import Open, until
from tests.screens.keys_ahead import key, typed

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
