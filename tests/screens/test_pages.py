"""Key view, connection test, host-key question."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause, Stage, StageResult
from canary_tui.monitor.requests import Trust
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.connection_test import ConnectionTest
from canary_tui.tui.screens.host_key import HostKeyQuestion
from canary_tui.tui.screens.key_view import KeyView
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor


async def test_key_view_copies_each_form_of_the_key(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("p")
        await until(pilot, lambda: "Install this line" in screen_text(pilot))
        info = samples.key()
        for keypress, text in (("c", info.restricted), ("C", info.script), ("l", info.line)):
            await pilot.press(keypress)
            assert app.clipboard == text


async def test_key_view_shows_everything_by_scrolling(opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("p")
        await until(pilot, lambda: "1. Make the folder" in screen_text(pilot))
        await pilot.press("G")
        await until(pilot, lambda: samples.key().fingerprint in screen_text(pilot))


async def test_key_view_writes_the_line_to_a_new_private_file_only(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "orders-prod.authorized_keys"
    async with opened() as pilot:
        await pilot.press("p")
        await until(pilot, lambda: "Install this line" in screen_text(pilot))
        await pilot.press("w")
        await until(pilot, lambda: "Write the line to install to" in screen_text(pilot))
        await pilot.press("enter")
        await until(pilot, target.exists)
        await until(pilot, lambda: "Written to" in screen_text(pilot))
        assert target.read_text() == samples.key().restricted + "\n"
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        target.write_text("mine")
        await pilot.press("w", "enter")
        await until(pilot, lambda: "File exists" in screen_text(pilot))
        assert target.read_text() == "mine"


async def test_key_that_cannot_be_read_is_explained_in_place(monitor: FakeMonitor, opened: Open) -> None:
    monitor.key = None
    async with opened() as pilot:
        await pilot.press("p")
        await until(pilot, lambda: "✕ orders-prod: No such file" in screen_text(pilot))
        await pilot.press("c", "escape")


async def test_a_test_is_followed_stage_by_stage(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: "Name look-up" in screen_text(pilot))
        assert "○ SSH login" in screen_text(pilot)
        test = monitor.tests[-1]
        passed = StageResult(stage=Stage.RESOLVE, ok=True, ms=0.4, note="192.0.2.7")
        test.show(stage=Stage.CONNECT, stages=(passed,))
        await until(pilot, lambda: "✓ Name look-up" in screen_text(pilot))
        assert "192.0.2.7" in screen_text(pilot)
        test.end(samples.refused())
        await until(pilot, lambda: "✕ SSH login" in screen_text(pilot))
        assert "key not accepted" in screen_text(pilot)


async def test_leaving_cancels_the_test_and_r_begins_another(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        await pilot.press("r")
        await until(pilot, monitor.tests[0].future.cancelled)
        await pilot.press("escape")
        await until(pilot, monitor.tests[1].future.cancelled)


async def test_copied_report_names_stage_cause_addresses_and_what_to_look_at(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        monitor.tests[0].end(samples.refused())
        await until(pilot, lambda: "copy report" in screen_text(pilot))
        await pilot.press("c")
        await until(pilot, lambda: app.clipboard)
    for words in (
        "Stage:     auth",
        "key_not_accepted",
        "ssh_user@bastion-1 port 22 (192.0.2.7)",
        samples.key().fingerprint,
    ):
        assert words in app.clipboard
    assert "authorized_keys" in app.clipboard


async def test_unknown_host_key_is_asked_about_and_the_test_runs_again(
    monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        monitor.tests[0].end(samples.refused(offer=samples.offer()))
        await until(pilot, lambda: "Unknown SSH host key" in screen_text(pilot))
        await pilot.press("y")
        await until(pilot, lambda: len(monitor.tests) == 2)
    assert monitor.asked_for(Trust) == [Trust("orders-prod", samples.offer(), False)]


@pytest.mark.parametrize("word", ["replace", "add"])
async def test_changed_host_key_takes_a_word_and_no_single_key(
    app: CanaryApp, monitor: FakeMonitor, opened: Open, word: str
) -> None:
    offer = samples.offer(changed=True)
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        monitor.tests[0].end(samples.refused(offer=offer))
        await until(pilot, lambda: "CHANGED" in screen_text(pilot))
        assert offer.known[0].fingerprint in screen_text(pilot)
        await until(pilot, lambda: app.focused is not None)
        await pilot.press("y", "enter")
        assert monitor.asked_for(Trust) == []
        await pilot.press("backspace", *word, "enter")
        await until(
            pilot, lambda: monitor.asked_for(Trust) == [Trust("orders-prod", offer, word == "replace")]
        )


@pytest.mark.parametrize("size", [(40, 10), (60, 16), (80, 24), (120, 40)])
@pytest.mark.parametrize("changed", [True, False])
async def test_the_answer_to_a_host_key_and_its_keys_are_always_in_view(
    monitor: FakeMonitor, opened: Open, size: tuple[int, int], changed: bool
) -> None:
    async with opened(size) as pilot:
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        monitor.tests[0].end(samples.refused(offer=samples.offer(changed=changed)))
        words = (
            ["esc do not trust it", "Type replace, or add"]
            if changed
            else ["y it is the same", "do not trust it"]
        )
        if size[0] < 60:
            words = ["Type replace, or add", "esc"] if changed else ["y it is the same"]
        await until(pilot, lambda: all(word in screen_text(pilot) for word in words))


async def test_refused_host_key_is_not_trusted(app: CanaryApp, monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        monitor.tests[0].end(samples.refused(offer=samples.offer()))
        await until(pilot, lambda: isinstance(app.screen, HostKeyQuestion))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ConnectionTest))
    assert monitor.asked_for(Trust) == []


async def test_host_key_that_cannot_be_kept_says_why(monitor: FakeMonitor, opened: Open) -> None:
    monitor.errors[Trust] = OSError(28, "No space left on device", "known_hosts")
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        monitor.tests[0].end(samples.refused(offer=samples.offer()))
        await until(pilot, lambda: "Unknown SSH host key" in screen_text(pilot))
        await pilot.press("y")
        await until(pilot, lambda: "No space left on device" in screen_text(pilot))


async def test_missing_password_is_asked_for_and_the_test_runs_again(
    monitor: FakeMonitor, opened: Open
) -> None:
    why = samples.failure(Stage.SETTINGS, Cause.PASSWORD_MISSING)
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        monitor.tests[0].end(msgspec.structs.replace(samples.refused(), failure=why))
        await until(pilot, lambda: "Password of canary_reader" in screen_text(pilot))
        await pilot.press(*"s3cret", "enter")
        await until(pilot, lambda: len(monitor.tests) == 2)
        assert "s3cret" not in screen_text(pilot)


async def test_key_and_test_lead_to_each_other_without_going_in_circles(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, ConnectionTest) and app.screen.ready)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, KeyView) and app.screen.ready)
        depth = len(app.screen_stack)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, ConnectionTest))
        assert len(app.screen_stack) < depth
