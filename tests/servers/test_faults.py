"""What breaks is up again when it can be: same local port, nothing left behind, nobody hammered."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.board import Health
from canary_tui.monitor.events import ProbeFinished, ProbeStarted, Slept, TunnelChanged, TunnelState
from canary_tui.monitor.network import NetworkMeter
from canary_tui.monitor.service import Monitor
from canary_tui.monitor.sleep import SleepMeter
from tests.harness.ports import is_listening, wait_for
from tests.harness.proxy import Proxy
from tests.servers.leftovers import sockets
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.monitor.board import Row
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.servers.model import Server
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

LIMIT = 20.0
NOTICED = 15.0
"""Seconds within which a dead peer is known."""
LONGEST_WAIT = 30.0
"""Seconds: the longest wait between two attempts in trouble with the network."""
AGAIN = 2.0
"""Seconds, beside the wait until the next attempt, within which a tunnel that can be up is up."""


class Watched:
    """A monitor that holds one server, seen from outside."""

    def __init__(self, monitor: Monitor, chance: float) -> None:
        self.monitor = monitor
        self.chance = chance
        """What decides how long is waited, of the longest wait that there may be."""
        self.events: list[AnyEvent] = []
        monitor.listen(self.events.append)

    def begin(self) -> None:
        """Hold the server."""
        self.monitor.hold("orders")
        self.up(LIMIT)
        self.port = self.row.local
        self.before = self.counts()

    @property
    def row(self) -> Row:
        """How the server stands."""
        found = self.monitor.snapshot().row("orders")
        assert found is not None
        return found

    def until(self, what: Callable[[Row], object], limit: float = LIMIT) -> Row:
        """Wait until the server stands so."""
        try:
            wait_for(lambda: what(self.row), limit)
        except TimeoutError:
            lines = [line.text or str(line.result) for line in self.monitor.log_after(0)]
            raise AssertionError(f"not within {limit} s: {self.row}\n" + "\n".join(lines[-10:])) from None
        return self.row

    def up(self, limit: float) -> None:
        """Wait until the tunnel is up and a probe has passed since."""
        self.until(lambda row: row.health is Health.UP and row.tunnel is TunnelState.UP, limit)

    def down(self, limit: float = LIMIT) -> Row:
        """Wait until the tunnel is known not to stand; its local port stays bound."""
        found = self.until(lambda row: row.tunnel is not TunnelState.UP, limit)
        assert is_listening(int(self.port.rpartition(":")[2]))
        return found

    def probed(self, times: int) -> None:
        """Wait for some more probes that pass."""
        passed = self.passed() + times
        self.until(lambda _: self.passed() >= passed)

    def passed(self) -> int:
        """How many probes have passed."""
        return sum(result.ok for result in results(self))

    def recovered(self) -> None:
        """See it up again in time, on the port that it had, with nothing left behind."""
        self.up(LONGEST_WAIT * self.chance + AGAIN)
        assert self.row.local == self.port
        wait_for(lambda: self.counts() == self.before, 5.0, f"{self.before}, not {self.counts()}")

    def counts(self) -> tuple[int, int, list[str]]:
        """How many sockets and threads there are, and which tasks; a probe under way is waited for."""
        wait_for(lambda: not self._is_probing())
        tasks = sorted(task.get_name().rstrip("0123456789") for task in asyncio.all_tasks(self.monitor._loop))
        return len(sockets()), threading.active_count(), [name for name in tasks if name != "Task-"]

    def _is_probing(self) -> bool:
        probes = (event for event in reversed(self.events) if isinstance(event, ProbeStarted | ProbeFinished))
        return isinstance(next(probes, None), ProbeStarted)


@contextmanager
def watched(
    world: World,
    *servers: Server,
    chance: float = 0.0,
    sleep: SleepMeter | None = None,
    network: NetworkMeter | None = None,
) -> Iterator[Watched]:
    """A monitor at work, whose end must leave nothing."""
    world.write(*servers)
    here = len(sockets())
    seen = Watched(Monitor(world.paths, chance=lambda: seen.chance, sleep=sleep, network=network), chance)
    monitor = seen.monitor
    monitor.start()
    try:
        wait_for(lambda: monitor.snapshot().loaded, LIMIT)
        seen.begin()
        yield seen
    finally:
        assert monitor.stop(5), "everything is closed in time"
    assert "monitor" not in {thread.name for thread in threading.enumerate()}
    wait_for(lambda: len(sockets()) <= here, what="no socket is left")


@pytest.fixture
def own_sshd(make_sshd: Callable[..., Sshd]) -> Sshd:
    """An sshd that may be broken."""
    return make_sshd()


def test_sshd_is_killed_and_started_again(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with watched(world, world.server(postgres, own_sshd)) as seen:
        for _ in range(3):
            own_sshd.kill()
            seen.down()
            own_sshd.start()
            seen.recovered()
        assert len(own_sshd.sessions()) == 1


def test_sshd_is_stopped_and_continued(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with watched(world, world.server(postgres, own_sshd, timeout=1.0)) as seen:
        own_sshd.suspend()
        try:
            seen.down(NOTICED)
        finally:
            own_sshd.resume()
        seen.recovered()
        wait_for(lambda: len(own_sshd.sessions()) == 1, what="the old session has ended")


def test_packets_between_are_swallowed_and_pass_again(
    world: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    with Proxy((own_sshd.host, own_sshd.port)) as proxy:
        server = with_ssh(world.server(postgres, own_sshd), port=proxy.port)
        world.trust(own_sshd, proxy.port)
        with watched(world, server) as seen:
            proxy.drop()
            found = seen.until(lambda row: row.failure)
            assert found.failure is not None
            assert found.failure.cause.value == "tunnel_lost", "the silence is not the database's"
            seen.down(NOTICED)
            proxy.resume()
            seen.recovered()
            wait_for(lambda: len(own_sshd.sessions()) == 1, what="the old session has ended")


def test_the_connection_is_reset(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with Proxy((own_sshd.host, own_sshd.port)) as proxy:
        server = with_ssh(world.server(postgres, own_sshd), port=proxy.port)
        world.trust(own_sshd, proxy.port)
        with watched(world, server) as seen:
            logins = own_sshd.logins()
            for number in (1, 2, 3):
                proxy.cut()
                wait_for(lambda n=number: own_sshd.logins() >= logins + n, LIMIT)  # type: ignore[misc]
                seen.recovered()


def test_the_database_is_restarted(world: World, sshd: Sshd, make_postgres: Callable[..., Postgres]) -> None:
    postgres = make_postgres()
    with watched(world, world.server(postgres, sshd)) as seen:
        logins = sshd.logins()
        postgres.kill()
        found = seen.until(lambda row: row.failure)
        assert found.failure is not None
        assert found.failure.stage.value == "forward"
        assert found.tunnel is TunnelState.UP, "the tunnel is fine, and is kept"
        postgres.start()
        seen.recovered()
        assert sshd.logins() == logins


def test_sshd_refuses_for_a_while(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with watched(world, world.server(postgres, own_sshd)) as seen:
        own_sshd.stop()
        found = seen.until(lambda row: row.tunnel is TunnelState.WAITING)
        assert found.retry_at is not None
        seen.until(lambda _: states(seen).count(TunnelState.OPENING) >= 5)
        own_sshd.start()
        seen.recovered()


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_sshd_refuses_for_two_minutes(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with watched(world, world.server(postgres, own_sshd), chance=0.999) as seen:
        own_sshd.stop()
        end = time.monotonic() + 120
        wait_for(lambda: time.monotonic() > end, 130)
        attempts = states(seen).count(TunnelState.OPENING)
        assert attempts < 20, "it backs off"
        own_sshd.start()
        seen.recovered()


def test_the_key_is_removed_and_put_back(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with watched(world, world.server(postgres, own_sshd)) as seen:
        line = own_sshd.authorized_keys.read_text()
        own_sshd.deauthorize()
        own_sshd.kill_sessions()
        found = seen.until(lambda row: row.tunnel is TunnelState.WAITING)
        assert found.failure is not None
        assert found.failure.cause.value == "key_not_accepted"
        assert found.retry_at is not None
        assert found.retry_at > time.time() + 30, "a key that was refused is not hammered"
        own_sshd.authorize(line)
        seen.monitor.retry_now("orders")
        seen.recovered()


def test_the_host_key_is_replaced(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with watched(world, world.server(postgres, own_sshd)) as seen:
        own_sshd.replace_host_keys()
        found = seen.until(lambda row: row.tunnel is TunnelState.STOPPED)
        assert found.failure is not None
        assert found.failure.cause.value == "host_key_changed"
        assert found.host_key is not None
        seen.monitor.trust("orders", found.host_key).result(5)
        seen.recovered()


def test_the_servers_file_is_broken_and_mended(world: World, sshd: Sshd, postgres: Postgres) -> None:
    with watched(world, world.server(postgres, sshd)) as seen:
        logins, text = sshd.logins(), world.paths.servers.read_text()
        world.paths.servers.write_text("servers: [nonsense\n")
        wait_for(lambda: seen.monitor.snapshot().problems, LIMIT)
        seen.probed(2)
        world.paths.servers.unlink()
        world.paths.servers.write_text(text)
        wait_for(lambda: not seen.monitor.snapshot().problems, LIMIT)
        seen.recovered()
        assert sshd.logins() == logins


@pytest.mark.parametrize("step", [86_400.0, -86_400.0])
def test_the_clock_is_set(
    world: World, sshd: Sshd, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    with watched(world, world.server(postgres, sshd)) as seen:
        logins, real = sshd.logins(), time.time
        monkeypatch.setattr(time, "time", lambda: real() + step)
        seen.probed(3)
        seen.recovered()
        assert sshd.logins() == logins
        assert not any(isinstance(event, Slept) for event in seen.events), "a set clock is no sleep"


class Suspension:
    """A machine that sleeps when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def meter(self) -> SleepMeter:
        """What the monitor looks at."""
        return SleepMeter(lambda: self.seconds)


def test_a_tunnel_that_died_in_its_sleep_is_found_out_on_waking(
    world: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    machine = Suspension()
    with Proxy((own_sshd.host, own_sshd.port)) as proxy:
        server = with_ssh(world.server(postgres, own_sshd, every=3600.0), port=proxy.port)
        world.trust(own_sshd, proxy.port)
        with watched(world, server, sleep=machine.meter()) as seen:
            proxy.drop()
            machine.seconds = 3600.0
            found = seen.until(
                lambda row: row.tunnel is TunnelState.LOST or row.tunnel is TunnelState.OPENING
            )
            assert "opened no channel" in "".join(line.text for line in seen.monitor.log_after(0)), found
            proxy.resume()
            seen.recovered()


def test_a_tunnel_that_outlived_the_sleep_is_kept(world: World, sshd: Sshd, postgres: Postgres) -> None:
    machine = Suspension()
    with watched(world, world.server(postgres, sshd), sleep=machine.meter()) as seen:
        logins = sshd.logins()
        for _ in range(3):
            machine.seconds += 3600.0
            seen.probed(2)
        seen.recovered()
        assert sshd.logins() == logins


def test_waking_ends_a_wait_for_the_network(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    machine = Suspension()
    with watched(world, world.server(postgres, own_sshd), sleep=machine.meter()) as seen:
        own_sshd.stop()
        seen.chance = 0.999
        seen.until(lambda row: (row.retry_at or 0) > time.time() + 5)
        seen.chance = 0.0
        own_sshd.start()
        machine.seconds = 3600.0
        seen.recovered()


def test_another_network_ends_a_wait_for_the_network(
    world: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    ways = {("wlan0", "home")}
    meter = NetworkMeter(lambda: frozenset(ways))
    with watched(world, world.server(postgres, own_sshd), network=meter) as seen:
        own_sshd.stop()
        seen.chance = 0.999
        seen.until(lambda row: (row.retry_at or 0) > time.time() + 5)
        seen.chance = 0.0
        own_sshd.start()
        ways.add(("wlan0", "office"))
        seen.recovered()


def test_waking_is_no_reason_to_offer_a_refused_key_again(
    world: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    machine = Suspension()
    with watched(world, world.server(postgres, own_sshd), sleep=machine.meter()) as seen:
        own_sshd.deauthorize()
        own_sshd.kill_sessions()
        seen.until(lambda row: row.tunnel is TunnelState.WAITING)
        for _ in range(3):
            failed, machine.seconds = len(results(seen)), machine.seconds + 3600.0
            wait_for(lambda: any(isinstance(event, Slept) for event in seen.events))
            seen.until(lambda _, failed=failed: len(results(seen)) > failed)  # type: ignore[misc]
        assert own_sshd.refused_logins() == 1


def results(seen: Watched) -> list[ProbeResult]:
    """The probes so far."""
    return [line.result for line in seen.monitor.log_after(0, 100_000) if line.result]


def states(seen: Watched) -> list[TunnelState]:
    """The states that the tunnel went through."""
    return [event.state for event in seen.events if isinstance(event, TunnelChanged)]


def test_many_servers_log_in_two_at_a_time(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    names = ["orders", *(f"server-{number}" for number in range(9))]
    own_sshd.options = {"MaxStartups": "4:100:4"}  # a fifth that has not logged in is turned away
    own_sshd.restart()
    with watched(world, *(world.server(postgres, own_sshd, name=name) for name in names)) as seen:
        for name in names[1:]:
            seen.monitor.hold(name)
        everyone_up(seen.monitor)
        own_sshd.kill_sessions()
        everyone_up(seen.monitor)
        assert "exceeded MaxStartups" not in own_sshd.log_text()
        assert len(own_sshd.sessions()) == len(names)


def everyone_up(monitor: Monitor) -> None:
    """Wait until each tunnel is up."""
    wait_for(lambda: all(row.tunnel is TunnelState.UP for row in monitor.snapshot().rows), LIMIT)
