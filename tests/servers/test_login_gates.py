"""Every login goes through the gate of its SSH server, whoever wants it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.cli.probe_command import probe_all
from canary_tui.cli.trust_command import look
from canary_tui.diagnosis.stages import Cause
from canary_tui.monitor.audit import audit
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.key_trial import attempt, learn_version
from canary_tui.monitor.probe import probe
from canary_tui.monitor.rotation import begin
from canary_tui.tunnels import dial as dialling
from canary_tui.tunnels.login_gates import WIDEST
from tests.harness.ports import eventually
from tests.servers.gates import busy, waiting
from tests.servers.held_tunnel import held_tunnel
from tests.servers.world import with_probe, with_ssh

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from canary_tui.servers.model import Server
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

    Way = Callable[[World, Server], Awaitable[object]]


async def one_probe(world: World, server: Server) -> None:
    result = await probe(server, world.tools)
    assert result.ok, result.failure
    assert result.total_ms <= server.probe.timeout * 1000, "waiting is not the server's time"
    assert abs(sum(stage.ms for stage in result.stages) - result.total_ms) < 1000


async def many_probes(world: World, server: Server) -> None:
    results = await probe_all([server] * 6, world.tools, as_json=True)
    assert all(result.ok for result in results)


async def key_trial(world: World, server: Server) -> None:
    world.write(server)
    await begin(world.tools, server.name)
    await attempt(world.tools, server.name)


async def tunnel(world: World, server: Server) -> None:
    async with held_tunnel(world, server, any_port=True) as at_work:
        await at_work.until(TunnelState.UP)


WAYS: dict[str, Way] = {
    "probe": one_probe,
    "canary_probe": many_probes,
    "audit": lambda world, server: audit(server, world.tools),
    "trust": lambda world, server: look(server, world.tools),
    "version": lambda world, server: learn_version(world.tools, server),
    "key_trial": key_trial,
    "tunnel": tunnel,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_it_waits_for_its_turn(way: Way, world: World, sshd: Sshd, postgres: Postgres) -> None:
    server = world.server(postgres, sshd, timeout=2)
    before = sshd.logins()
    async with busy(world.tools, sshd):
        under_way = asyncio.ensure_future(way(world, server))
        await eventually(lambda: waiting(world.tools, sshd), what="it waits")
        await asyncio.sleep(2.2 if way is one_probe else 0)  # longer than the probe's own time
        assert sshd.logins() == before
    await under_way


async def test_never_more_at_a_time_than_the_gate_lets_in(
    world: World, make_sshd: Callable[..., Sshd], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An sshd that takes ten logins at a time, as by default, and twenty servers behind it."""
    ssh = make_sshd({"MaxStartups": "10:100:10"})
    server = world.server(postgres, ssh, timeout=20)
    most = now = 0
    real = dialling._log_in

    async def counted(*arguments: object, **named: object) -> object:
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            return await real(*arguments, **named)  # type: ignore[arg-type]
        finally:
            now -= 1

    monkeypatch.setattr(dialling, "_log_in", counted)
    results = await asyncio.gather(*(probe(server, world.tools) for _ in range(20)))
    assert [result.failure for result in results] == [None] * 20
    assert most <= WIDEST
    assert world.tools.logins.gate(ssh.host, ssh.port).width == WIDEST


async def test_an_sshd_that_is_full_is_asked_by_one_at_a_time(
    world: World, make_sshd: Callable[..., Sshd], postgres: Postgres
) -> None:
    ssh = make_sshd({"MaxStartups": "1:100:1"})
    server = world.server(postgres, ssh)
    with socket.create_connection((ssh.host, ssh.port)):
        await eventually(ssh.sessions)
        for _ in range(3):
            result = await probe(server, world.tools)
            assert result.failure is not None
            assert result.failure.cause is Cause.SSH_TOO_MANY_CONNECTIONS
    assert world.tools.logins.gate(ssh.host, ssh.port).width == 1
    await eventually(lambda: not ssh.sessions())
    result = await probe(server, world.tools)
    assert result.ok, result.failure


async def test_many_servers_of_one_that_hangs_leave_room_for_others(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd, timeout=3)
    before = sshd.logins()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        stuck = [
            msgspec.structs.replace(with_ssh(server, port=silent.getsockname()[1]), name=f"stuck-{number}")
            for number in range(80)
        ]
        probing = asyncio.create_task(probe_all([*stuck, server], world.tools, as_json=True))
        await eventually(lambda: sshd.logins() > before, 30, "the one that works was probed")
        assert not probing.done()
        probing.cancel()
        await asyncio.wait({probing})


async def test_a_login_that_is_stuck_holds_others_up_no_longer_than_its_limit(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        stuck = with_ssh(server, port=silent.getsockname()[1])
        stuck = with_probe(stuck, timeout=1)
        results = await asyncio.gather(*(probe(stuck, world.tools) for _ in range(4)))
    assert {result.failure and result.failure.cause for result in results} == {Cause.SSH_NO_ANSWER}
    assert all(result.total_ms < 2000 for result in results)
