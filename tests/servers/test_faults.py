"""What breaks is up again when it can be: same local port, nothing left behind, nobody hammered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.events import Slept, TunnelChanged, TunnelState
from canary_tui.monitor.local import LocalMonitor
from canary_tui.monitor.requests import RetryNow, Trust
from tests.harness.ports import wait_for
from tests.harness.proxy import Proxy
from tests.servers.recovering import LIMIT, Watched, watched
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

NOTICED = 15.0
"""Seconds within which a dead peer is known."""


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
        seen.monitor.ask(RetryNow("orders"))
        seen.recovered()


def test_the_host_key_is_replaced(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with watched(world, world.server(postgres, own_sshd)) as seen:
        own_sshd.replace_host_keys()
        found = seen.until(lambda row: row.tunnel is TunnelState.STOPPED)
        assert found.failure is not None
        assert found.failure.cause.value == "host_key_changed"
        assert found.host_key is not None
        seen.monitor.ask(Trust("orders", found.host_key)).result(5)
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


def states(seen: Watched) -> list[TunnelState]:
    """The states that the tunnel went through."""
    return [event.state for event in seen.events if isinstance(event, TunnelChanged)]


def test_many_servers_log_in_two_at_a_time(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    names = ["orders", *(f"server-{number}" for number in range(9))]
    own_sshd.options = {"MaxStartups": "4:100:4"}  # a fifth that has not logged in is turned away
    own_sshd.restart()
    with watched(world, *(world.server(postgres, own_sshd, name=name) for name in names)) as seen:
        everyone_up(seen.monitor)
        own_sshd.kill_sessions()
        everyone_up(seen.monitor)
        assert "exceeded MaxStartups" not in own_sshd.log_text()
        assert len(own_sshd.sessions()) == len(names)


def everyone_up(monitor: LocalMonitor) -> None:
    """Wait until each tunnel is up."""
    wait_for(lambda: all(row.tunnel is TunnelState.UP for row in monitor.snapshot().rows), LIMIT)
