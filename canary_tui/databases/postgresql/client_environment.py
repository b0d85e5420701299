"""How psql and other programs with libpq are told where to go: by variables, which they all read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from canary_tui.databases.client_environment import NOWHERE, EngineClients, authorities, login_url
from canary_tui.databases.ways import Direct, LocalPort, LocalSocket, address
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from canary_tui.databases.ways import Way
    from canary_tui.servers.model import Database, Server

PLAIN_NAMES = frozenset({"psql", "pg_dump"})
"""Programs that take ``PGDATABASE`` for a name, whatever is in it; vacuumdb, reindexdb and pgcli do not."""


class PostgresClients(EngineClients):
    """See EngineClients."""

    def url(self) -> str:
        """Return the URL as libpq reads it."""
        return login_url(self._server, self._way, self._at_socket)

    def _at_socket(self, path: str) -> str:
        # The port is part of the socket's name, and libpq looks for that file alone.
        return f"host={quote(str(Path(path).parent), safe='/')}&port={self._server.database.port}"

    def shell_words(self) -> list[str]:
        """Return ``psql`` with its options."""
        database = self._server.database
        if isinstance(self._way, LocalSocket):
            host, port = str(Path(self._way.path).parent), database.port
        else:
            host, port = address(database, self._way)
        name = [_as_argument(database.name)] if database.name else []
        return ["psql", "-h", host, "-p", str(port), "-U", self._server.user, *name]

    def prepare(self, folder: Path, environ: Mapping[str, str]) -> PostgresEnvironment:
        """Return the variables; no files are needed."""
        del folder
        return PostgresEnvironment(_variables(self._server, self._way, environ.get("HOME", "")))


class PostgresEnvironment:
    """See ClientEnvironment."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = variables

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return ``argv``. Raises Failed where it might take the database's name for a connection string."""
        name = self.variables["PGDATABASE"]
        if ("=" in name or "://" in name) and Path(argv[0]).name not in PLAIN_NAMES:
            programs = " and ".join(sorted(PLAIN_NAMES))
            detail = (
                f"a program could take the database name {name!r} for a connection string; {programs} do not"
            )
            raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=detail)
        return list(argv)


def _as_argument(name: str) -> str:
    """Return a database's name so that psql takes it neither for an option nor for a connection string."""
    if re.fullmatch(r"\w[\w.-]*", name):
        return name
    escaped = re.sub(r"(['\\])", r"\\\1", name)
    return f"dbname='{escaped}'"


def _variables(server: Server, way: Way, home: str) -> dict[str, str]:
    database = server.database
    variables = {
        **_address(database, way),
        "PGUSER": server.user,
        "PGDATABASE": database.name or server.user,
        "PGSSLMODE": database.tls.value,
        # Kerberos' own encryption would come first, and ``sslmode`` would not count.
        "PGGSSENCMODE": "disable",
        "PGPASSFILE": NOWHERE,
        "PGSERVICEFILE": NOWHERE,
    }
    variables |= _certificates(database, Path(home, ".postgresql"))
    if not database.tls.verifies and not database.allow_cleartext:
        variables["PGREQUIREAUTH"] = "!password"  # not in clear; libpq 16 and newer know it
    return variables


def _certificates(database: Database, found: Path) -> dict[str, str]:
    """Return the certificates to use; ``found`` is where libpq looks for some by itself.

    It checks against authorities that it finds whatever ``sslmode`` says. When that fails, or a client's
    certificate that it finds cannot be used, it goes on without TLS with ``prefer``, and says nothing.
    """
    trusted = authorities(database) if database.tls.required else ""
    files = {"PGSSLROOTCERT": trusted} if trusted else {}
    if not database.tls.verifies:
        own = {"PGSSLROOTCERT": "root.crt", "PGSSLCERT": "postgresql.crt"}
        files = {name: NOWHERE for name, file in own.items() if os.access(found / file, os.F_OK)} | files
    return files


def _address(database: Database, way: Way) -> dict[str, str]:
    match way:
        case LocalPort(host, port):
            # The real host, so that verify-full checks the database's own name; the address is ours.
            return {"PGHOST": database.host, "PGHOSTADDR": host, "PGPORT": str(port)}
        case LocalSocket(path):
            if database.tls.required:
                # libpq ignores sslmode there, and says nothing (PostgreSQL manual, "Database Connection
                # Control Functions").
                detail = (
                    f"psql does without TLS over a unix socket, and `tls: {database.tls.value}` asks for it; "
                    "`ssh.listen: port` makes both possible"
                )
                raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=detail)
            return {"PGHOST": str(Path(path).parent), "PGPORT": str(database.port)}
        case Direct():
            return {"PGHOST": database.host, "PGPORT": str(database.port)}
