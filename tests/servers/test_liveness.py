"""A live SSH server is told from a dead one: any data is life, and 15 s without an answer are not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import asyncpg
import asyncssh
import msgspec
import pytest
from asyncssh.constants import MSG_UNIMPLEMENTED
from asyncssh.packet import UInt32

from canary_tui.diagnosis.stages import Cause
from canary_tui.monitor.events import ProbeFinished, TunnelChanged, TunnelState
from canary_tui.monitor.watcher import Watcher
from canary_tui.tunnels import liveness
from tests.harness.far_away import FarAway, FarSshd
from tests.harness.ports import eventually
from tests.harness.proxy import Proxy
from tests.servers.held_tunnel import held_tunnel
from tests.servers.world import offer_of, with_database, with_probe, with_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from canary_tui.diagnosis.stages import Failure
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.servers.model import Server
    from tests.harness.dropbear import Dropbear
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.failure_case import FailureCase
    from tests.servers.world import World

NOTICED = 15.0
"""Seconds within which a dead peer is known (docs/reference.md)."""
IDLE, ANSWER = 0.5, 1.0
"""For tests of what never happens, however often the server is asked."""
KEEPALIVE = "rtype keepalive@openssh.com"
"""What sshd logs at DEBUG1 for each that it is sent."""
S = TunnelState


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "IDLE_SECONDS", IDLE)
    monkeypatch.setattr(liveness, "ANSWER_SECONDS", ANSWER)


@pytest.fixture(params=["openssh", "dropbear"])
def ssh(request: pytest.FixtureRequest) -> Sshd | Dropbear:
    """An SSH server of the test's own, of each software."""
    make = request.getfixturevalue({"openssh": "make_sshd", "dropbear": "make_dropbear"}[request.param])
    made: Sshd | Dropbear = make()
    return made


def reached(world: World, postgres: Postgres, ssh: Sshd | Dropbear) -> Server:
    """The database behind that SSH server; dropbear knows no line with limits."""
    server = world.server(postgres, ssh, install=False)
    ssh.authorize(world.key(server.name).line)
    return server


class Seen:
    """What a watcher says of its server."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []

    @property
    def states(self) -> list[TunnelState]:
        """The tunnel's."""
        return [event.state for event in self.events if isinstance(event, TunnelChanged)]

    @property
    def reasons(self) -> list[str]:
        """Why the tunnel was lost."""
        return [e.reason for e in self.events if isinstance(e, TunnelChanged) and e.state is S.LOST]

    @property
    def probes(self) -> list[Failure | None]:
        """What each probe found."""
        return [event.result.failure for event in self.events if isinstance(event, ProbeFinished)]


@contextlib.asynccontextmanager
async def watched(world: World, server: Server) -> AsyncIterator[Seen]:
    """Hold its tunnel and probe it, up and answered once."""
    seen = Seen()
    watcher = Watcher(
        server, world.tools, seen.events.append, probes=asyncio.Semaphore(8), chance=lambda: 0.0
    )
    task = asyncio.create_task(watcher.run())
    try:
        await eventually(lambda: seen.probes, what="the first probe")
        yield seen
    finally:
        task.cancel()
        await asyncio.wait({task})


async def both_known_dead(world: World, server: Server, die: Callable[[], None]) -> None:
    """See that a tunnel that nobody uses and one that is probed are known to be lost in time."""
    idle_one = msgspec.structs.replace(server, name="idle")
    async with watched(world, server) as probed, held_tunnel(world, idle_one) as idle:
        await idle.until(S.UP)
        assert probed.probes == [None] * len(probed.probes)
        die()
        began = time.monotonic()
        await eventually(lambda: S.LOST in probed.states and S.LOST in idle.states, NOTICED)
        assert time.monotonic() - began > 2 * ANSWER, "a moment's silence is no death"
        failures = [failure for failure in probed.probes if failure is not None]
        assert {failure.cause for failure in failures} == {Cause.TUNNEL_LOST}, failures
        assert "has said nothing for" in probed.reasons[0]


@pytest.mark.timeout(90)
async def test_an_ssh_server_that_stands_still_is_known(
    world: World, postgres: Postgres, ssh: Sshd | Dropbear
) -> None:
    """SIGSTOP: its kernel acknowledges all that is sent."""
    try:
        await both_known_dead(world, reached(world, postgres, ssh), ssh.suspend)
    finally:
        ssh.resume()


@pytest.fixture
def far() -> Iterator[FarAway]:
    with FarAway() as made:
        yield made


@pytest.fixture
def far_server(world: World, postgres: Postgres, server_folder: Path, far: FarAway) -> Iterator[Server]:
    """The database, beyond an SSH server on another machine."""
    proxy = Proxy((postgres.host, postgres.port), host=far.here)
    with proxy, FarSshd(server_folder / "far", far) as sshd:
        yield with_database(reached(world, postgres, sshd), host=proxy.host, port=proxy.port)


@pytest.mark.timeout(90)
async def test_a_link_on_which_packets_vanish_is_known(
    world: World, far: FarAway, far_server: Server
) -> None:
    try:
        await both_known_dead(world, far_server, far.vanish)
    finally:
        far.come_back()


async def test_the_kernel_alone_knows_it_too(
    world: World, far: FarAway, far_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "IDLE_SECONDS", 600.0)
    quick = {"TCP_KEEPIDLE": 1, "TCP_USER_TIMEOUT": 1500}
    monkeypatch.setattr(liveness, "KERNEL_TIMERS", liveness.KERNEL_TIMERS | quick)
    async with held_tunnel(world, far_server) as idle:
        await idle.until(S.UP)
        far.vanish()
        await eventually(lambda: S.LOST in idle.states)
        far.come_back()


@pytest.mark.usefixtures("quick")
async def test_a_slow_database_is_not_taken_for_a_dead_tunnel(
    world: World, postgres: Postgres, ssh: Sshd | Dropbear
) -> None:
    server = with_probe(reached(world, postgres, ssh), query=f"select pg_sleep({8 * IDLE})", timeout=30.0)
    async with watched(world, server) as seen:
        await eventually(lambda: len(seen.probes) >= 2, 30)
        assert seen.probes == [None] * len(seen.probes)
        assert seen.states == [S.OPENING, S.UP]


@pytest.mark.parametrize("timeout", [1.0, 4.0])
async def test_a_database_that_is_too_slow_is_blamed_itself(
    world: World, postgres: Postgres, ssh: Sshd | Dropbear, timeout: float
) -> None:
    server = with_probe(reached(world, postgres, ssh), query="select pg_sleep(60)", timeout=timeout)
    async with watched(world, server) as seen:
        await eventually(lambda: len(seen.probes) >= 2, 30)
        assert {failure.cause for failure in seen.probes if failure} == {Cause.QUERY_TIMED_OUT}
        assert seen.states == [S.OPENING, S.UP]


async def test_data_that_streams_needs_no_keepalive(
    world: World, postgres: Postgres, make_sshd: Callable[..., Sshd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "IDLE_SECONDS", 2.0)
    sshd = make_sshd()
    async with held_tunnel(world, world.server(postgres, sshd)) as at_work:
        await at_work.until(S.UP)
        client = await _client(postgres, at_work.port)
        # More than the server's buffer each, or it would send them together.
        rows = await client.fetch("select repeat('x', 20000), pg_sleep(0.05) from generate_series(1, 120)")
        assert KEEPALIVE not in sshd.log_text()
        assert len(rows) == 120
        await eventually(lambda: KEEPALIVE in sshd.log_text(), what="silence is asked about")
        client.terminate()
        assert at_work.states == [S.OPENING, S.UP]


class Deaf(asyncssh.SSHServer):
    """Lets everybody in and everything through, and answers no keepalive."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        def unanswered(*_: object) -> None:
            conn._global_request_queue.clear()
            if self._answer == "unimplemented":
                conn.send_packet(MSG_UNIMPLEMENTED, UInt32(0))

        conn._process_keepalive_at_openssh_dot_com_global_request = unanswered  # type: ignore[assignment,method-assign]

    def begin_auth(self, username: str) -> bool:
        del username
        return False

    def connection_requested(self, *_: object) -> bool:
        return True


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("answer", ["nothing", "unimplemented"])
async def test_a_tunnel_that_is_used_stands_though_no_keepalive_is_answered(
    failure_case: FailureCase, answer: str
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    public = " ".join(key.export_public_key().decode().split()[:2])
    server = failure_case.server()
    async with await asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: Deaf(answer), server_host_keys=[key]
    ) as listener:
        failure_case.trust(offer_of("127.0.0.1", listener.get_port(), public))
        async with held_tunnel(failure_case.world, with_ssh(server, port=listener.get_port())) as at_work:
            await at_work.until(S.UP)
            client = await _client(failure_case.shared_postgres, at_work.port)
            for _ in range(4):
                await asyncio.sleep(1.5 * IDLE)  # it has been asked, and has time left to answer
                assert await client.fetchval("select 1") == 1
            assert S.LOST not in at_work.states
            client.terminate()
            # Idle, nothing tells one that says nothing from a dead one.
            if answer == "nothing":
                await eventually(lambda: S.LOST in at_work.states)
            else:
                await asyncio.sleep(3 * (IDLE + ANSWER))
                assert S.LOST not in at_work.states


@pytest.mark.usefixtures("quick")
async def test_an_idle_tunnel_stands(world: World, postgres: Postgres, ssh: Sshd | Dropbear) -> None:
    """dropbear refuses each keepalive, and that is an answer as well."""
    async with held_tunnel(world, reached(world, postgres, ssh)) as at_work:
        await at_work.until(S.UP)
        await asyncio.sleep(3 * (IDLE + ANSWER))
        assert at_work.states == [S.OPENING, S.UP]


async def _client(postgres: Postgres, port: int) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1",
        port=port,
        user=postgres.user,
        password=postgres.password,
        database=postgres.database,
        ssl=False,
    )
