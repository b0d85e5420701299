"""A history that is deleted, breaks or is of a newer version while a second copy follows it."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from canary_tui.monitor.board import Health
from canary_tui.monitor.history.schema import set_aside
from canary_tui.monitor.history.tables import MIGRATIONS, history_file
from tests.harness.ports import wait_for
from tests.servers.second_copy import LIMIT, both
from tests.servers.watching import canary, home

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World


__all__ = ["home"]  # fixture


def test_a_history_that_is_deleted_is_begun_anew_and_followed(
    home: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    with both(home, own_sshd, postgres) as (first, second, _):
        history_file(home.paths).unlink()
        first.until(
            lambda: any("deleted" in event["text"] for event in first.of("noted")), "the first says so"
        )
        seen = len(second.take_lines())
        wait_for(lambda: len(second.take_lines()) >= seen + 3, LIMIT, "lines come again")
        assert second.is_now(Health.UP)
        assert second.standby.snapshot().unread == ""
        assert [line.seq for line in second.lines] == list(range(1, len(second.lines) + 1))


def test_a_history_that_breaks_is_said_set_aside_and_followed(
    home: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    with both(home, own_sshd, postgres) as (first, second, _):
        first.process.send_signal(signal.SIGSTOP)
        path = history_file(home.paths)
        set_aside(path)
        path.write_bytes(b"this is no database at all " * 100)
        wait_for(lambda: "not a database" in second.standby.snapshot().unread, LIMIT, "the copy says so")
        assert second.row.health is Health.UNKNOWN
        first.process.send_signal(signal.SIGCONT)
        first.until(lambda: any("not sound" in event["text"] for event in first.of("noted")), "it is said")
        seen = len(second.take_lines())
        wait_for(lambda: len(second.take_lines()) >= seen + 3, LIMIT, "lines come again")
        wait_for(lambda: second.is_now(Health.UP), LIMIT, "and the state")
        assert second.standby.snapshot().unread == ""


def test_a_history_of_a_newer_version_is_said_and_its_end_too(
    home: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    with both(home, own_sshd, postgres) as (_, second, _port):
        _set_version(home, 99)
        wait_for(lambda: "newer canary-tui" in second.standby.snapshot().unread, LIMIT, "it is said")
        assert second.row.health is Health.UNKNOWN, "what is not known is not shown"
        _set_version(home, len(MIGRATIONS))
        wait_for(lambda: not second.standby.snapshot().unread, LIMIT, "it can be read again")
        wait_for(lambda: second.is_now(Health.UP), LIMIT, "the state is known again")


def _set_version(world: World, number: int) -> None:
    with closing(sqlite3.connect(history_file(world.paths), timeout=10)) as database:
        database.execute(f"PRAGMA user_version = {number}")


def test_when_everything_is_deleted_the_first_goes_on_to_monitor_alone(
    home: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    with both(home, own_sshd, postgres) as (first, second, _):
        before = second.standby.snapshot().monitored_by
        shutil.rmtree(home.paths.state)
        first.until(
            lambda: any("deleted" in event["text"] for event in first.of("noted")), "the first says so"
        )
        seen = len(second.take_lines())
        wait_for(lambda: len(second.take_lines()) >= seen + 4, LIMIT, "lines come again")
        assert second.standby.snapshot().monitored_by == before
        assert own_sshd.logins() == 1
        assert canary("watch").returncode == 1
        assert first.end(signal.SIGTERM) == 0
        wait_for(lambda: second.monitors, LIMIT, "then the second monitors")
