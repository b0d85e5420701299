"""What has slept, or is in another network, is up again when it can be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from canary_tui.monitor.events import Slept, TunnelState
from canary_tui.monitor.network import NetworkMeter
from canary_tui.monitor.sleep import SleepMeter
from tests.harness.ports import wait_for
from tests.harness.proxy import Proxy
from tests.servers.recovering import results, watched
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World


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
