"""What the screens look like, at the two sizes that matter. Update with ``pytest --snapshot-update``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot

from canary_tui.monitor.uptime import Uptime
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.presenters.long_run import DAY
from tests.screens import samples
from tests.screens.conftest import screen_text, until
from tests.screens.fake_monitor import FakeMonitor

SIZES = [(80, 24), (120, 40)]
Before = Callable[[Pilot[None]], Awaitable[None]]
Compare = Callable[..., bool]


def pressing(*keys: str, shows: str) -> Before:
    """Press keys once the list is there, and wait until the screen shows some words."""

    async def press(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "orders-prod" in screen_text(pilot))
        await pilot.press(*keys)
        await until(pilot, lambda: shows in screen_text(pilot))
        await pilot.pause()

    return press


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
def test_server_list(
    app: CanaryApp, monitor: FakeMonitor, snap_compare: Compare, size: tuple[int, int]
) -> None:
    monitor.up[DAY] = {"orders-prod": Uptime(up=86_400), "legacy": Uptime(up=7120, down=2880)}
    monitor.up[7 * DAY] = {"orders-prod": Uptime(up=9998, down=2), "legacy": Uptime(up=9000, down=1000)}

    async def before(pilot: Pilot[None]) -> None:
        await pressing("j", "j", "j", shows="p shows the key")(pilot)
        await until(pilot, lambda: len(app.uptimes.known) == 3 and not app.uptimes.changed)
        await pilot.pause()

    assert snap_compare(app, run_before=before, terminal_size=size)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
def test_key_view(app: CanaryApp, snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(app, run_before=pressing("p", shows="1. Make the folder"), terminal_size=size)


def test_log_with_stages(app: CanaryApp, monitor: FakeMonitor, snap_compare: Compare) -> None:
    for step in range(30):
        name = ("orders-prod", "legacy")[step % 2]
        at = samples.NOW - 30 + step
        monitor.log(samples.refused(name, at=at) if step % 2 else samples.passed(name, at=at))
    before = pressing("L", "enter", shows="✕ SSH login")
    assert snap_compare(app, run_before=before, terminal_size=(120, 40))


def test_changed_host_key(app: CanaryApp, monitor: FakeMonitor, snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await pressing("t", shows="Name look-up")(pilot)
        monitor.tests[-1].end(samples.refused(offer=samples.offer(changed=True)))
        await until(pilot, lambda: "CHANGED" in screen_text(pilot) and pilot.app.focused is not None)
        for field in pilot.app.screen.query("Input"):
            field.set_class(False, "-blink")
            setattr(field, "cursor_blink", False)  # noqa: B010 - a picture must not depend on the moment
        await pilot.pause()

    assert snap_compare(app, run_before=before, terminal_size=(80, 24))
