"""The databases that a test may break, when it mends them again."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from canary_tui.servers.model import Engine
from tests.harness.mariadb import MariaDB
from tests.harness.needs import require
from tests.harness.postgres import Postgres

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.certs import Authority


class Breakable:
    """One of each engine, started when it is asked for: with TLS, for ``localhost``, and not 127.0.0.1."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.started: dict[Engine, Postgres | MariaDB] = {}
        self._folder = folder
        self._authority = authority
        self._running = ExitStack()

    def of(self, engine: Engine) -> Postgres | MariaDB:
        """The database of an engine."""
        return self.postgres if engine is Engine.POSTGRESQL else self.mariadb

    @cached_property
    def postgres(self) -> Postgres:
        """The PostgreSQL."""
        require("postgres")
        tls = self._authority.issue(["localhost"])
        server = self._running.enter_context(Postgres(self._folder / "broken-postgres", tls=tls))
        self.started[Engine.POSTGRESQL] = server
        return server

    @cached_property
    def mariadb(self) -> MariaDB:
        """The MariaDB."""
        require("mariadb")
        tls = self._authority.issue(["localhost"])
        server = self._running.enter_context(MariaDB(self._folder / "broken-mariadb", tls=tls))
        self.started[Engine.MYSQL] = server
        return server

    def close(self) -> None:
        """Stop what was started."""
        self._running.close()
