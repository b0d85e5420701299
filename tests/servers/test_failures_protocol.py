"""The matrix: the connection stands, but what answers is no such database, or nothing does."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.misbehave import ClosesAtOnce, Says
from tests.harness.proxy import Proxy
from tests.servers.failure_case import Case, FailureCase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
OTHER = {PG: MY, MY: PG}
C, S = Cause, Stage


async def other_engine(engine: Engine, tls: TlsMode, case: FailureCase) -> None:
    """Settings for one engine lead to the other; the remedy is the right ``engine``."""
    right = case.server(OTHER[engine], tls=tls, timeout=2.0)
    await case.fails(msgspec.structs.replace(right, engine=engine))
    assert case.advice(engine.value)
    await case.works(msgspec.structs.replace(right, engine=OTHER[engine]))


async def ssh_port(engine: Engine, tls: TlsMode, case: FailureCase) -> None:
    """The port is that of a real sshd; the remedy is the right ``database.port``."""
    await case.fails(case.server(engine, tls=tls, port=case.sshd.port, timeout=2.0))
    assert case.advice("database.port")
    await case.works(case.server(engine))


async def web_server(engine: Engine, tls: TlsMode, case: FailureCase) -> None:
    """A fake: it refuses the request that it takes our words for, as nginx does."""
    with Says(b"HTTP/1.1 400 Bad Request\r\n\r\n", "close", after_client=True) as fake:
        await case.fails(case.server(engine, tls=tls, port=fake.port, timeout=2.0))
    await case.works(case.server(engine))


async def closed_at_once(engine: Engine, tls: TlsMode, case: FailureCase) -> None:
    """A fake: it closes the connections that it accepts."""
    with ClosesAtOnce() as fake:
        await case.fails(case.server(engine, tls=tls, port=fake.port))
    await case.works(case.server(engine))


async def balancer_without_database(engine: Engine, case: FailureCase) -> None:
    """A proxy accepts for a database that is down; the remedy is to see to the one behind it."""
    database = case.database(engine)
    with Proxy((database.host, database.port)) as proxy:
        server = case.server(engine, port=proxy.port)
        await asyncio.to_thread(database.stop)
        case.undo(database.start)
        await case.fails(server)
        assert any("a database behind it is up" in line for line in case.failure.remedies)
        await asyncio.to_thread(database.start)
        await case.works(server)


async def standing_still(engine: Engine, case: FailureCase, *, direct: bool = False) -> None:
    """The database is stopped (SIGSTOP): its kernel accepts, and nobody answers."""
    database = case.database(engine)
    server = case.server(engine, direct=direct, timeout=1.0)
    database.suspend()
    case.undo(database.resume)
    await case.fails(server)
    database.resume()
    await case.works(server)


def _both(name: str, cause: Cause, run: Callable[..., Awaitable[None]], *modes: TlsMode) -> tuple[Case, ...]:
    """A way that both engines know, with each of these TLS modes."""
    return tuple(
        Case(f"{name}, {engine} tls {mode}", cause, S.DATABASE, partial(run, engine, mode))
        for engine in (PG, MY)
        for mode in modes
    )


CASES = (
    Case("stands still, direct", C.DATABASE_NO_ANSWER, S.DATABASE, partial(standing_still, MY, direct=True)),
    *_both("the other engine's port", C.WRONG_PROTOCOL, other_engine, TlsMode.DISABLE, TlsMode.REQUIRE),
    *_both("an SSH server's port", C.WRONG_PROTOCOL, ssh_port, TlsMode.DISABLE, TlsMode.PREFER),
    *_both("a web server's port", C.WRONG_PROTOCOL, web_server, TlsMode.DISABLE, TlsMode.PREFER),
    *_both("closes at once", C.DATABASE_CLOSED_EARLY, closed_at_once, TlsMode.DISABLE, TlsMode.PREFER),
    *(
        Case(f"{name}, {engine}", cause, S.DATABASE, partial(run, engine))
        for engine in (PG, MY)
        for name, cause, run in (
            ("a balancer without a database", C.DATABASE_CLOSED_EARLY, balancer_without_database),
            ("stands still", C.DATABASE_NO_ANSWER, standing_still),
        )
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)
