"""Servers and scripts that passwords come from."""

from __future__ import annotations

import pytest

from canary_tui.diagnosis.stages import Failed, Stage
from canary_tui.servers.model import Database, Engine, PasswordSource, Server
from canary_tui.servers.passwords import Passwords


def server(source: PasswordSource | None = None, engine: Engine = Engine.POSTGRESQL) -> Server:
    port = engine.facts.default_port or 6379
    database = Database(host="db.example", port=port, name="orders", user="reader", password=source)
    return Server(name="a", engine=engine, database=database)


async def failure(passwords: Passwords, source: PasswordSource) -> Failed:
    with pytest.raises(Failed) as caught:
        await passwords.find(server(source))
    assert caught.value.stage is Stage.SETTINGS
    return caught.value


ELSEWHERE = (
    {"host": "evil.example"},
    {"port": 5433},
    {"user": "admin"},
)
