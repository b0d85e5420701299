"""``select 1`` on a connection that stands: what the tunnel adds to a round trip."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg

from benchmarks.clients import both_ways, in_turn
from benchmarks.report import Row, Section, compared, duration
from benchmarks.servers import servers

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres

RATIO = 1.3


def measure(*, quick: bool) -> Section:
    """Ask by both ways in turn, and straight."""
    rounds = 2 if quick else 20
    with servers() as place:
        postgres = place.postgres()
        with both_ways(place, postgres) as ports:
            ours, theirs, straight = asyncio.run(ask(postgres, [*ports, postgres.port], rounds))
    rows = [
        compared("select 1, median", ours, theirs, aim=RATIO),
        Row("the same, 99 of 100 within", duration(high(ours)), duration(high(theirs))),
        Row("without any tunnel, median", duration(sorted(straight)[len(straight) // 2])),
    ]
    return Section("query", ("what", "canary", "ssh -N -L", "ratio", "aim"), rows)


async def ask(postgres: Postgres, ports: list[int], rounds: int) -> list[list[float]]:
    """Return the seconds of each query, one list a port."""
    options: dict[str, Any] = {
        "user": postgres.user,
        "password": postgres.password,
        "database": postgres.database,
    }
    connections = [await asyncpg.connect(host="127.0.0.1", port=port, **options) for port in ports]
    try:
        for connection in connections:
            await connection.fetchval("select 1")
        works = [lambda c=connection: c.fetchval("select 1") for connection in connections]
        return await in_turn(rounds, *works, times=100)
    finally:
        for connection in connections:
            await connection.close()


def high(times: list[float]) -> float:
    """Return what 99 of 100 stay below."""
    return sorted(times)[len(times) * 99 // 100]
