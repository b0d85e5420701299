"""Servers, and the command of a client for one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from canary_tui.databases.ways import LocalPort, Way
from canary_tui.monitor.clients import DatabaseClient
from canary_tui.servers.model import Database, Engine, Server
from canary_tui.servers.secrets import Secret

PASSWORD = "hunter2 'secret' \"\\"
PORT = LocalPort("127.0.0.1", 15432)
BIN = "/usr/bin:/bin"


def server(engine: Engine, **changes: object) -> Server:
    database = Database(
        host="db.internal", port=engine.facts.default_port or 6379, name="orders", user="reader"
    )
    return Server(name="orders", engine=engine, database=msgspec.structs.replace(database, **changes))


def client(
    engine: Engine, way: Way, folder: Path, environ: dict[str, str] | None = None, **changes: object
) -> DatabaseClient:
    servers = [server(engine, **changes)]
    return DatabaseClient(
        servers[0], way, servers=servers, environ={"PATH": BIN, **(environ or {})}, folder=folder
    )


def postgresql(way: Way, folder: Path, home: str = "", **changes: object) -> dict[str, str]:
    """The variables that are libpq's."""
    environ = {"HOME": home}
    made = client(Engine.POSTGRESQL, way, folder, environ, **changes).environment(Secret(PASSWORD))
    return {name: value for name, value in made.items() if name.startswith("PG")}


def mysql(way: Way, folder: Path, **changes: object) -> tuple[dict[str, str], list[str]]:
    """The environment, and the lines of the option file."""
    made = client(Engine.MYSQL, way, folder, None, **changes).environment(Secret(PASSWORD))
    return made, (folder / "my.cnf").read_text().splitlines()
