"""Several machines behind one address, each with a host key of its own: both may be trusted."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys.authorized import restricted_line
from canary_tui.keys.ssh_software import software
from tests.harness.dropbear import Dropbear
from tests.servers.cli import spawn
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

    Balance = Callable[..., Awaitable["RoundRobin"]]


class RoundRobin:
    """A load balancer: each connection goes to the next of its servers."""

    def __init__(self, *servers: Sshd | Dropbear) -> None:
        self.servers = servers
        self.number = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection through."""
        server = self.servers[self.number % len(self.servers)]
        self.number += 1
        there_reader, there_writer = await asyncio.open_connection(server.host, server.port)
        await asyncio.gather(_pipe(reader, there_writer), _pipe(there_reader, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def behind_one_address() -> AsyncIterator[Callable[..., Awaitable[RoundRobin]]]:
    """Put servers behind one address."""
    async with AsyncExitStack() as listeners:

        async def balance(*servers: Sshd | Dropbear) -> RoundRobin:
            robin = RoundRobin(*servers)
            listener = await asyncio.start_server(robin.serve, "127.0.0.1", 0)
            listeners.callback(listener.close)
            robin.port = listener.sockets[0].getsockname()[1]
            return robin

        yield balance


async def all_are_trusted(world: World, balancer: RoundRobin, database: Postgres | MariaDB) -> None:
    """Trust the first server's key, and add those of the others as the remedy and the command say."""
    first, *others = balancer.servers
    server = with_ssh(world.server(database, first, install=False), port=balancer.port)
    key = world.key("orders").line
    for ssh in balancer.servers:
        kind = software("SSH-2.0-dropbear_2022.83" if isinstance(ssh, Dropbear) else "")
        ssh.authorize(restricted_line(key, server.database.host, server.database.port, kind))
    world.trust(first, balancer.port)
    world.write(server)
    assert (await world.probe(server)).ok
    for number, _ in enumerate(others, 1):
        balancer.number = number
        failure = (await world.probe(server)).failure
        assert failure is not None
        assert failure.cause is Cause.HOST_KEY_CHANGED
        assert any("canary trust orders --add" in remedy for remedy in failure.remedies)

        balancer.number = number
        asked = await asyncio.to_thread(spawn, world, "trust", "orders")
        assert asked.status == 2
        assert "--add" in asked.err
        fingerprint = asked.out.split()[-1]
        balancer.number = number
        added = await asyncio.to_thread(
            spawn, world, "trust", "orders", "--add", "--fingerprint", fingerprint
        )
        assert added.status == 0, added.err
        both = await asyncio.to_thread(
            spawn, world, "trust", "orders", "--add", "--replace", "--fingerprint", fingerprint
        )
        assert both.status == 2
    for _ in range(2 * len(balancer.servers)):
        assert (await world.probe(server)).ok


async def test_both_keys_are_trusted_beside_each_other(
    world: World, behind_one_address: Balance, make_sshd: Callable[..., Sshd], postgres: Postgres
) -> None:
    first, second = make_sshd(), make_sshd()
    await all_are_trusted(world, await behind_one_address(first, second), postgres)
    assert second.logins() >= 2


async def test_three_keys_of_different_types_are(
    world: World, behind_one_address: Balance, make_sshd: Callable[..., Sshd], mariadb: MariaDB
) -> None:
    servers = [make_sshd(host_key_types=(kind,)) for kind in ("rsa", "ecdsa", "ed25519")]
    await all_are_trusted(world, await behind_one_address(*servers), mariadb)
    assert all(ssh.logins() >= 2 for ssh in servers)


async def test_those_of_two_kinds_of_server_are(
    world: World,
    behind_one_address: Balance,
    make_sshd: Callable[..., Sshd],
    make_dropbear: Callable[..., Dropbear],
    postgres: Postgres,
) -> None:
    await all_are_trusted(world, await behind_one_address(make_sshd(), make_dropbear()), postgres)
