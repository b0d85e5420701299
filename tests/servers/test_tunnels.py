"""Dialling, routes and relays over a real sshd and a real database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.monitor.local_ports import listening
from canary_tui.tunnels.dial import dial
from canary_tui.tunnels.link import ProbeLink
from canary_tui.tunnels.relay import Dismissed, Relay
from canary_tui.tunnels.route import DirectRoute, SshRoute
from tests.harness.misbehave import Says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from canary_tui.servers.model import Server
    from canary_tui.tunnels.login import CutOff
    from canary_tui.tunnels.peer import Peer
    from canary_tui.tunnels.route import Route
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"


@asynccontextmanager
async def ssh_route(world: World, server: Server) -> AsyncIterator[SshRoute]:
    """A route over an SSH connection of its own."""
    assert server.ssh is not None
    ssh = await dial(server.ssh, world.key(server.name).private, world.tools.known_hosts, new_trace())
    try:
        yield SshRoute(ssh, server.database.host, server.database.port)
    finally:
        await ssh.close()


@asynccontextmanager
async def relayed(
    route: Route,
    refused: list[Dismissed | Failed | CutOff],
    uids: frozenset[int] | None = None,
    strangers: list[Peer] | None = None,
) -> AsyncIterator[int]:
    """The port of a relay that leads through ``route``."""

    async def way() -> Route:
        return route

    turned_away = [] if strangers is None else strangers
    relay = Relay(
        way,
        changed=lambda: None,
        refused=refused.append,
        turned_away=turned_away.append,
        allowed_uids=uids,
    )
    try:
        yield relay.listen(listening(0))
    finally:
        await relay.close()
        assert relay.clients == 0


def new_trace() -> Trace:
    return Trace(time.perf_counter)


async def test_every_stage_of_a_login_is_timed_in_its_order(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd)
    trace = new_trace()
    assert server.ssh is not None
    ssh = await dial(server.ssh, world.key("orders").private, world.tools.known_hosts, trace)
    trace.finish()
    assert [r.stage for r in trace.results] == [
        Stage.RESOLVE, Stage.CONNECT, Stage.HANDSHAKE, Stage.HOST_KEY, Stage.AUTH,
    ]  # fmt: skip
    assert all(r.ms > 0 for r in trace.results)
    assert ssh.server_version.startswith("SSH-2.0-OpenSSH")
    await ssh.close()
    assert not ssh.open


async def test_a_link_carries_our_first_bytes_and_then_the_drivers(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    async with (
        ssh_route(world, world.server(postgres, sshd)) as route,
        await ProbeLink.through(route, new_trace()) as link,
    ):
        await link.send(SSL_REQUEST)
        assert await link.peek(1) == b"N"
        assert await link.receive(1) == b"N"
        reader, writer = await asyncio.open_connection(*await link.local_address())
        writer.write(SSL_REQUEST)
        assert await reader.readexactly(1) == b"E", "PostgreSQL has seen the first request already"
        writer.close()
        await writer.wait_closed()


async def test_a_link_serves_one_connection_only() -> None:
    with Says(b"hello", then="silence") as server:
        async with await ProbeLink.through(DirectRoute(server.host, server.port), new_trace()) as link:
            address = await link.local_address()
            reader, writer = await asyncio.open_connection(*address)
            assert await reader.readexactly(5) == b"hello"
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*address)
            writer.close()
            await writer.wait_closed()


async def test_a_refused_channel_keeps_its_reason(world: World, sshd: Sshd, postgres: Postgres) -> None:
    server = world.server(postgres, sshd)
    async with ssh_route(world, server) as route:
        forbidden = SshRoute(route.ssh, "127.0.0.1", 1)
        with pytest.raises(Failed) as caught:
            await forbidden.open(new_trace())
    assert caught.value.cause is Cause.FORWARDING_NOT_PERMITTED


async def test_a_channel_that_opens_after_it_was_given_up_is_closed(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    async with ssh_route(world, world.server(postgres, sshd)) as route:
        (await route.open(new_trace())).abort()  # the session's process stands now
        sshd.suspend()
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await route.open(new_trace())
        finally:
            sshd.resume()
        end = await route.open(new_trace())  # answered after the first one was
        channels = route.ssh.connection._channels
        async with asyncio.timeout(5):
            while len(channels) > 1:
                await asyncio.sleep(0.01)
        end.abort()


async def test_bytes_pass_both_ways_whole_through_the_relay(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd)
    refused: list[Dismissed | Failed | CutOff] = []
    async with ssh_route(world, server) as route, relayed(route, refused) as port:
        query = "select sum(length(repeat('x', 1000))) from generate_series(1, 20000)"
        process = await asyncio.create_subprocess_exec(
            "psql", "-At", "-c", query, "-h", "127.0.0.1", "-p", str(port), "-U", postgres.user,
            "-d", postgres.database,
            env={"PGPASSWORD": postgres.password, "PATH": "/usr/bin:/bin"},
            stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
    assert (process.returncode, out, refused) == (0, b"20000000\n", [])


async def test_half_close_lets_the_other_way_go_on() -> None:
    server = await asyncio.start_server(_answer_after_eof, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with relayed(DirectRoute("127.0.0.1", port), []) as relay_port:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay_port)
        writer.write(b"question")
        writer.write_eof()
        assert await reader.read() == b"answer to question"
        writer.close()
        await writer.wait_closed()
    server.close()


async def _answer_after_eof(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.read()
    writer.write(b"answer to " + asked)
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_does_not_read_stops_the_sender_and_loses_nothing() -> None:
    """Flow control: what the database sends piles up neither here nor without bound."""
    size = 64 * 1024 * 1024
    sent = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        chunk = b"x" * 65536
        while sent < size:
            writer.write(chunk)
            await writer.drain()
            sent += len(chunk)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with relayed(DirectRoute("127.0.0.1", port), []) as relay_port:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay_port)
        before = -1
        async with asyncio.timeout(10):
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)
        assert 0 < sent < size // 2
        received = 0
        while data := await reader.read(1 << 20):
            received += len(data)
        assert received == size
        writer.close()
        await writer.wait_closed()
    server.close()


async def test_a_client_of_another_user_is_refused(world: World, sshd: Sshd, postgres: Postgres) -> None:
    refused: list[Dismissed | Failed | CutOff] = []
    strangers: list[Peer] = []
    route = DirectRoute(postgres.host, postgres.port)
    async with relayed(route, refused, frozenset({12345}), strangers) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
    assert refused == []
    if sys.platform.startswith("linux"):
        assert [stranger.uid for stranger in strangers] == [os.geteuid()]


async def test_closing_the_relay_closes_what_runs_through() -> None:
    with Says(b"", then="silence") as server:
        async with relayed(DirectRoute(server.host, server.port), []) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(5):
                while not server.connections:
                    await asyncio.sleep(0.01)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
