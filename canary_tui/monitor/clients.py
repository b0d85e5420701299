"""How a database client is started: its command line and its whole environment.

A client that we start is alone with its server. The variables, service files and option files of whoever
started us could lead it to another database, with nothing said: they are left out, and ours are put in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from canary_tui.databases.registry import clients_of
from canary_tui.databases.ways import LocalSocket
from canary_tui.diagnosis.words import shell_word
from canary_tui.servers.child_environment import without_client_settings, without_other_passwords
from canary_tui.servers.model import Engine, Server, TlsMode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from canary_tui.databases.ways import Way
    from canary_tui.monitor.core import Core
    from canary_tui.servers.secrets import Secret
    from canary_tui.tunnels.known_tls import KnownTls

PASSWORDS = frozenset(engine.facts.password_variable for engine in Engine)
SHOWN = frozenset(name for engine in Engine for name in engine.facts.shown_variables)


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


async def client_environment(core: Core, server: Server) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the whole environment of the engine's own client, at our local end.

    Raises Failed where nothing of ours is bound, before a password is looked for.
    """
    from canary_tui.monitor.ways import check_safe, own_way

    row = core.events.board.row(server.name)
    check_safe(row.failure if row else None)
    start = ClientStart(
        way=lambda: own_way(server, core.held.watcher(server.name)),
        servers=core.fleet.named,
        known_tls=core.tools.known_tls,
        folder=core.folder_for_client(server.name),
    )
    return await start.call(server, core.tools.passwords.find)


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
        self._facts = server.engine.facts
        self._environ = without_other_passwords(environ, server, servers)
        clients = clients_of(server, way)
        self._url = clients.url()
        self._own = clients.prepare(folder, environ)

    def command(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command line of ``argv``; of the engine's own client when that is empty.

        Raises Failed where a program could be led elsewhere.
        """
        return self._own.command(argv or self._facts.clients[:1])

    def environment(self, password: Secret | None) -> dict[str, str]:
        """Return the whole environment of the child process.

        The password stands there and never in the arguments, which every user of the machine can read.
        """
        secret = {} if password is None else {self._facts.password_variable: password.reveal()}
        return without_client_settings(self._environ) | self._own.variables | secret

    def shell_line(self) -> str:
        """Return what a person types in a shell to start the engine's own client; no password is in it.

        The URL where the engine has none.
        """
        if not self._facts.clients:
            return self._url
        shown = {name: value for name, value in self._own.variables.items() if name in SHOWN}
        words = [f"{name}={shell_word(value)}" for name, value in shown.items()]
        # A shell that is started beside us has most likely the same variables.
        kept = {*without_client_settings(self._environ), *shown, *PASSWORDS}
        unset = [f"-u {shell_word(name)}" for name in self._environ if name not in kept]
        return " ".join([*(["env", *unset] if unset else []), *words, *map(shell_word, self.command())])
