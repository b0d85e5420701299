"""Other users of this machine at the local end: they get nothing, cost nothing, and are told in one line."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.trace import Trace
from canary_tui.monitor.events import ClientsChanged, TunnelState
from canary_tui.tunnels.link import ProbeLink
from canary_tui.tunnels.route import DirectRoute
from tests.harness.misbehave import Says
from tests.harness.neighbours import Flood
from tests.harness.ports import eventually
from tests.servers.held_tunnel import held_tunnel, mysql, psql

if TYPE_CHECKING:
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.held_tunnel import HeldTunnel
    from tests.servers.world import World

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tell"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user"),
]


def clients_seen(at_work: HeldTunnel) -> int:
    """How often it was told that a client came or left."""
    return sum(isinstance(event, ClientsChanged) for event in at_work.events)


async def test_one_who_connects_thousands_of_times_a_second_is_no_client_and_one_line(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    async with held_tunnel(world, world.server(postgres, sshd)) as at_work:
        await at_work.until(TunnelState.UP)
        with Flood("127.0.0.1", at_work.port, rate=4000, seconds=60, user="nobody") as flood:
            for _ in range(5):
                assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}") == "hello"
            assert flood.running, "it was not over before"
        await eventually(lambda: at_work.supervisor.clients == 0)
        assert clients_seen(at_work) == 10, "five that came and left: ours"
        assert len(at_work.refused) == 1
        assert at_work.refused[0].startswith(("a client of another user (nobody, uid ", "a client (port "))
    assert " more clients of other users (nobody, uid " in at_work.refused[1]
    assert len(at_work.refused) == 2


async def test_a_probes_own_port_is_the_drivers_though_others_come_first() -> None:
    with Says(b"hello", then="silence") as server:
        route = DirectRoute(server.host, server.port)
        async with await ProbeLink.through(route, Trace(time.perf_counter)) as link:
            host, port = await link.local_address()
            with Flood(host, port, rate=4000, seconds=60, user="nobody"):
                await asyncio.sleep(0)
                reader, writer = await asyncio.open_connection(host, port)
                assert await reader.readexactly(5) == b"hello"
                writer.close()
                await writer.wait_closed()


async def test_two_of_them_at_two_ports_keep_nobody_from_his_own(
    world: World, sshd: Sshd, postgres: Postgres, mariadb: MariaDB
) -> None:
    orders, stock = world.server(postgres, sshd), world.server(mariadb, sshd, name="stock")
    async with held_tunnel(world, orders) as one, held_tunnel(world, stock) as other:
        await one.until(TunnelState.UP)
        await other.until(TunnelState.UP)
        with (
            Flood("127.0.0.1", one.port, rate=2000, seconds=60, user="nobody"),
            Flood("127.0.0.1", other.port, rate=2000, seconds=60, user="daemon"),
        ):
            assert await psql(postgres, f"host=127.0.0.1 port={one.port}") == "hello"
            assert await mysql(mariadb, ["--host=127.0.0.1", f"--port={other.port}"]) == "hello"
        await eventually(lambda: one.supervisor.clients == other.supervisor.clients == 0)
        assert clients_seen(one) == clients_seen(other) == 2
    assert len(one.refused) == len(other.refused) == 2
    assert "nobody" in one.refused[1]
    assert "daemon" in other.refused[1]
