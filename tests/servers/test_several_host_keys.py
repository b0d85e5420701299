"""Several machines behind one address, each with a host key of its own: both may be trusted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys.authorized import restricted_line
from tests.servers.cli import spawn
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World


class RoundRobin:
    """A load balancer: each connection goes to the next of its servers."""

    def __init__(self, *servers: Sshd) -> None:
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
async def balancer(make_sshd: Callable[..., Sshd]) -> AsyncIterator[RoundRobin]:
    robin = RoundRobin(make_sshd(), make_sshd())
    listener = await asyncio.start_server(robin.serve, "127.0.0.1", 0)
    robin.port = listener.sockets[0].getsockname()[1]
    yield robin
    listener.close()


async def test_both_keys_are_trusted_beside_each_other(
    world: World, balancer: RoundRobin, postgres: Postgres
) -> None:
    first, second = balancer.servers
    server = with_ssh(world.server(postgres, first, install=False), port=balancer.port)
    for ssh in balancer.servers:
        ssh.authorize(restricted_line(world.key("orders").line, server.database.host, server.database.port))
    world.trust(first, balancer.port)
    world.write(server)
    assert (await world.probe(server)).ok
    failure = (await world.probe(server)).failure
    assert failure is not None
    assert failure.cause is Cause.HOST_KEY_CHANGED
    assert any("canary trust orders --add" in remedy for remedy in failure.remedies)

    balancer.number = 1
    asked = await asyncio.to_thread(spawn, world, "trust", "orders")
    assert asked.status == 2
    assert "--add" in asked.err
    fingerprint = asked.out.split()[-1]
    balancer.number = 1
    added = await asyncio.to_thread(spawn, world, "trust", "orders", "--add", "--fingerprint", fingerprint)
    assert added.status == 0, added.err
    both = await asyncio.to_thread(
        spawn, world, "trust", "orders", "--add", "--replace", "--fingerprint", fingerprint
    )
    assert both.status == 2
    for _ in range(4):
        assert (await world.probe(server)).ok
    assert second.logins() >= 2
