"""What a probe costs the servers: counted at the database, and at the sshd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.monitor.events import ProbeFinished, ProbeStarted
from canary_tui.monitor.schedule import Schedule
from canary_tui.monitor.watcher import Watcher
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.ports import eventually
from tests.harness.postgres import Postgres
from tests.harness.proxy import Proxy
from tests.servers.test_tunnels import ssh_route
from tests.servers.world import World, with_database, with_probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from canary_tui.monitor.events import AnyEvent
    from canary_tui.servers.model import Server
    from tests.harness.certs import Authority
    from tests.harness.mariadb import MariaDB
    from tests.harness.sshd import Sshd

INTERVALS = 300
ALLOWED = 5
"""``max_connect_errors`` of the MariaDB that is watched."""


def connections(database: Postgres | MariaDB) -> int:
    """How many connections a database has seen."""
    return database.connections_seen() if isinstance(database, Postgres) else database.connections_attempted()


@pytest.mark.parametrize("kind", ["postgres", "postgres_tls", "mariadb", "mariadb_tls"])
async def test_a_probe_over_a_tunnel_is_one_connection_to_the_database_and_no_ssh_login(
    kind: str, world: World, sshd: Sshd, request: pytest.FixtureRequest
) -> None:
    database = request.getfixturevalue(kind)
    server = world.server(database, sshd)
    bad = [
        with_database(server, password=world.password("wrong", "not this one")),
        with_database(server, name="no_such_database"),
        with_probe(server, query="no such word"),
    ]
    tls = "tls" in kind
    async with ssh_route(world, server) as route:
        logins, before = sshd.logins(), connections(database)
        for _ in range(3):
            result = await world.probe(server, route)
            assert result.ok, result.failure
            assert ("tls" in {stage.stage.value for stage in result.stages}) is tls
        assert connections(database) == before + 3
        for one in bad:
            assert not (await world.probe(one, route)).ok
        assert connections(database) == before + 6
        assert sshd.logins() == logins


@pytest.mark.parametrize("kind", ["postgres_tls", "mariadb_tls"])
async def test_a_certificate_that_is_refused_is_one_connection_too(
    kind: str, world: World, sshd: Sshd, request: pytest.FixtureRequest
) -> None:
    database = request.getfixturevalue(kind)
    server = world.server(database, sshd, tls=TlsMode.VERIFY_FULL)
    async with ssh_route(world, server) as route:
        before = connections(database)
        result = await world.probe(server, route)
        assert result.failure is not None
        assert result.failure.cause is Cause.CERTIFICATE_UNTRUSTED
        assert connections(database) == before + 1


@pytest.fixture
def strict(make_mariadb: Callable[..., MariaDB], authority: Authority) -> Iterator[tuple[MariaDB, Proxy]]:
    """A MariaDB that blocks an address soon, and the way to it from 127.0.0.2."""
    tls = authority.issue(["db.internal"])
    database = make_mariadb(tls=tls, resolve_names=True, max_connect_errors=ALLOWED)
    with Proxy((database.host, database.port), source="127.0.0.2") as proxy:
        yield database, proxy


class Hours:
    """The event loop's clock, which can be put forward: every timer that is then due goes off."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead = 0.0
        monkeypatch.setattr(loop, "time", self.now)

    def now(self) -> float:
        """Seconds."""
        return self._real() + self._ahead

    async def pass_by(self, seconds: float) -> None:
        """Put the clock forward, and let everything that is due begin."""
        self._ahead += seconds
        for _ in range(10):
            await asyncio.sleep(0)


async def watched(world: World, server: Server, hours: Hours, intervals: int) -> list[Cause | None]:
    """Watch a server for so many intervals of its own; the causes of its probes."""
    causes: list[Cause | None] = []
    begun = 0

    def hear(event: AnyEvent) -> None:
        nonlocal begun
        if isinstance(event, ProbeFinished):
            causes.append(event.result.failure.cause if event.result.failure else None)
        begun += isinstance(event, ProbeStarted)

    watcher = Watcher(server, world.tools, hear, probes=asyncio.Semaphore(1), chance=float, clock=hours.now)
    running = asyncio.create_task(watcher.run())
    await eventually(lambda: causes, what="the first probe has ended")
    for _ in range(intervals):
        await hours.pass_by(server.probe.every)
        await eventually(lambda: begun == len(causes), what="no probe is under way")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return causes


def untrusted(server: Server) -> Server:
    return with_database(server, tls=TlsMode.VERIFY_FULL)


def other_engine(server: Server) -> Server:
    return msgspec.structs.replace(server, engine=Engine.POSTGRESQL)


@pytest.mark.parametrize("spoil", [untrusted, other_engine])
async def test_three_hundred_intervals_never_have_the_host_blocked(
    spoil: Callable[[Server], Server],
    world: World,
    strict: tuple[MariaDB, Proxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database, proxy = strict
    good = world.server(database, port=proxy.port, every=10.0)
    assert (await world.probe(good)).ok
    hours = Hours(monkeypatch)
    causes = await watched(world, spoil(good), hours, INTERVALS)
    assert len(causes) == 1
    assert database.aborted_connects() <= 1
    # Another client from the same address:
    result = await world.probe(good)
    assert result.ok, result.failure


async def test_a_good_server_is_probed_at_each_of_the_intervals(
    world: World, strict: tuple[MariaDB, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the promise above would hold of a watcher that is asleep."""
    database, proxy = strict
    causes = await watched(world, world.server(database, port=proxy.port, every=10.0), Hours(monkeypatch), 20)
    assert causes == [None] * 21


@pytest.mark.parametrize("cause", [Cause.DATABASE_NO_ANSWER, Cause.TLS_TIMED_OUT, Cause.LOGIN_TIMED_OUT])
def test_a_mysql_that_is_too_slow_is_left_in_peace_before_it_blocks_the_host(cause: Cause) -> None:
    """100 is the default of ``max_connect_errors``: 300 intervals of ten seconds come nowhere near it."""
    seen = {engine: len(dues(cause, engine, INTERVALS * 10.0)) for engine in Engine}
    assert seen[Engine.POSTGRESQL] == INTERVALS
    assert seen[Engine.MYSQL] < 12
    # And the first ones come as usual: one slow moment is no reason to look away.
    assert dues(cause, Engine.MYSQL, 60.0)[:3] == [0.0, 10.0, 20.0]


def dues(cause: Cause, engine: Engine, span: float) -> list[float]:
    """When probes that all end with ``cause`` are due, ten seconds an interval, within ``span`` seconds."""
    now = 0.0
    schedule = Schedule(lambda: now, lambda: 0.0)
    found: list[float] = []
    while now < span:
        found.append(now)
        schedule.ended(cause, 10.0, engine)
        assert schedule.due is not None
        now = schedule.due
    return found


async def test_probes_on_end_without_the_schedule_would_have_the_host_blocked(
    world: World, strict: tuple[MariaDB, Proxy]
) -> None:
    """What the schedule keeps from happening, on the same servers."""
    database, proxy = strict
    good = world.server(database, port=proxy.port)
    for _ in range(ALLOWED + 1):
        await world.probe(untrusted(good))
    result = await world.probe(good)
    assert result.failure is not None
    assert result.failure.cause is Cause.DATABASE_HOST_BLOCKED
