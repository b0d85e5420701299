"""Where programs on this machine reach a server: at the local end of its tunnel, or directly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.words import endpoint

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Failed
    from canary_tui.servers.model import Database, Server


class LocalPort(msgspec.Struct, frozen=True):
    """The tunnel's port on this machine's loopback."""

    host: str
    port: int


class LocalSocket(msgspec.Struct, frozen=True):
    """The tunnel's unix socket, by its absolute path."""

    path: str


class Direct(msgspec.Struct, frozen=True):
    """No tunnel: the database's own host and port."""


Way = LocalPort | LocalSocket | Direct


def way_to(server: Server, local: str, why: Failed) -> Way:
    """Return how clients reach a server whose tunnel is bound at ``local`` (``127.0.0.1:15432``, or a path).

    A tunnelled server has no other way: where nothing is bound, its ``localhost`` would be this machine's own
    database. Raises ``why`` then.
    """
    if server.tunnel is None:
        return Direct()
    if local.startswith("/"):
        return LocalSocket(local)
    host, _, port = local.rpartition(":")
    if not port:
        raise why
    return LocalPort(host, int(port))


def address(database: Database, way: LocalPort | Direct) -> tuple[str, int]:
    """Return the host and port to connect to."""
    match way:
        case LocalPort(host, port):
            return host, port
        case Direct():
            return database.host, database.port


def place(database: Database, way: LocalPort | Direct) -> str:
    """Return ``host:port`` as a URL has it."""
    host, port = address(database, way)
    return endpoint(host, str(port))
