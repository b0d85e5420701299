"""What is known of the programs of an engine: how they are led to one server, and to no other."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from canary_tui.databases.ways import LocalSocket, place
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.paths import NoHome, expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from canary_tui.databases.ways import Way
    from canary_tui.servers.model import Database, Server

NOWHERE = "/dev/null/none"
"""A path at which there can never be a file."""


class ClientEnvironment(Protocol):
    """What programs are started with, so that they use one server. There is no password in it."""

    variables: dict[str, str]
    """What is put into the environment."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line of ``argv``, with what it needs in it. Raises Failed."""


class EngineClients(ABC):
    """How the programs of one engine reach one server, by one way."""

    def __init__(self, server: Server, way: Way) -> None:
        self._server = server
        self._way = way

    @abstractmethod
    def url(self) -> str:
        """Return the connection URL for a program on this machine; no password is in it."""

    @abstractmethod
    def shell_words(self) -> list[str]:
        """Return what a person types to reach the server by hand; no password is in it."""

    @abstractmethod
    def prepare(self, folder: Path, environ: Mapping[str, str]) -> ClientEnvironment:
        """Return what programs are started with, whose files are written into ``folder``.

        ``environ`` is what we were started with. Raises Failed (``settings_invalid``) where a program could
        not keep to ``tls``, OSError where the files cannot be written.
        """


def login_url(server: Server, way: Way, at_socket: Callable[[str], str]) -> str:
    """Return the URL of a user's database; ``at_socket`` gives its parameters for the path of a socket."""
    database = server.database
    user, name = quote(server.user, safe=""), quote(database.name, safe="")
    if isinstance(way, LocalSocket):
        return f"{server.engine.value}://{user}@/{name}?{at_socket(way.path)}"
    return f"{server.engine.value}://{user}@{place(database, way)}/{name}"


def authorities(database: Database) -> str:
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
