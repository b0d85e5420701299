"""The key view while a server's key is changed: what it shows, which keys it has, what came of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys.authorized import removal
from canary_tui.keys.rotation import Rotation, Step, Tried
from canary_tui.monitor.request import Request
from canary_tui.monitor.requests import GiveUpKey, RotateKey, TryKeys
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.key_view import KeyView
from canary_tui.tui.widgets.bars import reachable_keys
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor

LOST = Rotation(server="orders-prod", pending=True, trouble="key file missing: /keys/orders-prod.2")
STATES: dict[str, Callable[[], Rotation | None]] = {
    "none": lambda: None,
    "new": samples.new_key,
    "old": samples.old_key,
    "needed": lambda: samples.old_key("billing"),
    "lost": lambda: LOST,
}
KEYS = {
    "none": {"R": "change key"},
    "new": {"R": "try new key", "X": "give up new key"},
    "old": {"R": "check old key", "o": "copy removal command"},
    "needed": {"R": "check old key"},
    "lost": {"R": "try new key", "X": "give up new key"},
}


def keys_of(pilot: Pilot[None]) -> dict[str, str]:
    """The keys of a change of key that do something now."""
    return {key.key: key.does for key, _ in reachable_keys(pilot.app.screen) if key.key in {"R", "X", "o"}}


async def at_key(pilot: Pilot[None]) -> None:
    """Open the key view and wait until the key is there."""
    await pilot.press("p")
    await until(pilot, lambda: isinstance(pilot.app.screen, KeyView) and "R" in keys_of(pilot))


@pytest.mark.parametrize("state", STATES)
async def test_each_state_has_its_keys_and_no_other_does_anything(
    monitor: FakeMonitor, opened: Open, state: str
) -> None:
    monitor.rotation = STATES[state]()
    async with opened() as pilot:
        await at_key(pilot)
        assert keys_of(pilot) == KEYS[state]
        for key in {"R", "X", "o"} - set(KEYS[state]):
            await pilot.press(key)
        assert isinstance(pilot.app.screen, KeyView)
        assert not [one for one in monitor.asked if isinstance(one, RotateKey | TryKeys | GiveUpKey)]
        assert pilot.app.clipboard == ""


@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
async def test_a_change_of_key_is_asked_about_and_then_shows_the_new_line(
    app: CanaryApp, monitor: FakeMonitor, opened: Open, size: tuple[int, int]
) -> None:
    async with opened(size) as pilot:
        await at_key(pilot)
        await pilot.press("R")
        await until(pilot, lambda: "Change the key of orders-prod?" in screen_text(pilot))
        assert "y yes" in screen_text(pilot)
        await pilot.press("n")
        assert monitor.asked_for(RotateKey) == []
        await pilot.press("R")
        await until(pilot, lambda: "Change the key of" in screen_text(pilot))
        monitor.rotation = samples.new_key()
        await pilot.press("y")
        await until(pilot, lambda: "New key: not in use yet" in screen_text(pilot))
        assert monitor.asked_for(RotateKey) == [RotateKey("orders-prod")]


async def test_the_copy_keys_are_the_new_keys_while_it_is_tried(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.rotation = samples.new_key()
    new = monitor.rotation.next
    assert new is not None
    async with opened() as pilot:
        await at_key(pilot)
        assert "c, C, l and w are for the new key" in " ".join(screen_text(pilot).split())
        for key, text in (("c", new.restricted), ("C", new.script), ("l", new.line)):
            await pilot.press(key)
            assert app.clipboard == text
        await pilot.press("G")
        await until(pilot, lambda: "The key in use until then" in screen_text(pilot))
        assert samples.key().fingerprint in screen_text(pilot)


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (samples.tried(Step.SWITCHED), "✓ The new key works and is in use"),
        (
            samples.tried(Step.NOT_ACCEPTED, Cause.KEY_NOT_ACCEPTED),
            "▲ The new key does not reach the database yet",
        ),
        (samples.tried(Step.NOT_ACCEPTED, Cause.FORWARDING_NOT_PERMITTED), "does not permit"),
        (samples.tried(Step.FAILED, Cause.CONNECTION_REFUSED), "nothing was changed"),
        (samples.tried(Step.STILL_ACCEPTED), "▲ The old key is still accepted"),
        (samples.tried(Step.FINISHED), "✓ The old key is refused"),
        (samples.tried(Step.NOTHING), "No change of key is under way"),
    ],
)
async def test_what_came_of_a_try_is_said_in_place(
    monitor: FakeMonitor, opened: Open, tried: Tried, words: str
) -> None:
    monitor.rotation = samples.new_key()
    async with opened() as pilot:
        await at_key(pilot)
        await pilot.press("G", "R")
        await until(pilot, lambda: "◐ Trying the new key…" in screen_text(pilot))
        assert keys_of(pilot) == {}, "one try at a time"
        await pilot.press("R", "X")
        assert len(monitor.tries) == 1
        monitor.tries[0].set_result(tried)
        await until(pilot, lambda: words in " ".join(screen_text(pilot).split()))
        await until(pilot, lambda: "R" in keys_of(pilot))


async def test_the_old_key_shows_the_line_to_remove_and_copies_the_command(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.rotation = samples.old_key()
    async with opened() as pilot:
        await at_key(pilot)
        for words in ("Old key: remove this line", "ssh_user@bastion-1", samples.LINE[20:60]):
            assert words in screen_text(pilot)
        await pilot.press("o")
        assert app.clipboard == removal(samples.LINE)
        await pilot.press("c")
        assert app.clipboard == samples.key().restricted
        await pilot.press("R")
        await until(pilot, lambda: "◐ Seeing whether the old key is refused…" in screen_text(pilot))
        monitor.rotation = None
        monitor.tries[0].set_result(samples.tried(Step.FINISHED))
        await until(pilot, lambda: "the change of key is finished" in screen_text(pilot))
        await until(pilot, lambda: keys_of(pilot) == KEYS["none"])


async def test_a_line_that_others_need_is_not_told_to_be_removed(monitor: FakeMonitor, opened: Open) -> None:
    monitor.rotation = samples.old_key("billing", "reports")
    async with opened() as pilot:
        await at_key(pilot)
        assert "still needed by billing, reports: leave it" in screen_text(pilot)
        assert "remove this line" not in screen_text(pilot)


async def test_giving_up_is_asked_about(monitor: FakeMonitor, opened: Open) -> None:
    monitor.rotation = samples.new_key()
    async with opened() as pilot:
        await at_key(pilot)
        await pilot.press("X")
        await until(pilot, lambda: "Give up the new key" in screen_text(pilot))
        await pilot.press("escape")
        assert monitor.asked_for(GiveUpKey) == []
        await pilot.press("X")
        await until(pilot, lambda: "Give up the new key" in screen_text(pilot))
        await pilot.press("y")
        await until(pilot, lambda: "The new key is given up" in screen_text(pilot))
        await until(pilot, lambda: keys_of(pilot) == KEYS["none"])


@pytest.mark.parametrize(("state", "asked", "presses"), [("none", RotateKey, "Ry"), ("new", GiveUpKey, "Xy")])
async def test_what_cannot_be_done_is_said_in_place_and_the_keys_come_back(
    monitor: FakeMonitor, opened: Open, state: str, asked: type[Request[Any]], presses: str
) -> None:
    monitor.rotation = STATES[state]()
    monitor.errors[asked] = OSError(28, "No space left on device", "/keys/x")
    async with opened() as pilot:
        await at_key(pilot)
        await pilot.press(presses[0])
        await until(pilot, lambda: "y yes" in screen_text(pilot))
        await pilot.press(presses[1])
        await until(pilot, lambda: "✕ /keys/x: No space left on device" in screen_text(pilot))
        await until(pilot, lambda: keys_of(pilot) == KEYS[state])


async def test_a_try_that_breaks_is_said_in_place(monitor: FakeMonitor, opened: Open) -> None:
    monitor.rotation = samples.new_key()
    async with opened() as pilot:
        await at_key(pilot)
        await pilot.press("R")
        await until(pilot, lambda: monitor.tries)
        monitor.tries[0].set_exception(KeyError("orders-prod"))
        await until(pilot, lambda: "✕ There is no server orders-prod any more." in screen_text(pilot))


async def test_a_new_key_that_cannot_be_read_is_named_and_the_key_in_use_stays_in_view(
    monitor: FakeMonitor, opened: Open
) -> None:
    monitor.rotation = LOST
    async with opened() as pilot:
        await at_key(pilot)
        assert "✕ The new key: key file missing: /keys/orders-prod.2" in screen_text(pilot)
        assert "Install this line" in screen_text(pilot)


async def test_a_key_in_use_that_is_lost_can_be_changed(monitor: FakeMonitor, opened: Open) -> None:
    monitor.key = None
    async with opened() as pilot:
        await at_key(pilot)
        await until(pilot, lambda: "✕ orders-prod: No such file" in screen_text(pilot))
        assert keys_of(pilot) == KEYS["none"]
        await pilot.press("R")
        await until(pilot, lambda: "Change the key of" in screen_text(pilot))
        monitor.rotation = samples.new_key()
        await pilot.press("y")
        await until(pilot, lambda: "New key: not in use yet" in screen_text(pilot))


async def test_a_change_made_elsewhere_is_shown(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await at_key(pilot)
        first, *others = monitor.facts.rows
        assert first.server.ssh is not None
        ssh = msgspec.structs.replace(first.server.ssh, next_key="orders-prod.20261123")
        server = msgspec.structs.replace(first.server, ssh=ssh)
        monitor.rotation = samples.new_key()
        monitor.show(msgspec.structs.replace(first, server=server), *others)
        await until(pilot, lambda: "New key: not in use yet" in screen_text(pilot))


async def test_the_test_says_below_its_result_what_became_of_the_keys(
    monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        test = monitor.tests[-1]
        result = samples.passed()
        test.show(stages=result.stages, result=result)
        await until(pilot, lambda: "The whole way works" in screen_text(pilot))
        assert "key" not in screen_text(pilot).split("The whole way works")[1].split("esc back")[0]
        test.show(trying_keys=True)
        await until(pilot, lambda: "keys of the change of key are tried…" in screen_text(pilot))
        test.end(result, samples.tried(Step.SWITCHED))
        await until(pilot, lambda: "✓ The new key works and is in use from now on." in screen_text(pilot))
        words = "remove the old key's line from ssh_user@bastion-1"
        await until(pilot, lambda: words in " ".join(screen_text(pilot).split()))
        await pilot.press("r")
        await until(pilot, lambda: "The new key works" not in screen_text(pilot))


@pytest.mark.parametrize("state", STATES)
async def test_no_key_ends_the_application_while_a_key_is_changed(
    monitor: FakeMonitor, opened: Open, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    order = random.Random(state)  # noqa: S311 - the same keys in every run
    steps = [samples.tried(step, Cause.KEY_NOT_ACCEPTED) for step in Step]
    async with opened() as pilot:
        for _ in range(12):
            monitor.rotation = STATES[state]()
            await pilot.press(*order.choices([*"RXocClwujkGgyn", "escape", "p"], k=6))
            for pending in monitor.tries:
                if not pending.done():
                    pending.set_result(order.choice(steps))
            await pilot.resize_terminal(*order.choice([(80, 24), (40, 10), (20, 5)]))
        assert pilot.app.is_running
