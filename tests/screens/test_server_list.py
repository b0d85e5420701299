"""The server list: what it shows, and what its keys ask for."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest
from textual.app import App

from canary_tui.monitor.board import Health, Row
from canary_tui.monitor.requests import ReadUptimes, Remove, RetryNow
from canary_tui.monitor.uptime import Uptime
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.presenters.long_run import DAY
from canary_tui.tui.uptimes import Uptimes
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor


async def test_each_state_has_a_sign_and_a_word(opened: Open) -> None:
    async with opened() as pilot:
        text = screen_text(pilot)
    for words in ("● orders-prod", "▲ reports", "✕ legacy", "? new-jump", "◐ opening", "○ archive"):
        assert words in text
    for words in ("key not accepted", "host key unknown", "slow", "off"):
        assert words in text


@pytest.mark.parametrize("size", [(40, 10), (60, 16), (80, 24), (120, 40)])
async def test_name_state_and_latency_stay_at_every_width(opened: Open, size: tuple[int, int]) -> None:
    async with opened(size) as pilot:
        text = screen_text(pilot)
    heading = next(line for line in text.splitlines() if "Server" in line)
    assert "State" in heading
    assert "Latency" in heading
    assert "3.2 ms" in text
    assert "? help" in text
    assert "q quit" in text


async def test_columns_drop_from_the_right(opened: Open) -> None:
    async with opened((120, 40)) as pilot:
        assert "Last probes" in screen_text(pilot)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "Last probes" not in screen_text(pilot))
        assert "Local" in screen_text(pilot)


async def test_the_lines_below_explain_the_trouble_and_the_next_key(opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("j", "j", "j")
        text = " ".join(screen_text(pilot).split())
    assert "legacy · SSH login: The SSH server bastion-1:22 did not accept the key" in text
    assert "p shows the key and the steps to install it" in text


async def test_a_direct_server_s_stage_is_called_after_its_database(
    monitor: FakeMonitor, opened: Open
) -> None:
    result = samples.unreached("reports")
    row = Row(
        server=samples.server("reports", tunnel=False),
        health=Health.DOWN,
        failure=result.failure,
        last=result,
    )
    monitor.show(row)
    async with opened() as pilot:
        text = " ".join(screen_text(pilot).split())
        assert "reports · Database connect: The database 10.0.3.12:5432 refuses the connection" in text
        await pilot.press("t")
        await until(pilot, lambda: monitor.tests)
        await until(pilot, lambda: "○ Database connect" in screen_text(pilot))
        monitor.tests[-1].end(result)
        await until(pilot, lambda: "✕ Database connect: connection refused" in screen_text(pilot))
        assert "SSH connect" not in screen_text(pilot)


async def test_an_empty_list_says_what_to_do(app: CanaryApp, monitor: FakeMonitor, opened: Open) -> None:
    monitor.show()
    async with opened() as pilot:
        text = screen_text(pilot)
        assert "No servers yet." in text
        assert "canary demo" in text
        await pilot.press("D", "e", "t", "n")
        assert monitor.asked_for(Remove) == []
        assert app.screen is app.home


async def test_keys_work_on_the_first_server_of_a_list_that_was_empty(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.show()
    async with opened() as pilot:
        await pilot.press("a")
        await until(pilot, lambda: app.screen is not app.home)
        monitor.show(*samples.fleet()[:1])
        await pilot.press("escape")
        await until(pilot, lambda: "● orders-prod" in screen_text(pilot))
        await until(pilot, lambda: "public key" in screen_text(pilot))
        await pilot.press("r")
    assert monitor.asked_for(RetryNow) == [RetryNow("orders-prod")]


async def test_every_problem_of_the_file_can_be_reached(monitor: FakeMonitor, opened: Open) -> None:
    problems = tuple(f"servers.yaml:{line}: servers[{line}].name: is missing" for line in range(1, 13))
    monitor.show(*samples.fleet(), problems=problems)
    async with opened() as pilot:
        assert "the last good list stays" in screen_text(pilot)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "servers[1]" in screen_text(pilot))
        await pilot.press("G")
        await until(pilot, lambda: "servers[12]" in screen_text(pilot))


async def test_the_cursor_stays_on_its_server_when_others_come_and_go(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with opened() as pilot:
        await pilot.press("j", "j")
        assert app.home.selected is not None
        assert app.home.selected.server.name == "reports"
        monitor.show(*samples.fleet()[1:])
        await until(pilot, lambda: "orders-prod" not in screen_text(pilot))
        assert app.home.selected.server.name == "reports"


async def test_the_uptimes_come_from_the_history_and_are_asked_for_once(
    monitor: FakeMonitor, opened: Open
) -> None:
    monitor.up[DAY] = {"orders-prod": Uptime(up=9998, down=2), "billing": Uptime(up=50)}
    monitor.up[7 * DAY] = {"orders-prod": Uptime(up=997, down=3)}
    monitor.up[30 * DAY] = {"orders-prod": Uptime(up=996, down=4)}
    async with opened((140, 40)) as pilot:
        await until(pilot, lambda: "99.98 %   99.70 %   99.60 %" in screen_text(pilot))
        rows = {
            words[1]: words[-1] for line in screen_text(pilot).splitlines() if (words := line.split())[3:]
        }
        assert "100.00 %" in screen_text(pilot)
        assert rows["legacy"] == "–"
        assert monitor.asked_for(ReadUptimes) == [
            ReadUptimes(DAY),
            ReadUptimes(7 * DAY),
            ReadUptimes(30 * DAY),
        ]


async def test_where_the_columns_have_no_room_the_uptimes_stand_below_the_table(
    monitor: FakeMonitor, opened: Open
) -> None:
    monitor.up[7 * DAY] = {"orders-prod": Uptime(up=997, down=3), "legacy": Uptime(up=1)}
    async with opened() as pilot:
        await until(pilot, lambda: "uptime  24 h unknown  7 d 99.70 %  30 d unknown" in screen_text(pilot))
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: "p shows the key" in screen_text(pilot))
        assert "uptime" not in screen_text(pilot), "the room is for what is wrong"
        await pilot.press("g")
        await pilot.resize_terminal(140, 24)
        await until(pilot, lambda: "30 d" in screen_text(pilot))
        assert "uptime" not in screen_text(pilot), "it is in the table"


async def test_a_history_that_cannot_be_read_leaves_a_dash(monitor: FakeMonitor, opened: Open) -> None:
    monitor.errors[ReadUptimes] = OSError(5, "broken", "history.db")
    async with opened((120, 40)) as pilot:
        await until(pilot, lambda: monitor.asked_for(ReadUptimes))
        assert "24 h" in screen_text(pilot)
        assert "%" not in screen_text(pilot)
        assert "broken" not in screen_text(pilot)


def test_the_history_is_asked_for_a_day_every_thirty_seconds_and_for_longer_spans_every_five_minutes(
    monitor: FakeMonitor,
) -> None:
    times = iter((1000.0, 1010.0, 1029.9, 1030.0, 1059.0, 1299.9, 1300.0))
    asked: list[str] = []

    class Workers:
        def run_worker(self, _work: object, *, name: str, **_: object) -> None:
            asked.append(name)

    uptimes = Uptimes(cast("App[None]", Workers()), monitor, clock=lambda: next(times))
    for _ in range(7):
        uptimes.keep_fresh()
    assert asked.count("uptime 24 h") == 3
    assert (asked.count("uptime 7 d"), asked.count("uptime 30 d")) == (2, 2)


MISTAKE = "servers.yaml:14: servers[1].ssh.port: 99999 is not a port (1–65535)"


async def test_a_wrong_entry_is_listed_with_its_mistake_and_offers_nothing_that_would_use_it(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    wrong = msgspec.structs.replace(samples.server("payroll"), enabled=False)
    row = Row(server=wrong, mistakes=(MISTAKE,), health=Health.BROKEN)
    monitor.show(row, *samples.fleet()[:1])
    async with opened() as pilot:
        await until(pilot, lambda: "settings wrong" in screen_text(pilot))
        assert "mistakes in an entry; the others are used" in screen_text(pilot)
        assert "✕ payroll" in screen_text(pilot)
        assert "payroll · settings: servers.yaml:14:" in screen_text(pilot)
        (shown,) = (text for text in screen_text(pilot).splitlines() if "✕ payroll" in text)
        assert "bastion-1" not in shown
        await pilot.press("e", "t", "s", "o", "p", "y", "r", "space", "d", "P", "h")
        assert app.screen is app.home
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "99999 is not a port" in screen_text(pilot))
    assert all("payroll" not in repr(request) for request in monitor.asked)


async def test_one_that_runs_on_its_last_good_settings_says_so(monitor: FakeMonitor, opened: Open) -> None:
    monitor.show(msgspec.structs.replace(samples.fleet()[0], mistakes=(MISTAKE,)))
    async with opened() as pilot:
        await until(pilot, lambda: "up, entry wrong" in screen_text(pilot))
        assert "until then it runs on its last good settings" in " ".join(screen_text(pilot).split())
        await until(pilot, lambda: "public key" in screen_text(pilot))


async def test_settings_without_effect_are_said_above_the_list(monitor: FakeMonitor, opened: Open) -> None:
    warnings = tuple(f"servers.yaml:{line}: servers[{line}].sslmode: has no effect" for line in range(1, 13))
    monitor.show(*samples.fleet(), warnings=warnings)
    async with opened() as pilot:
        await until(pilot, lambda: "settings without effect. ! shows 10 more" in screen_text(pilot))
        assert "▲ servers.yaml:1:" in screen_text(pilot)
        await pilot.press("exclamation_mark", "G")
        await until(pilot, lambda: "servers[12]" in screen_text(pilot))
