"""A URL that psql takes logs canary-tui in to the same database, and MySQL's likewise."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
import pytest

from canary_tui.servers.model import Engine
from canary_tui.tui.presenters.urls import UrlParts, parse_url

if TYPE_CHECKING:
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.servers.world import World

BARE = ("12#ab", "a?b=c:d&e", "two words", "[x],{y}+é", "sl%2Fash%40at%25")
"""Passwords as they stand in a URL."""


def psql(target: str) -> str:
    """Return as whom psql logs in."""
    command = ["psql", "-XAt", target, "-c", "select current_user"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


async def logs_in(world: World, database: Postgres | MariaDB, parts: UrlParts) -> bool:
    """Probe what a URL says, as the form would save it."""
    assert parts.password is not None
    server = world.server(database, name="pasted")
    settings = msgspec.structs.replace(
        server.database,
        host=parts.host,
        port=int(parts.port),
        name=parts.name,
        user=parts.user,
        password=world.password("pasted", parts.password.reveal()),
    )
    assert server.engine is parts.engine
    result = await world.probe(msgspec.structs.replace(server, database=settings))
    return result.ok


@pytest.mark.parametrize("number", range(len(BARE)))
async def test_psql_and_a_probe_log_in_by_the_same_url(world: World, postgres: Postgres, number: int) -> None:
    user, meant = f"pasted{number}", BARE[number].replace("%2F", "/").replace("%40", "@").replace("%25", "%")
    postgres.create_user(user, meant)
    url = f"postgresql://{user}:{BARE[number]}@{postgres.host}:{postgres.port}/{postgres.database}"
    assert psql(url) == f"{user}\n"
    assert await logs_in(world, postgres, parse_url(url))
    pairs = (
        f"host={postgres.host} port={postgres.port} user={user} dbname={postgres.database} password='{meant}'"
    )
    assert await logs_in(world, postgres, parse_url(pairs))


async def test_a_mysql_url_logs_in(world: World, mariadb: MariaDB) -> None:
    secret = "p@ss/w#rd+é"
    mariadb.create_user("pasted", secret)
    for scheme in ("mysql", "mariadb", "mysql+aiomysql"):
        place = f"{mariadb.host}:{mariadb.port}/{mariadb.database}"
        parts = parse_url(f"{scheme}://pasted:{quote(secret, safe='')}@{place}?charset=utf8mb4")
        assert parts.engine is Engine.MYSQL
        assert await logs_in(world, mariadb, msgspec.structs.replace(parts, name=""))
