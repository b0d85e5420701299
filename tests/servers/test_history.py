"""The history on real servers: what happened is kept, whatever happens to the process that keeps it."""

from __future__ import annotations

import fcntl
import json
import random
import resource
import signal
import threading
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.monitor.board import Health
from canary_tui.monitor.events import Slept
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.local import LocalMonitor
from canary_tui.monitor.requests import (
    ReadIncidents,
    ReadLatency,
    ReadLog,
    ReadPercentiles,
    ReadUptimes,
)
from canary_tui.monitor.sleep import SleepMeter
from tests.harness.ports import wait_for
from tests.servers.watching import (
    Watching,
    canary,
    home,
    nothing_is_broken_or_missing,
    reader_of,
    tunnel_states,
    waiting_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.monitor.events import AnyEvent
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

__all__ = ["home"]  # fixtures


DAY = 86_400.0


@pytest.fixture
def started() -> Iterator[Callable[[LocalMonitor], LocalMonitor]]:
    """Start monitors, and stop them in the end."""
    monitors: list[LocalMonitor] = []

    def start(monitor: LocalMonitor) -> LocalMonitor:
        monitors.append(monitor)
        monitor.start()
        wait_for(lambda: monitor.snapshot().loaded, 15, "the file has been read")
        return monitor

    yield start
    assert all(monitor.stop(5) for monitor in monitors)


def all_are(monitor: LocalMonitor, health: Health) -> bool:
    return {row.health for row in monitor.snapshot().rows} == {health}


def test_probes_land_in_the_history_and_a_restart_of_the_database_is_one_incident(
    world: World,
    sshd: Sshd,
    make_postgres: Callable[..., Postgres],
    started: Callable[[LocalMonitor], LocalMonitor],
) -> None:
    database = make_postgres()
    world.write(*(world.server(database, sshd, name=name) for name in ("orders", "billing")))
    monitor = started(LocalMonitor(world.paths))
    wait_for(lambda: all_are(monitor, Health.UP), 15, "both are up")
    database.stop("immediate")
    wait_for(lambda: all_are(monitor, Health.DOWN), 15, "both are down")
    wait_for(lambda: len(monitor.ask(ReadIncidents()).result(5)) == 1, 15, "an incident is kept")
    (incident,) = monitor.ask(ReadIncidents()).result(5)
    assert incident.ended is None
    database.start()
    wait_for(
        lambda: monitor.ask(ReadIncidents()).result(5)[0].ended is not None, 15, "the incident has ended"
    )
    ended = [one for one in monitor.ask(ReadIncidents()).result(5) if len(one.servers) == 2]
    assert len(ended) == 1, "one for both servers"
    assert set(ended[0].servers) == {"orders", "billing"}
    assert ended[0].ended_by.endswith("answered again")
    wait_for(lambda: all_are(monitor, Health.UP), 15, "both are up again")
    monitor.stop(5)
    live = [(line.server, line.text, rounded(line.result)) for line in monitor.log_after(0, 10_000)]
    kept = [
        (line.server, line.text, rounded(line.result))
        for line in reader_of(world).lines(LogQuery(limit=10_000))
    ]
    assert kept == live
    uptimes = reader_of(world).uptimes(DAY)
    assert all(uptimes[name].up > 0 and uptimes[name].down > 0 for name in ("orders", "billing"))


def test_the_monitor_answers_for_the_past_while_it_runs(
    world: World, sshd: Sshd, postgres: Postgres, started: Callable[[LocalMonitor], LocalMonitor]
) -> None:
    world.write(world.server(postgres, sshd))
    monitor = started(LocalMonitor(world.paths))
    wait_for(
        lambda: len(monitor.ask(ReadLog(LogQuery(server="orders"))).result(5)) >= 4, 15, "lines are kept"
    )
    found = monitor.ask(ReadLog(LogQuery(server="orders", text="tunnel up"))).result(5)
    assert [line.result for line in found] == [None]
    percentiles = monitor.ask(ReadPercentiles("orders", 3600)).result(5)
    assert percentiles is not None
    assert 0 < percentiles.p50 <= percentiles.p99 <= percentiles.highest
    assert sum(point.count for point in monitor.ask(ReadLatency("orders", 600, 10)).result(5)) >= 1
    wait_for(lambda: monitor.ask(ReadUptimes(DAY)).result(5)["orders"].percent == 100, 15, "it was up")
    assert monitor.ask(ReadIncidents()).result(5) == []


def test_after_sleep_every_tunnel_is_tried_at_once_and_it_is_no_downtime(
    world: World, sshd: Sshd, postgres: Postgres, started: Callable[[LocalMonitor], LocalMonitor]
) -> None:
    suspended = [0.0]
    heard: list[AnyEvent] = []
    world.write(world.server(postgres, sshd, every=600))
    monitor = LocalMonitor(world.paths, sleep=SleepMeter(lambda: suspended[0]))
    monitor.listen(heard.append)
    started(monitor)
    wait_for(lambda: all_are(monitor, Health.UP), 15, "it is up")
    suspended[0] = 7200.0
    wait_for(lambda: len(monitor.snapshot().rows[0].recent) == 2, 15, "it is probed at once on waking")
    assert [event.seconds for event in heard if isinstance(event, Slept)] == [7200.0]
    assert any(line.text == "the machine slept for 2 h" for line in monitor.log_after(0))
    monitor.stop(5)
    found = reader_of(world).uptimes(DAY)["orders"]
    assert found.asleep > 0
    assert found.down == 0


@pytest.mark.parametrize("moment", [1, 7, 20])
def test_kill_9_loses_a_second_at_most_and_breaks_nothing(
    home: World, sshd: Sshd, postgres: Postgres, moment: int
) -> None:
    home.write(*(home.server(postgres, sshd, name=f"server-{number}") for number in range(5)))
    with Watching() as watching:
        watching.until(lambda: len(watching.of("probe_finished")) >= moment, "probes are printed")
        killed = datetime.now().timestamp()
        watching.process.kill()
        watching.process.wait()
    printed = nothing_is_broken_or_missing(home, watching, killed)
    assert printed or moment < 20


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_kill_9_at_fifty_random_moments_of_one_history(home: World, sshd: Sshd, postgres: Postgres) -> None:
    home.write(*(home.server(postgres, sshd, name=f"server-{number}") for number in range(5)))
    printed: set[tuple[str, str]] = set()
    for _ in range(50):
        with Watching() as watching:
            threading.Event().wait(random.uniform(0.2, 3.5))  # noqa: S311 - a moment, no condition
            killed = datetime.now().timestamp()
            watching.process.kill()
            watching.process.wait()
        printed |= nothing_is_broken_or_missing(home, watching, killed, printed)
    assert printed


def test_a_full_disk_stops_nothing_and_loses_nothing(home: World, sshd: Sshd, postgres: Postgres) -> None:
    home.write(home.server(postgres, sshd))
    with Watching() as watching:
        watching.until(lambda: reader_of(home).lines(), "something is kept")
        limits = resource.prlimit(watching.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(watching.process.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
        watching.until(lambda: watching.of("noted"), "it is said")
        assert "cannot be written" in watching.of("noted")[0]["text"]
        seen = len(watching.of("probe_finished"))
        watching.until(lambda: len(watching.of("probe_finished")) >= seen + 2, "probing goes on")
        resource.prlimit(watching.process.pid, resource.RLIMIT_FSIZE, limits)
        watching.until(lambda: len(watching.of("noted")) == 2, "it is said that it works again")
        assert "written again" in watching.of("noted")[1]["text"]
        assert watching.end(signal.SIGTERM) == 0
    kept = [line.result for line in reader_of(home).lines(LogQuery(limit=1000)) if line.result]
    assert len(kept) == len(watching.of("probe_finished"))


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)]
)
def test_watch_ends_cleanly_by_signal_with_everything_kept(
    home: World, sshd: Sshd, postgres: Postgres, number: signal.Signals, status: int
) -> None:
    home.write(home.server(postgres, sshd))
    with Watching() as watching:
        watching.until(lambda: len(watching.of("probe_finished")) >= 2, "probes are printed")
        assert watching.end(number) == status
    assert not list(home.paths.state.glob("history.db-*")), "the file was closed in order"
    kept = [line.result for line in reader_of(home).lines(LogQuery(limit=1000)) if line.result]
    assert len(kept) == len(watching.of("probe_finished"))
    wait_for(lambda: not sshd.sessions(), 10, "no SSH session is left")


def test_watch_follows_the_file_and_refuses_to_run_twice(home: World, sshd: Sshd, postgres: Postgres) -> None:
    home.write(home.server(postgres, sshd))
    with Watching() as watching:
        watching.until(lambda: watching.of("probe_finished"), "it is probed")
        second = canary("watch")
        assert second.returncode == 1
        assert str(watching.process.pid) in second.stderr
        home.tools.file.set_value("orders", ("enabled",), False)
        watching.until(lambda: "closed" in tunnel_states(watching), "it is closed")
        home.tools.file.set_value("orders", ("enabled",), True)
        watching.until(lambda: tunnel_states(watching)[-1] == "up", "it is up again")
        assert watching.end(signal.SIGTERM) == 0


def test_a_reader_that_stops_reading_stops_neither_probes_nor_the_end(
    home: World, sshd: Sshd, postgres: Postgres
) -> None:
    home.write(*(home.server(postgres, sshd, name=f"server-{number}") for number in range(5)))
    with Watching(read=False) as watching:
        assert watching.process.stdout is not None
        pipe = watching.process.stdout.fileno()
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        watching.until(lambda: waiting_in(pipe) > 3000, "the pipe is full")
        before = len(reader_of(home).lines(LogQuery(limit=1000)))
        watching.until(
            lambda: len(reader_of(home).lines(LogQuery(limit=1000))) > before + 10, "probing goes on"
        )
        assert watching.end(signal.SIGTERM) == 0


def test_watch_ends_when_nobody_reads_it_any_more(home: World, sshd: Sshd, postgres: Postgres) -> None:
    home.write(home.server(postgres, sshd))
    with Watching(read=False) as watching:
        assert watching.process.stdout is not None
        assert watching.process.stdout.readline()
        watching.process.stdout.close()
        assert watching.process.wait(15) == 141
    wait_for(lambda: not sshd.sessions(), 10, "no SSH session is left")


def test_log_and_incidents_tell_the_past_in_words_and_json(
    home: World, sshd: Sshd, make_postgres: Callable[..., Postgres]
) -> None:
    database = make_postgres()
    home.write(home.server(database, sshd))
    with Watching() as watching:
        watching.until(lambda: any(e["probe"]["ok"] for e in watching.of("probe_finished")), "it is up")
        database.stop("immediate")
        watching.until(lambda: watching.of("incident_changed"), "an incident is printed")
        assert watching.end(signal.SIGTERM) == 0
    found = canary("log", "orders", "--since", "1h")
    assert (found.returncode, found.stderr) == (0, "")
    assert "tunnel up" in found.stdout
    assert "✓" in found.stdout
    printed = [event["probe"] for event in watching.of("probe_finished")]
    assert [json.loads(line) for line in canary("log", "--json").stdout.splitlines()] == printed
    failed = [json.loads(line) for line in canary("log", "--json", "--failures").stdout.splitlines()]
    assert failed == [probe for probe in printed if not probe["ok"]] != []
    (incident,) = [json.loads(line) for line in canary("incidents", "--json").stdout.splitlines()][-1:]
    assert incident["servers"] == ["orders"]
    assert incident["ended"] is None
    assert "it goes on" in canary("incidents").stdout
    assert canary("log", "nobody").returncode == 2
    assert canary("log", "--since", "soon").returncode == 2
    nothing = canary("log", "--since", "0s")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "The history has nothing of that" in nothing.stderr


def test_the_past_of_a_direct_server_has_its_own_names_for_the_stages(
    home: World, postgres: Postgres
) -> None:
    home.write(home.server(postgres, port=1))
    with Watching() as watching:
        watching.until(lambda: watching.of("incident_changed"), "an incident is printed")
        assert watching.end(signal.SIGTERM) == 0
    for command in ("log", "incidents"):
        said = canary(command).stdout
        assert "database connect: The database" in said, said
        assert "SSH connect" not in said


def rounded(result: ProbeResult | None) -> ProbeResult | None:
    """A probe with its start to the millisecond, as the contract tells it."""
    return result and msgspec.structs.replace(result, started_at=round(result.started_at, 3))
