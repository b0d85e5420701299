"""A local port is one number on 127.0.0.1 and ::1, and who else has a part of it is said."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor import ipv6_end, local_ports
from canary_tui.monitor.events import LocalEndChanged, TunnelState
from tests.harness.neighbours import Flood, Squatter
from tests.harness.ports import eventually, free_port, has_ipv6
from tests.servers.cli import finish, start
from tests.servers.held_tunnel import held_tunnel, mysql, psql
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.held_tunnel import HeldTunnel
    from tests.servers.world import World

ROOT = Path(__file__).parents[2]
IPV6_OFF = Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
WITHOUT_IPV6 = "CANARY_TEST_WITHOUT_IPV6"
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="only root can be another user"
)


@pytest.fixture
def _tried_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipv6_end, "TRY_SECONDS", 0.05)


def troubles(at_work: HeldTunnel) -> list[str]:
    """What was said of the local port."""
    return [event.trouble for event in at_work.events if isinstance(event, LocalEndChanged)]


@needs_ipv6
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_clients_of_both_engines_reach_their_database_by_each_name(
    world: World, sshd: Sshd, postgres: Postgres, mariadb: MariaDB, host: str
) -> None:
    orders, stock = world.server(postgres, sshd), world.server(mariadb, sshd, name="stock")
    async with held_tunnel(world, orders) as one, held_tunnel(world, stock) as other:
        await one.until(TunnelState.UP)
        await other.until(TunnelState.UP)
        assert await psql(postgres, f"host={host} port={one.port}") == "hello"
        assert await mysql(mariadb, [f"--host={host}", f"--port={other.port}", "--protocol=tcp"]) == "hello"
        assert troubles(one) == troubles(other) == []
        assert one.supervisor.local == f"127.0.0.1:{one.port}"
        port = one.port
    for sock in local_ports.listening_on_both(port):
        sock.close()


@needs_ipv6
@as_root
@pytest.mark.usefixtures("_tried_often")
@pytest.mark.parametrize("address", ["::1", "::"])
async def test_another_users_listener_on_the_other_address_is_said_once_and_replaced_when_it_is_gone(
    world: World, sshd: Sshd, postgres: Postgres, address: str
) -> None:
    port = free_port()
    with Squatter(address, port, "reuseaddr", user="nobody") as squatter:
        assert squatter.said == "ready"
        async with held_tunnel(world, with_ssh(world.server(postgres, sshd), local_port=port)) as at_work:
            await at_work.until(TunnelState.UP)
            await eventually(lambda: troubles(at_work))
            assert await psql(postgres, f"host=127.0.0.1 port={port}") == "hello"
            uid = pwd.getpwnam("nobody").pw_uid
            # The process is told where the system lets us look at it, as it does root.
            whose = f"[::1]:{port} belongs to a program of another user (nobody, uid {uid}, python"
            assert troubles(at_work)[0].startswith(whose)
            assert f", pid {pid(squatter)}): connect to 127.0.0.1, " in troubles(at_work)[0]
            await eventually(lambda: at_work.supervisor.clients == 0)
            assert len(troubles(at_work)) == 1
            assert squatter.stop() == "", "nobody was sent there"
            await eventually(lambda: len(troubles(at_work)) == 2)
            assert troubles(at_work)[1] == ""
            assert await psql(postgres, f"host=::1 port={port}") == "hello"
            with Squatter(address, port, "reuseaddr", user="nobody") as late:
                assert late.said.startswith("error"), "it is ours now"


def pid(squatter: Squatter) -> int:
    """The process's id."""
    assert squatter._process is not None
    return squatter._process.pid


@needs_ipv6
@pytest.mark.usefixtures("_tried_often")
async def test_a_program_of_our_own_on_the_other_address_is_said_by_its_name(
    world: World, sshd: Sshd, mariadb: MariaDB
) -> None:
    port = free_port()
    with Squatter("::1", port) as squatter:
        async with held_tunnel(world, with_ssh(world.server(mariadb, sshd), local_port=port)) as at_work:
            await at_work.until(TunnelState.UP)
            await eventually(lambda: troubles(at_work))
            if sys.platform.startswith("linux"):
                assert "another program (python" in troubles(at_work)[0]
                assert f", pid {pid(squatter)})" in troubles(at_work)[0]
            assert await mysql(mariadb, ["--host=127.0.0.1", f"--port={port}"]) == "hello"
    assert len(troubles(at_work)) == 1, "it ends with the tunnel, and that is no news of the port"


@needs_ipv6
@as_root
async def test_a_wildcard_that_covers_both_addresses_is_a_port_that_is_taken(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    port = free_port()
    with Squatter("::", port, "dual", "reuseaddr", "reuseport", user="nobody") as squatter:
        async with held_tunnel(world, with_ssh(world.server(postgres, sshd), local_port=port)) as at_work:
            await at_work.until(TunnelState.WAITING)
            assert at_work.supervisor.failure is not None
            assert at_work.supervisor.failure.cause.value == "local_port_taken"
            assert at_work.supervisor.local == ""
        assert squatter.stop() == ""


@needs_ipv6
async def test_a_port_of_ones_own_choice_is_free_on_both_addresses(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    port = free_port()
    server = with_ssh(world.server(postgres, sshd), local_port=port)
    async with held_tunnel(world, server) as first, held_tunnel(world, server, any_port=True) as second:
        await first.until(TunnelState.UP)
        await second.until(TunnelState.UP)
        assert second.port != port
        assert await psql(postgres, f"host=::1 port={second.port}") == "hello"
        assert troubles(first) == troubles(second) == []


@needs_ipv6
@as_root
async def test_strangers_on_the_other_address_are_turned_away_as_well(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    async with held_tunnel(world, world.server(postgres, sshd)) as at_work:
        await at_work.until(TunnelState.UP)
        with Flood("::1", at_work.port, rate=2000, seconds=60, user="nobody"):
            assert await psql(postgres, f"host=::1 port={at_work.port}") == "hello"
            assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}") == "hello"
        said = await psql(postgres, f"host=::1 port={at_work.port}", user="daemon")
        assert "server closed the connection unexpectedly" in said
    assert len(at_work.refused) == 2


@needs_ipv6
def test_canary_connect_says_who_has_the_other_address(world: World, sshd: Sshd, postgres: Postgres) -> None:
    port = free_port()
    world.write(with_ssh(world.server(postgres, sshd), local_port=port))
    with Squatter("::1", port):
        process = start(world, "connect", "orders")
        said = ""
        assert process.stderr is not None
        while "belongs to" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGINT)
        outcome = finish(process)
    assert outcome.status == 130
    assert f"[::1]:{port} belongs to another program (" in said
    assert (said + outcome.err).count("belongs to") == 1


# No IPv6 at all


@pytest.mark.skipif(WITHOUT_IPV6 not in os.environ, reason="runs inside of the next test")
async def test_there_is_no_ipv6_here_and_all_goes_well(
    world: World, sshd: Sshd, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not has_ipv6()
    monkeypatch.setattr(ipv6_end, "TRY_SECONDS", 0.01)
    async with held_tunnel(world, world.server(postgres, sshd)) as at_work:
        await at_work.until(TunnelState.UP)
        for host in ("127.0.0.1", "localhost"):
            assert await psql(postgres, f"host={host} port={at_work.port}") == "hello"
        assert troubles(at_work) == []
        if os.geteuid() == 0:
            await asyncio.to_thread(IPV6_OFF.write_text, "0")
            await eventually(has_ipv6)
            said = "Connection refused"
            while "Connection refused" in said:  # taken up as soon as there is one
                said = await psql(postgres, f"host=::1 port={at_work.port}")
            assert said == "hello"
        assert troubles(at_work) == [], "it is no trouble, neither before nor after"


@as_root
def test_a_machine_without_ipv6_is_no_error() -> None:
    """In a network of its own, in which ``lo`` has no ::1."""
    inside = f"ip link set lo up && echo 1 > {IPV6_OFF} && exec"
    test = f"{__file__}::{test_there_is_no_ipv6_here_and_all_goes_well.__name__}"
    command = f'{inside} "$0" -m pytest -q -p no:cacheprovider "$1"'
    if subprocess.run(["unshare", "--net", "true"], check=False).returncode != 0:
        pytest.skip("no network namespace can be made here")
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", command, sys.executable, test],
        cwd=ROOT,
        env=os.environ | {WITHOUT_IPV6: "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
