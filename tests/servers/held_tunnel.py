"""A relay held by a supervisor, and the engines' own clients at its local end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from canary_tui.monitor.events import ClientRefused, TunnelChanged
from canary_tui.monitor.supervisor import Supervisor
from tests.harness.ports import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from canary_tui.monitor.events import AnyEvent, TunnelState
    from canary_tui.servers.model import Server
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.servers.world import World

    Database = Postgres | MariaDB

LIMIT = 15.0


class HeldTunnel:
    """A supervisor at work, and everything that it has said."""

    def __init__(self, world: World, server: Server, chance: float, *, any_port: bool) -> None:
        self.events: list[AnyEvent] = []
        self.supervisor = Supervisor(
            server,
            world.tools,
            self.events.append,
            chance=lambda: chance,
            any_port=any_port,
        )

    @property
    def port(self) -> int:
        """The local port."""
        return int(self.supervisor.local.rpartition(":")[2])

    @property
    def states(self) -> list[TunnelState]:
        """The states that the tunnel went through."""
        return [event.state for event in self.events if isinstance(event, TunnelChanged)]

    @property
    def refused(self) -> list[str]:
        """Why clients were not served."""
        return [event.reason for event in self.events if isinstance(event, ClientRefused)]

    async def until(self, state: TunnelState) -> None:
        """Wait for a state."""
        await eventually(
            lambda: self.supervisor.state is state, LIMIT, f"{state}, not {self.supervisor.failure}"
        )


@contextlib.asynccontextmanager
async def held_tunnel(
    world: World, server: Server, *, chance: float = 0.0, any_port: bool = False
) -> AsyncIterator[HeldTunnel]:
    """Hold a server's tunnel while the block runs."""
    at_work = HeldTunnel(world, server, chance, any_port=any_port)
    task = asyncio.create_task(at_work.supervisor.run())
    try:
        yield at_work
    finally:
        task.cancel()
        await asyncio.wait({task})


async def psql(postgres: Postgres, address: str, query: str = "select 'hello'", user: str = "") -> str:
    """What psql prints; ``address`` is libpq's (``host=… port=…``), ``user`` an account of this machine."""
    who = f"user={postgres.user} dbname={postgres.database} connect_timeout=10"
    return await run(
        ["psql", "-XAt", f"{address} {who}", "-c", query], {"PGPASSWORD": postgres.password}, user
    )


async def mysql(mariadb: MariaDB, address: Sequence[str], user: str = "") -> str:
    """What mysql prints; ``address`` is its own (``--host``, ``--port`` or ``--socket``)."""
    who = [f"--user={mariadb.user}", "--connect-timeout=10", "--skip-column-names", mariadb.database]
    command = ["mysql", "--no-defaults", *address, *who, "--execute", "select 'hello'"]
    return await run(command, {"MYSQL_PWD": mariadb.password}, user)


async def run(command: Sequence[str], environment: dict[str, str], user: str = "") -> str:
    """Run a command as another user of this machine (or ourselves) and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
        cwd="/",
        user=user or None,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode().strip()
