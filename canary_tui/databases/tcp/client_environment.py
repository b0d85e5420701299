"""How programs are told where a TCP service is: by its address, for nobody knows what they read."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from canary_tui.databases.client_environment import EngineClients
from canary_tui.databases.ways import LocalSocket, address, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class TcpClients(EngineClients):
    """See EngineClients."""

    def url(self) -> str:
        """Return ``tcp://host:port``, or ``unix:path``."""
        if isinstance(self._way, LocalSocket):
            return f"unix:{quote(self._way.path, safe='/')}"
        return f"tcp://{place(self._server.database, self._way)}"

    def shell_words(self) -> list[str]:
        """Return the URL: no program is the one to start."""
        return [self.url()]

    def prepare(self, folder: Path, environ: Mapping[str, str]) -> TcpEnvironment:
        """Return the variables; no files are needed."""
        del folder, environ
        if isinstance(self._way, LocalSocket):
            return TcpEnvironment({"CANARY_SOCKET": self._way.path})
        host, port = address(self._server.database, self._way)
        return TcpEnvironment({"CANARY_HOST": host, "CANARY_PORT": str(port)})


class TcpEnvironment:
    """See ClientEnvironment. The names are our own: to many programs ``PORT`` is what they listen on."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = variables

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return ``argv`` as it is."""
        return list(argv)
