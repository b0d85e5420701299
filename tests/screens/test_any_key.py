"""Any key, on any screen, at any size: nothing of it may end the application."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest
from textual.pilot import Pilot

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.dialogs import Confirm
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor

NAMED = [
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "tab", "shift+tab"),
    *("enter", "escape", "escape", "space", "backspace", "delete", "f1", "f5", "ctrl+d", "ctrl+u", "ctrl+s"),
    *("slash", "question_mark", "exclamation_mark", "ctrl+p", "insert", "ctrl+left_square_bracket"),
]
KEYS = [*sorted(set(string.ascii_letters + string.digits) - {"q"}), *NAMED]
SIZES = [(80, 24), (120, 40), (40, 10), (20, 5)]
PLACES = {
    "list": (),
    "form": ("e",),
    "key": ("p",),
    "audit": ("p", "u"),
    "test": ("t",),
    "log": ("L",),
    "chart": ("enter", "l"),
    "delete": ("D",),
    "incidents": ("i",),
    "host key": ("N", "h"),
}


def _fill(monitor: FakeMonitor) -> None:
    for step in range(12):
        at = samples.NOW - 30 + step
        monitor.log(samples.refused("legacy", at=at) if step % 2 else samples.passed(at=at))
    monitor.broken = [samples.incident(), samples.incident(ended=60.0)]


async def _press(pilot: Pilot[None], monitor: FakeMonitor, keys: list[str], order: random.Random) -> None:
    for number, key in enumerate(keys):
        await pilot.press(key)
        if number % 7 == 0:
            await pilot.resize_terminal(*order.choice(SIZES))
        if number % 11 == 0:
            monitor.show(*order.choice([samples.fleet(), samples.fleet()[:1], ()]))
        for test in monitor.tests:
            if not test.future.done():
                test.end(
                    order.choice(
                        [samples.refused(), samples.passed(), samples.refused(offer=samples.offer())]
                    )
                )
        for audit in monitor.audits:
            if not audit.done():
                audit.set_exception(Failed(Cause.KEY_NOT_ACCEPTED, detail="no"))


@pytest.mark.parametrize("place", PLACES)
async def test_no_key_ends_the_application(
    place: str,
    app: CanaryApp,
    monitor: FakeMonitor,
    opened: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app, "deliver_screenshot", lambda *_: None)
    order = random.Random(place)  # noqa: S311 - the same keys in every run
    _fill(monitor)
    async with opened() as pilot:
        await pilot.press(*PLACES[place])
        await _press(pilot, monitor, order.sample(KEYS, 40), order)
        await pilot.resize_terminal(80, 24)
        monitor.show(*samples.fleet())
        for _ in range(20):
            # A form with something typed in asks before it goes.
            await pilot.press("y" if isinstance(app.screen, Confirm) else "escape")
        assert app.screen is app.home
        await until(pilot, lambda: "orders-prod" in screen_text(pilot))
