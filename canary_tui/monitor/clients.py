"""How a database client is started: its command line and its whole environment.

A client that we start is alone with its server. The variables, service files and option files of whoever
started us could lead it to another database, with nothing said: they are left out, and ours are put in.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.words import shell_word
from canary_tui.monitor.mysql_clients import NOWHERE, MysqlClients
from canary_tui.monitor.ways import Direct, LocalPort, LocalSocket
from canary_tui.paths import NoHome, expanded
from canary_tui.servers.child_environment import without_client_settings, without_other_passwords
from canary_tui.servers.model import Engine, Server, TlsMode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from canary_tui.monitor.ways import Way
    from canary_tui.servers.model import Database
    from canary_tui.servers.secrets import Secret
    from canary_tui.tunnels.known_tls import KnownTls

PASSWORDS = {engine: engine.facts.password_variable for engine in Engine}
PLAIN_NAMES = frozenset({"psql", "pg_dump"})
"""Programs that take ``PGDATABASE`` for a name, whatever is in it; vacuumdb, reindexdb and pgcli do not."""
SHOWN = frozenset({"PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGSSLMODE", "PGSSLROOTCERT"})
SHOWN |= {"MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT", "MYSQL_HOME"}
"""What a person is shown of the environment; the rest keeps other settings out."""


class ClientStart(msgspec.Struct, frozen=True):
    """What is needed to start a client of a server, beside the server."""

    way: Callable[[], Awaitable[Way]]
    """Finds where it is to connect to. Raises Failed."""
    servers: Iterable[Server]
    """All that are listed."""
    known_tls: KnownTls
    folder: Path
    """For files that clients need."""

    async def client(self, server: Server) -> DatabaseClient:
        """Return what makes the client's command line and environment. Raises Failed, OSError."""
        way = await self.way()
        server = with_tls_as_seen(server, way, self.known_tls)
        return DatabaseClient(server, way, servers=self.servers, environ=os.environ, folder=self.folder)

    async def call(
        self, server: Server, find: Callable[[Server], Awaitable[Secret | None]], argv: Sequence[str] = ()
    ) -> tuple[list[str], dict[str, str]]:
        """Return command line and whole environment of ``argv``, or the engine's own client.

        ``find`` finds the password. Raises Failed, OSError.
        """
        await self.way()  # before anything secret is looked for
        password = await find(server)
        client = await self.client(server)  # a password takes its time: the tunnel may be closed by now
        return client.command(argv), client.environment(password)


def with_tls_as_seen(server: Server, way: Way, known_tls: KnownTls) -> Server:
    """Return the server as one that requires TLS, where `prefer` would do without TLS that was there before.

    Not where its clients cannot use it: at a socket. Raises Failed where what was seen cannot be read.
    """
    at_socket = isinstance(way, LocalSocket) and not server.engine.facts.tls_over_sockets
    if server.database.tls is not TlsMode.PREFER or at_socket or not known_tls.seen(server):
        return server
    database = msgspec.structs.replace(server.database, tls=TlsMode.REQUIRE)
    return msgspec.structs.replace(server, database=database)


class DatabaseClient:
    """Makes command line and environment of a program that uses one server, which it reaches by ``way``.

    ``environ`` is what we were started with, ``servers`` are all that are listed. ``folder`` is for the files
    that MySQL's clients need. Raises Failed (``settings_invalid``) where a client could not keep to ``tls``,
    OSError where the files cannot be written.
    """

    def __init__(
        self, server: Server, way: Way, *, servers: Iterable[Server], environ: Mapping[str, str], folder: Path
    ) -> None:
        self._engine = server.engine
        self._environ = without_other_passwords(environ, server, servers)
        self._mysql: MysqlClients | None = None
        if server.engine is Engine.POSTGRESQL:
            self._own = _postgresql(server, way, environ.get("HOME", ""))
        else:
            path = environ.get("PATH", os.defpath)
            self._mysql = MysqlClients(server.database, way, _authorities(server.database), folder, path)
            self._own = self._mysql.environment()

    def command(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command line of ``argv``; of the engine's own client when that is empty.

        Raises Failed where a program might take the database's name for a connection string.
        """
        if self._mysql is not None:
            return self._mysql.command(argv or ["mysql"])
        argv = argv or ["psql"]
        name = self._own["PGDATABASE"]
        if ("=" in name or "://" in name) and Path(argv[0]).name not in PLAIN_NAMES:
            programs = " and ".join(sorted(PLAIN_NAMES))
            detail = (
                f"a program could take the database name {name!r} for a connection string; {programs} do not"
            )
            raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=detail)
        return list(argv)

    def environment(self, password: Secret | None) -> dict[str, str]:
        """Return the whole environment of the child process.

        The password stands there and never in the arguments, which every user of the machine can read.
        """
        secret = {} if password is None else {PASSWORDS[self._engine]: password.reveal()}
        return without_client_settings(self._environ) | self._own | secret

    def shell_line(self) -> str:
        """Return what a person types in a shell to start the engine's own client; no password is in it."""
        shown = {name: value for name, value in self._own.items() if name in SHOWN}
        words = [f"{name}={shell_word(value)}" for name, value in shown.items()]
        # A shell that is started beside us has most likely the same variables.
        kept = {*without_client_settings(self._environ), *shown, *PASSWORDS.values()}
        unset = [f"-u {shell_word(name)}" for name in self._environ if name not in kept]
        return " ".join([*(["env", *unset] if unset else []), *words, *map(shell_word, self.command())])


def _postgresql(server: Server, way: Way, home: str) -> dict[str, str]:
    database = server.database
    environment = {
        **_postgresql_address(database, way),
        "PGUSER": server.user,
        "PGDATABASE": database.name or server.user,
        "PGSSLMODE": database.tls.value,
        # Kerberos' own encryption would come first, and ``sslmode`` would not count.
        "PGGSSENCMODE": "disable",
        "PGPASSFILE": NOWHERE,
        "PGSERVICEFILE": NOWHERE,
    }
    environment |= _postgresql_certificates(database, Path(home, ".postgresql"))
    if not database.tls.verifies and not database.allow_cleartext:
        environment["PGREQUIREAUTH"] = "!password"  # not in clear; libpq 16 and newer know it
    return environment


def _postgresql_certificates(database: Database, found: Path) -> dict[str, str]:
    """Return the certificates to use; ``found`` is where libpq looks for some by itself.

    It checks against authorities that it finds whatever ``sslmode`` says. When that fails, or a client's
    certificate that it finds cannot be used, it goes on without TLS with ``prefer``, and says nothing.
    """
    authorities = _authorities(database) if database.tls.required else ""
    files = {"PGSSLROOTCERT": authorities} if authorities else {}
    if not database.tls.verifies:
        own = {"PGSSLROOTCERT": "root.crt", "PGSSLCERT": "postgresql.crt"}
        files = {name: NOWHERE for name, file in own.items() if os.access(found / file, os.F_OK)} | files
    return files


def _postgresql_address(database: Database, way: Way) -> dict[str, str]:
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


def _authorities(database: Database) -> str:
    """Return the file of the authorities to check against: the clients know neither ``~`` nor a default."""
    if database.ca_file:
        try:
            return str(expanded(database.ca_file))
        except NoHome as error:
            facts = {"ca_file": database.ca_file}
            raise Failed(
                Cause.CA_FILE_UNREADABLE, stage=Stage.SETTINGS, detail=str(error.strerror), facts=facts
            ) from None
    return (ssl.get_default_verify_paths().cafile or "") if database.tls.verifies else ""
