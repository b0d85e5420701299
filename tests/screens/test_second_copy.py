"""A copy that does not monitor: it says so, offers what only looks, and becomes a monitor by itself."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from textual.pilot import Pilot

from canary_tui.monitor.lock import Holder
from canary_tui.monitor.request import Read
from canary_tui.monitor.requests import ReadKey, ReadRotation, StartClient
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.presenters.second_copy import NEEDS_MONITOR
from canary_tui.tui.screens.help import Reading
from canary_tui.tui.screens.key_view import KeyView
from canary_tui.tui.screens.probe_log import ProbeLog
from canary_tui.tui.screens.server_form import ServerForm
from canary_tui.tui.widgets.line_list import LineList
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor
from tests.screens.test_any_key import KEYS, SIZES
from tests.screens.test_snapshots import Compare

HOLDER = Holder(1234, samples.NOW - 3 * 3600)
SINCE = "Process 1234 has been monitoring since 11:13"
ENABLED = {row.server.name for row in samples.fleet() if row.server.enabled}
READS = (Read, ReadKey, ReadRotation, StartClient)
ACTING = [*"aeduotrRPhuX", "space", "ctrl+s"]
"""Keys that act on one screen or another while this copy monitors."""
PLACES: dict[str, tuple[str, ...]] = {
    "list": (),
    "key": ("p",),
    "log": ("L",),
    "log of a server": ("enter",),
    "chart": ("enter", "l"),
    "incidents": ("i",),
    "help": ("question_mark",),
    "host key": ("N",),
}


@pytest.fixture(autouse=True)
def followed(monitor: FakeMonitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process monitors; what is exported goes into a folder of the test."""
    monitor.follow(HOLDER)
    monkeypatch.chdir(tmp_path)


def actions(app: CanaryApp) -> set[str]:
    """What the keys of the screen in front do, and the palette offers."""
    active = [one for one in app.screen.active_bindings.values() if one.enabled]
    return {one.binding.action.partition("(")[0] for one in active}


def intents(monitor: FakeMonitor) -> list[object]:
    """What was asked of the monitor beside what only reads."""
    return [call for call in monitor.asked if not isinstance(call, READS)]


@pytest.mark.parametrize("place", PLACES)
async def test_no_key_on_any_screen_asks_for_what_needs_the_monitor(
    place: str,
    app: CanaryApp,
    monitor: FakeMonitor,
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "deliver_screenshot", lambda *_: None)
    order = random.Random(place)  # noqa: S311 - the same keys in every run
    monitor.log(samples.passed(), samples.refused("legacy"))
    monitor.broken = [samples.incident()]
    async with opened() as pilot:
        for number, key in enumerate(order.sample(KEYS, 20) + ACTING):
            if number % 7 == 0:
                await pilot.resize_terminal(*order.choice(SIZES))
                await pilot.press("escape", "escape", "escape", *PLACES[place])
            await pilot.press(key)
            assert not actions(app) & NEEDS_MONITOR
        assert app.is_running
    assert intents(monitor) == []


@pytest.mark.parametrize(
    ("place", "key"),
    [(p, k) for p in ((), ("N",)) for k in ("a", "e", "D", "t", "o", "r", "space")]
    + [(("p",), "t"), (("p",), "u"), (("p",), "R"), (("L",), "t"), (("N",), "h"), (("N",), "P")],
)
async def test_such_a_key_says_why_it_does_nothing(
    app: CanaryApp, opened: Open, place: tuple[str, ...], key: str
) -> None:
    async with opened() as pilot:
        await pilot.press(*place)
        before = app.screen
        await pilot.press(key)
        await until(pilot, lambda: "this copy only shows" in screen_text(pilot))
        assert app.screen is before


async def test_a_key_that_is_held_down_is_answered_once(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("t", "t", "a", "t")
        await until(pilot, lambda: "this copy only shows" in screen_text(pilot))
        assert screen_text(pilot).count("this copy only shows") == 1


async def test_what_is_typed_into_the_filter_is_no_action(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("slash", *"later")
        assert "this copy only shows" not in screen_text(pilot)
        await pilot.press("escape")
    assert intents(monitor) == []


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (120, 40)])
async def test_the_list_says_who_monitors_and_since_when(opened: Open, size: tuple[int, int]) -> None:
    async with opened(size) as pilot:
        banner = screen_text(pilot).splitlines()[1]
        assert banner.strip().startswith("Process 1234")
        assert "since 11:13" in banner or "monitors (from 11:13)" in banner
        assert "view only" in screen_text(pilot).splitlines()[0]
        assert "orders-prod" in screen_text(pilot)


@pytest.mark.parametrize("place", ["key", "log", "log of a server", "incidents"])
async def test_every_title_says_that_it_only_looks(opened: Open, place: str) -> None:
    async with opened((40, 10)) as pilot:
        await pilot.press(*PLACES[place])
        await pilot.pause()
        assert screen_text(pilot).splitlines()[0].strip().startswith("view only ›")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: screen_text(pilot).strip().startswith("canary view only ›"))


async def test_neither_the_bar_nor_the_help_nor_the_palette_offers_it(app: CanaryApp, opened: Open) -> None:
    async with opened((120, 40)) as pilot:
        bar = screen_text(pilot).splitlines()[-1]
        assert "enter log" in bar
        assert "a add" not in bar
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Reading))
        help_text = screen_text(pilot)
        assert re.search(r"\by +copy URL", help_text)
        for key, does in (
            ("a", "add"),
            ("t", "test"),
            ("o", "open/close"),
            ("r", "retry now"),
            ("D", "delete"),
        ):
            assert not re.search(rf"\b{key} +{does}", help_text)
        await pilot.press("escape", "ctrl+p", *"orders-prod:")
        await until(pilot, lambda: "orders-prod: public key" in screen_text(pilot))
        for what in ("test", "edit", "audit of the key"):
            assert f"orders-prod: {what}" not in screen_text(pilot)
        await pilot.press("escape", "ctrl+p", *"delete")
        await until(pilot, lambda: "No matches" in screen_text(pilot))


async def test_what_only_looks_works(app: CanaryApp, monitor: FakeMonitor, opened: Open) -> None:
    monitor.log(samples.passed(), samples.refused("legacy"))
    async with opened() as pilot:
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, KeyView) and app.screen.info is not None)
        assert "copy" in actions(app)
        await pilot.press("escape", "L")
        await until(pilot, lambda: "2 lines" in screen_text(pilot))
        await pilot.press("escape", "slash", *"legacy", "enter")
        await until(pilot, lambda: "billing" not in screen_text(pilot))
        await pilot.press("y")
        await until(pilot, lambda: "connection URL" in screen_text(pilot))
        await pilot.press("s")
        await until(pilot, lambda: StartClient("legacy") in monitor.asked)


async def test_nothing_is_held_and_quitting_asks_nothing(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        monitor.show(*samples.fleet())
        await until(pilot, lambda: app.facts.version == monitor.facts.version)
        assert not [worker for worker in app.workers if worker.group.startswith("tunnel:")]
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
    assert intents(monitor) == []


async def test_it_takes_over_with_cursor_and_filter_where_they_were(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("slash", *"bastion", "enter", "j")
        chosen = app.home.selected
        assert chosen is not None
        assert app.home.query_one(LineList).cursor == 1
        monitor.follow(None)
        await until(pilot, lambda: "this copy monitors now" in screen_text(pilot))
        assert "Process 1234 has ended" in screen_text(pilot)
        await until(pilot, lambda: set(monitor.holding) == ENABLED)
        assert SINCE not in screen_text(pilot)
        assert "view only" not in screen_text(pilot)
        assert app.home.selected is not None
        assert app.home.selected.server == chosen.server
        assert "reports" not in screen_text(pilot), "the filter is as it was"
        assert {"add", "edit", "delete", "test", "open_close"} <= actions(app)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ServerForm))


async def test_every_open_screen_offers_everything_after_the_take_over(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, KeyView) and app.screen.info is not None)
        monitor.follow(None)
        await until(pilot, lambda: "test" in actions(app))
        assert "view only" not in screen_text(pilot)
        await until(pilot, lambda: "t test" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "a add" in screen_text(pilot))


async def test_the_log_goes_on_over_the_take_over(app: CanaryApp, monitor: FakeMonitor, opened: Open) -> None:
    monitor.log(samples.passed(), samples.refused("legacy"))
    async with opened() as pilot:
        await pilot.press("L")
        await until(pilot, lambda: "2 lines" in screen_text(pilot))
        monitor.follow(None)
        monitor.log(samples.passed(at=samples.NOW + 1))
        await until(pilot, lambda: "3 lines" in screen_text(pilot))
        assert isinstance(app.screen, ProbeLog)


@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
async def test_a_history_that_cannot_be_read_is_said_above_the_list(
    monitor: FakeMonitor, opened: Open, size: tuple[int, int]
) -> None:
    monitor.follow(HOLDER, "/home/me/history.db: it is not there")
    async with opened(size) as pilot:
        assert "Nothing is known" in screen_text(pilot).splitlines()[2]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_process_that_writes_nothing_is_named_with_the_time(
    monitor: FakeMonitor, opened: Open, size: tuple[int, int]
) -> None:
    monitor.follow(HOLDER, "Process 1234567 has written nothing since 10:42:07")
    async with opened(size) as pilot:
        assert screen_text(pilot).splitlines()[2].rstrip().endswith("nothing since 10:42:07")


async def test_an_empty_list_tells_nobody_to_add(monitor: FakeMonitor, opened: Open) -> None:
    monitor.show()
    async with opened() as pilot:
        await until(pilot, lambda: "No servers yet" in screen_text(pilot))
        assert "adds a server" not in screen_text(pilot)
        monitor.follow(None)
        await until(pilot, lambda: "adds a server" in screen_text(pilot))


@pytest.mark.parametrize("count", range(len(samples.fleet())))
async def test_the_advice_names_no_key_that_does_nothing(opened: Open, count: int) -> None:
    async with opened((120, 40)) as pilot:
        await pilot.press(*(["j"] * count))
        said = "\n".join(screen_text(pilot).splitlines()[-8:-1])
        for words in ("t tests", "r tries", "e edits", "P asks", "P gives", "h shows", "o opens", "then t"):
            assert words not in said


@pytest.mark.parametrize("size", [(80, 24), (40, 10)], ids=["80x24", "40x10"])
def test_what_it_looks_like(app: CanaryApp, snap_compare: Compare, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.home.ready and app.home.selected is not None)
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: "Next try in" in screen_text(pilot))
        await pilot.pause()

    assert snap_compare(app, run_before=before, terminal_size=size)
