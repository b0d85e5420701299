"""Sessions at a database: how many canary-tui has there, and one that is kept busy."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from canary_tui.servers.model import Engine
from tests.harness.ports import eventually
from tests.servers.world import with_probe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from canary_tui.servers.model import Server
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.servers.world import World

NAP = {Engine.POSTGRESQL: "select pg_sleep(60)", Engine.MYSQL: "select sleep(60)"}
SESSIONS = {
    Engine.POSTGRESQL: "select count(*) from pg_stat_activity where application_name = 'canary-tui'",
    Engine.MYSQL: "select count(*) from information_schema.processlist where user not in ('root', "
    "'system user')",
}
"""Counts them, for the harness's own user."""


@contextlib.asynccontextmanager
async def busy_session(world: World, database: Postgres | MariaDB, server: Server) -> AsyncIterator[None]:
    """One session of the server's user is busy while the block runs."""
    before = database.logins_seen()
    napping = with_probe(server, query=NAP[server.engine], timeout=30.0)
    holding = asyncio.create_task(world.probe(napping))
    try:
        await eventually(lambda: database.logins_seen() > before, what="the session is there")
        yield
    finally:
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
