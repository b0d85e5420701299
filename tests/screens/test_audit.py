"""The audit on screen: it runs, it ends, it can be called off."""

from __future__ import annotations

import pytest

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.requests import AuditKey
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.audit import AuditView
from canary_tui.tui.screens.connection_test import ConnectionTest
from canary_tui.tui.screens.key_view import KeyView
from canary_tui.tui.widgets.bars import Words
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor


async def test_u_in_the_key_view_audits_the_key_and_lists_what_was_found(
    monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("p", "u")
        await until(pilot, lambda: "◐ Auditing" in screen_text(pilot) or "Auditing" in screen_text(pilot))
        assert monitor.asked_for(AuditKey) == [AuditKey("orders-prod")]
        monitor.audits[0].set_result(samples.audit_report("shell"))
        await until(pilot, lambda: "✕ 1 finding" in screen_text(pilot))
        text = screen_text(pilot)
        assert "✓ allowed  the database" in text
        assert "✕ allowed  a shell" in text
        assert "✓ refused  another host" in text
        await pilot.press("G")
        await until(pilot, lambda: "restrict,port-forwarding" in screen_text(pilot))


async def test_c_copies_the_line_to_install_only_where_there_are_findings(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("p", "u")
        await until(pilot, lambda: monitor.audits)
        monitor.audits[0].set_result(samples.audit_report())
        await until(pilot, lambda: "nothing else" in screen_text(pilot))
        await pilot.press("c")
        assert app.clipboard == ""
        await pilot.press("r")
        await until(pilot, lambda: len(monitor.audits) == 2)
        monitor.audits[1].set_result(samples.audit_report("other_port"))
        await until(pilot, lambda: "copy line" in screen_text(pilot))
        await pilot.press("c")
        assert app.clipboard == samples.key().restricted


async def test_escape_calls_a_running_audit_off(app: CanaryApp, monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, ConnectionTest) and app.screen.ready)
        await pilot.press("u")
        await until(pilot, lambda: monitor.audits)
        await pilot.press("escape")
        await until(pilot, monitor.audits[0].cancelled)
        assert isinstance(app.screen, ConnectionTest)


async def test_an_audit_begun_again_calls_the_first_one_off(monitor: FakeMonitor, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("p", "u")
        await until(pilot, lambda: monitor.audits)
        await pilot.press("r")
        await until(pilot, lambda: len(monitor.audits) == 2)
        assert monitor.audits[0].cancelled()
        assert not monitor.audits[1].done()


async def test_a_login_that_fails_is_explained_in_place_and_leads_on(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("p", "u")
        await until(pilot, lambda: monitor.audits)
        monitor.audits[0].set_exception(Failed(Cause.KEY_NOT_ACCEPTED, detail="Permission denied"))
        await until(pilot, lambda: "✕ SSH login: key not accepted" in screen_text(pilot))
        assert "copy line" not in screen_text(pilot)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, ConnectionTest))


@pytest.mark.parametrize("width", [72, 80, 81, 96])
async def test_each_line_of_an_audit_is_broken_once_with_and_without_a_scroll_bar(
    app: CanaryApp, monitor: FakeMonitor, opened: Open, width: int
) -> None:
    async with opened((width, 24)) as pilot:
        await pilot.press("p", "u")
        await until(pilot, lambda: monitor.audits)
        monitor.audits[0].set_exception(Failed(Cause.KEY_NOT_ACCEPTED, detail="Permission denied"))
        await until(pilot, lambda: "✕ SSH login: key not accepted" in screen_text(pilot))
        await pilot.pause()
        words = app.screen.query_one("#findings", Words)
        assert words.size.height == len(words.shown)


async def test_an_error_of_the_system_is_said_in_place(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("p", "u")
        await until(pilot, lambda: monitor.audits)
        monitor.audits[0].set_exception(OSError(24, "Too many open files"))
        await until(pilot, lambda: "✕ Too many open files" in screen_text(pilot))
        await pilot.press("j", "k", "g", "G", "p")
        await until(pilot, lambda: isinstance(app.screen, KeyView))


async def test_the_palette_audits_a_server_with_a_tunnel_and_no_other(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened((120, 40)) as pilot:
        await pilot.press("ctrl+p", *"audit of the key")
        await until(pilot, lambda: "billing: audit" in screen_text(pilot))
        assert "reports: audit" not in screen_text(pilot)
        await pilot.press("escape")
        await pilot.press("ctrl+p", *"billing: audit")
        await until(pilot, lambda: screen_text(pilot).count("billing: audit") > 1)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, AuditView))
        assert monitor.asked_for(AuditKey) == [AuditKey("billing")]


async def test_a_server_that_was_just_removed_cannot_be_tested_and_that_is_said(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("p", "u")
        await until(pilot, lambda: isinstance(app.screen, AuditView))
        monitor.show()
        await pilot.press("t")
        await until(pilot, lambda: "There is no server orders-prod any more." in screen_text(pilot))
        await pilot.press("r", "escape")
        await until(pilot, lambda: isinstance(app.screen, AuditView))
