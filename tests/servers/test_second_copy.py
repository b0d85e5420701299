"""Two copies of one user on real servers: one monitors, the other shows it and takes over when it ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause, Failed, RouteKind
from canary_tui.monitor.board import Health
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.follower import SILENT_SECONDS
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.history.tables import history_file
from canary_tui.monitor.request import Request
from canary_tui.monitor.requests import (
    Close,
    ProbeNow,
    ReadKey,
    ReadLog,
    ReadUptimes,
    RetryNow,
    RunTest,
    SetEnabled,
    StartClient,
)
from canary_tui.monitor.standby import NotMonitoring, Standby
from canary_tui.paths import Paths
from canary_tui.servers.file import ServersFile
from tests.harness.ports import is_listening, wait_for
from tests.servers.second_copy import LIMIT, WITHIN, both, listening, told
from tests.servers.watching import Watching, canary, home, reader_of
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World


__all__ = ["home"]  # fixture


def test_it_shows_who_monitors_and_what_becomes_of_the_servers(
    home: World, own_sshd: Sshd, make_postgres: Callable[..., Postgres]
) -> None:
    database = make_postgres()
    with both(home, own_sshd, database) as (first, second, port):
        holder = second.standby.snapshot().monitored_by
        assert holder is not None
        assert holder.pid == first.process.pid
        assert holder.since == pytest.approx(time.time(), abs=60)
        assert second.row.local == f"127.0.0.1:{port}"
        assert (second.row.tunnel, second.row.failure) == (TunnelState.UP, None)
        database.stop("immediate")
        first.until(lambda: not first.of("probe_finished")[-1]["probe"]["ok"], "the first knows")
        wait_for(lambda: second.is_now(Health.DOWN), WITHIN, "the copy shows that the database is down")
        assert second.row.failure is not None
        assert second.row.failure.remedies
        database.start()
        wait_for(lambda: second.is_now(Health.UP), LIMIT, "the copy shows that it is back")
        own_sshd.stop()
        first.until(lambda: first.of("tunnel_changed")[-1]["state"] == "waiting", "the first knows")
        wait_for(lambda: second.row.tunnel is TunnelState.WAITING, WITHIN, "the copy shows the tunnel")
        assert second.row.health is Health.DOWN
        assert second.row.failure is not None
        assert second.row.failure.cause is Cause.CONNECTION_REFUSED
        wait_for(lambda: second.row.retry_at is not None, LIMIT, "and when it is tried again")
        own_sshd.start()
        wait_for(lambda: second.is_now(Health.UP), LIMIT * 2, "the copy shows that it is up again")


def test_its_log_is_the_history_line_by_line(home: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with both(home, own_sshd, postgres) as (_, second, _port):
        seen = len(second.take_lines())
        wait_for(lambda: len(second.take_lines()) >= seen + 4, LIMIT, "lines come")
        assert [line.seq for line in second.lines] == list(range(1, len(second.lines) + 1))
        kept = reader_of(home).lines(LogQuery(limit=10_000))
        assert told(second.lines) == told(kept[: len(second.lines)])
        oldest = second.lines[0].at
        assert second.standby.ask(ReadLog(LogQuery(before=oldest))).result(5) == []
        assert second.standby.ask(ReadUptimes(86_400)).result(5)["orders"].up > 0


def test_it_logs_in_nowhere_and_binds_nothing(
    home: World, own_sshd: Sshd, make_postgres: Callable[..., Postgres]
) -> None:
    database = make_postgres()
    with both(home, own_sshd, database) as (first, second, _):
        seen = len(second.take_lines())
        wait_for(lambda: len(second.take_lines()) >= seen + 4, LIMIT, "lines come")
        assert (own_sshd.logins(), len(own_sshd.sessions())) == (1, 1)
        assert listening(os.getpid()) == set()
        wants_the_monitor: list[Request[Any]] = [ProbeNow("orders"), RetryNow("orders"), RunTest("orders")]
        for request in (*wants_the_monitor, SetEnabled("orders", False)):
            with pytest.raises(NotMonitoring, match=str(first.process.pid)):
                second.standby.ask(request).result(5)
        first.process.send_signal(signal.SIGSTOP)
        before = database.logins_seen()
        end = time.monotonic() + 3
        wait_for(lambda: time.monotonic() > end, 10)
        assert database.logins_seen() == before, "nobody probes while the first stands still"
        assert own_sshd.logins() == 1
        first.process.send_signal(signal.SIGCONT)


def test_the_key_and_the_clients_of_the_engine_work_through_the_first_ones_port(
    home: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    with both(home, own_sshd, postgres) as (_, second, port):
        info = second.standby.ask(ReadKey("orders")).result(10)
        assert info.line == home.key("orders").line
        argv, environment = second.standby.ask(StartClient("orders")).result(10)
        assert environment["PGPORT"] == str(port)
        done = subprocess.run(
            [*argv, "-XAtc", "select 'through'"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert (done.stdout.strip(), done.returncode) == ("through", 0), done.stderr


def test_it_makes_no_key_and_writes_no_settings(home: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with both(home, own_sshd, postgres) as (_, second, _port):
        other = home.server(postgres, name="other", install=False)
        tunnel = with_ssh(home.server(postgres, own_sshd), key="")
        home.write(msgspec.structs.replace(other, ssh=tunnel.ssh, enabled=False))
        text = home.paths.servers.read_bytes()
        wait_for(lambda: len(second.standby.snapshot().rows) == 2, WITHIN, "the file is read again")
        with pytest.raises(Exception, match="key_missing"):
            second.standby.ask(ReadKey("other")).result(10)
        assert not (home.paths.keys / "other").exists()
        assert home.paths.servers.read_bytes() == text


def test_what_a_first_that_stands_still_wrote_last_is_not_the_present(
    home: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    with both(home, own_sshd, postgres) as (first, second, port):
        first.process.send_signal(signal.SIGSTOP)
        try:
            wait_for(lambda: second.standby.snapshot().unread, SILENT_SECONDS + LIMIT, "it is said")
            said = f"Process {first.process.pid} has written nothing since "
            assert second.standby.snapshot().unread.startswith(said)
            assert (second.row.health, second.row.last) == (Health.UNKNOWN, None)
            assert not second.monitors, "it lives, and has the lock"
            with pytest.raises(Failed) as refused:
                second.standby.ask(StartClient("orders")).result(5)
            assert refused.value.detail.startswith(said)
        finally:
            first.process.send_signal(signal.SIGCONT)
        wait_for(lambda: second.is_now(Health.UP), LIMIT, "it writes again")
        assert second.standby.snapshot().unread == ""
        assert second.row.local == f"127.0.0.1:{port}"


def test_a_process_with_another_servers_file_is_another_world(
    home: World, own_sshd: Sshd, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.yaml"
    with both(home, own_sshd, postgres) as (first, second, port):
        ServersFile(mine).add(home.server(postgres))
        monkeypatch.setenv("CANARY_CONFIG", str(mine))
        with Watching() as other:
            other.until(lambda: len(other.of("probe_finished")) >= 2, "it monitors beside the first")
            assert {event["probe"]["route"] for event in other.of("probe_finished")} == {"direct"}
            seen = len(second.take_lines())
            wait_for(lambda: len(second.take_lines()) >= seen + 3, LIMIT, "the first goes on")
            holder = second.standby.snapshot().monitored_by
            assert holder is not None
            assert holder.pid == first.process.pid
            assert second.row.local == f"127.0.0.1:{port}"
            third = Standby(Paths.of_user())
            third.start()
            try:
                wait_for(lambda: third.snapshot().rows and third.snapshot().rows[0].last, LIMIT, "it follows")
                holder = third.snapshot().monitored_by
                assert holder is not None
                assert holder.pid == other.process.pid
                assert third.snapshot().rows[0].server.tunnel is None
            finally:
                assert third.stop(5)
    routes = {line.result.route for line in second.lines if line.result is not None}
    assert RouteKind.DIRECT not in routes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_takes_over_when_the_first_ends_and_no_line_is_lost_or_doubled(
    home: World, own_sshd: Sshd, postgres: Postgres, number: signal.Signals
) -> None:
    with both(home, own_sshd, postgres) as (first, second, port):
        first.end(number)
        wait_for(lambda: second.monitors, LIMIT, "it monitors")
        assert second.row.last is None, "what the dead one knew is not the present"
        wait_for(lambda: is_listening(port), LIMIT, "the port is served again")
        wait_for(lambda: second.is_now(Health.UP), LIMIT, "it is up")
        seen = len(second.lines)
        wait_for(lambda: len(second.take_lines()) >= seen + 3, LIMIT, "probes go on")
        refused = canary("watch")
        assert refused.returncode == 1, "nobody else monitors"
        assert f"Process {os.getpid()} has been monitoring since" in refused.stderr
        second.standby.ask(Close("orders")).result(10)
        assert second.standby.stop(5)
        second.take_lines()
    assert [line.seq for line in second.lines] == list(range(1, len(second.lines) + 1))
    assert told(second.lines) == told(reader_of(home).lines(LogQuery(limit=10_000)))
    with closing(sqlite3.connect(history_file(home.paths))) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_breaks_after_a_takeover_is_kept_though_the_servers_file_is_wrong_by_then(
    home: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    with both(home, own_sshd, postgres) as (first, second, _):
        home.paths.servers.write_text("servers: [")
        wait_for(lambda: second.standby.snapshot().problems, LIMIT, "the file's mistake is seen")
        first.process.kill()
        wait_for(lambda: second.monitors, LIMIT, "it takes over")
        wait_for(lambda: second.is_now(Health.UP), LIMIT, "the last good list is held")
        own_sshd.stop()
        wait_for(lambda: reader_of(home).incidents(), LIMIT, "the incident is kept")
    (incident,) = reader_of(home).incidents()
    assert incident.servers == (second.row.server.name,)
    assert reader_of(home).uptimes(3600)[second.row.server.name].down > 0


def test_the_first_feels_nothing_when_the_second_ends(
    home: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    with both(home, own_sshd, postgres) as (first, second, port):
        assert second.standby.stop(3)
        seen = len(first.of("probe_finished"))
        first.until(lambda: len(first.of("probe_finished")) >= seen + 3, "probes go on")
        assert own_sshd.logins() == 1
        assert is_listening(port)
        assert first.end(signal.SIGTERM) == 0
    kept = [line.result for line in reader_of(home).lines(LogQuery(limit=1000)) if line.result]
    assert len(kept) == len(first.of("probe_finished"))
