"""One user of canary-tui in a folder of their own, and the real servers that they reach."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from canary_tui.diagnosis.stages import HostKeyOffer
from canary_tui.keys.authorized import restricted_line
from canary_tui.monitor.probe import probe
from canary_tui.monitor.tools import Tools
from canary_tui.paths import Paths
from canary_tui.servers.model import Database, Engine, PasswordEnv, ProbePlan, Server, SshServer, TlsMode
from tests.harness.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from canary_tui.diagnosis.stages import ProbeResult, Stage, StageResult
    from canary_tui.keys.store import StoredKey
    from canary_tui.tunnels.route import Route
    from tests.harness.dropbear import Dropbear
    from tests.harness.mariadb import MariaDB
    from tests.harness.sshd import Sshd

    Watch = Callable[[Stage | None, tuple[StageResult, ...]], None]


class World:
    """Paths, keys and known hosts of one user; makes servers that lead to the real ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = Paths.below(folder)
        self.tools = Tools(self.paths)
        self._variables: set[str] = set()

    def close(self) -> None:
        """Take back the passwords."""
        for variable in self._variables:
            os.environ.pop(variable, None)

    def password(self, name: str, value: str) -> PasswordEnv:
        """Put a password where a server's entry can name it."""
        variable = f"CANARY_TEST_{name.upper().replace('-', '_')}"
        os.environ[variable] = value
        self._variables.add(variable)
        return PasswordEnv(env=variable)

    def server(
        self,
        database: Postgres | MariaDB,
        ssh: Sshd | Dropbear | None = None,
        *,
        name: str = "orders",
        install: bool = True,
        every: float = 1.0,
        timeout: float = 5.0,
        **changes: Any,
    ) -> Server:
        """Return a server that works: its key installed as it should be, its host key trusted.

        ``changes`` replaces fields of the database.
        """
        engine = Engine.POSTGRESQL if isinstance(database, Postgres) else Engine.MYSQL
        server = Server(
            name=name,
            engine=engine,
            database=Database(
                host=database.host,
                port=database.port,
                name=database.database,
                user=database.user,
                password=self.password(name, database.password),
                tls=TlsMode.PREFER,
            ),
            ssh=None if ssh is None else SshServer(host=ssh.host, port=ssh.port, user=ssh.user, key=name),
            probe=ProbePlan(every=every, timeout=timeout, slow_after=5),
        )
        server = with_database(server, **changes)
        if ssh is not None:
            line = self.line(server)
            if install:
                ssh.authorize(line)
            self.trust(ssh)
        return server

    def key(self, name: str) -> StoredKey:
        """Return the key of that name, made when it is not there."""
        path = self.paths.keys / name
        return (
            self.tools.keys.load(path) if path.exists() else self.tools.keys.create(name, "querycanary.com")
        )

    def line(self, server: Server) -> str:
        """Return the line to install for a server, as ``canary key`` prints it; makes the key if need be."""
        return restricted_line(self.key(server.name).line, server.database.host, server.database.port)

    def trust(self, ssh: Sshd | Dropbear, port: int | None = None) -> None:
        """Pin the host keys that an sshd has now, for ``port`` where it is reached through a proxy."""
        for line in ssh.host_public_keys:
            self.tools.known_hosts.pin(offer_of(ssh.host, port or ssh.port, line))

    def write(self, *servers: Server) -> None:
        """Add servers to the servers file."""
        for server in servers:
            self.tools.file.add(server)

    async def probe(
        self, server: Server, route: Route | None = None, watch: Watch | None = None
    ) -> ProbeResult:
        """Probe once."""
        return await probe(server, self.tools, route=route, watch=watch)


def with_ssh(server: Server, **changes: Any) -> Server:
    """Return the server with fields of its SSH server replaced."""
    assert server.ssh is not None
    return msgspec.structs.replace(server, ssh=msgspec.structs.replace(server.ssh, **changes))


def with_database(server: Server, **changes: Any) -> Server:
    """Return the server with fields of its database replaced."""
    return msgspec.structs.replace(server, database=msgspec.structs.replace(server.database, **changes))


def with_probe(server: Server, **changes: Any) -> Server:
    """Return the server with fields of its probe's settings replaced."""
    return msgspec.structs.replace(server, probe=msgspec.structs.replace(server.probe, **changes))


def offer_of(host: str, port: int, line: str) -> HostKeyOffer:
    """Return a host key, given as ``type base64``, as the question that a person would be asked."""
    kind = line.partition(" ")[0]
    return HostKeyOffer(host=host, port=port, key_type=kind, fingerprint="", public_line=line)


def with_engine(server: Server, engine: Engine) -> Server:
    """Return the server as one of another engine, which it is not."""
    return msgspec.structs.replace(server, engine=engine)
