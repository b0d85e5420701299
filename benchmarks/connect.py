"""A client's new connection through a tunnel that stands: to its first answer, and closed again."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import aiomysql
import asyncpg

from benchmarks.clients import both_ways, in_turn
from benchmarks.report import Section, compared
from benchmarks.servers import servers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres

RATIO = 1.0


def measure(*, quick: bool) -> Section:
    """Connect by both ways in turn, with each engine."""
    rounds = 3 if quick else 100
    section = Section("connect", ("what", "canary", "ssh -N -L", "ratio", "aim"))
    with servers() as place:
        postgres, mariadb = place.postgres(), place.mariadb()
        for name, database, how in (
            ("PostgreSQL", postgres, partial(to_postgres, postgres)),
            ("MariaDB", mariadb, partial(to_mariadb, mariadb)),
        ):
            with both_ways(place, database) as ports:
                ours, theirs = asyncio.run(connect(how, ports, rounds))
            section.rows.append(compared(f"{name}: connect, select 1, close", ours, theirs, aim=RATIO))
    return section


async def connect(
    how: Callable[[int], Awaitable[None]], ports: tuple[int, int], rounds: int
) -> list[list[float]]:
    """Return the seconds of each connection, one list a port."""
    works = [partial(how, port) for port in ports]
    for work in works:
        await work()
    return await in_turn(rounds, *works)


async def to_postgres(database: Postgres, port: int) -> None:
    """Connect, ask and close."""
    options: dict[str, Any] = {
        "user": database.user,
        "password": database.password,
        "database": database.database,
    }
    connection = await asyncpg.connect(host="127.0.0.1", port=port, ssl=False, **options)
    await connection.fetchval("select 1")
    await connection.close()


async def to_mariadb(database: MariaDB, port: int) -> None:
    """Connect, ask and close."""
    options: dict[str, Any] = {"user": database.user, "password": database.password, "db": database.database}
    connection = await aiomysql.connect(host="127.0.0.1", port=port, **options)
    async with connection.cursor() as cursor:
        await cursor.execute("select 1")
    await connection.ensure_closed()
