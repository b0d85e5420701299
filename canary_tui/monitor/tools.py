"""What every tunnel and probe of one user needs: keys, known hosts, passwords, the servers file."""

from __future__ import annotations

import asyncio
import socket
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.keys.authorized import KeyInfo, key_info, parse_openssh_version
from canary_tui.keys.store import KeyStore, StoredKey
from canary_tui.servers.file import BadFile, NotListed, ServersFile
from canary_tui.servers.secrets import Passwords
from canary_tui.tunnels.host_keys import KnownHosts

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server

FIRST_PORTS = {"postgresql": 15432, "mysql": 13306}
PORT_TRIES = 1000


class Tools:
    """One user's keys, known hosts, passwords and servers file."""

    def __init__(self, paths: Paths, passwords: Passwords | None = None) -> None:
        self.paths = paths
        self.keys = KeyStore(paths.keys)
        self.known_hosts = KnownHosts(paths.known_hosts)
        self.passwords = passwords or Passwords()
        self.file = ServersFile(paths.servers)
        self.key_comment = "querycanary.com"
        self.versions: dict[tuple[str, int], str] = {}
        """The version line that each SSH server showed, for the line it can understand."""
        self.removed_keys: dict[str, Path] = {}
        """Where the keys of servers that were removed in this run were moved to."""

    async def key_of(self, server: Server) -> StoredKey:
        """Return the server's key; made, and written into the file, where it has none yet.

        Raises Failed in the stage ``settings``.
        """
        key, made = self.keys.of_server(server, self.key_comment)
        if made:
            await self.remember(server.name, ("ssh", "key"), key.path.name)
        return key

    async def remember(self, name: str, field: tuple[str, ...], value: str | int) -> None:
        """Write into the servers file what was chosen once and is to stay.

        Raises Failed (``settings_invalid``) when the file cannot be written.
        """
        try:
            await asyncio.to_thread(self.file.set_value, name, field, value)
        except NotListed:
            return  # the entry was taken out of the file meanwhile: nothing is left to remember
        except (BadFile, OSError) as error:
            raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=str(error)) from None

    async def key_info(self, server: Server) -> KeyInfo:
        """Return what the key view shows. Raises Failed when the key cannot be read or made."""
        key = await self.key_of(server)
        ssh = server.ssh
        version = self.versions.get((ssh.host, ssh.port), "") if ssh else ""
        return key_info(
            line=key.line,
            fingerprint=key.fingerprint,
            created=key.created,
            path=str(key.path),
            server=server,
            openssh=parse_openssh_version(version),
        )


def with_local_port(server: Server, taken: set[int]) -> Server:
    """Return the server with a local port that is free now and that no other server has."""
    if server.ssh is None or server.ssh.local_port is not None:
        return server
    first = FIRST_PORTS[server.engine.value]
    port = next_free_port(first, taken)
    if port is None:
        raise Failed(Cause.LOCAL_PORT_TAKEN, stage=Stage.SETTINGS, detail=f"no free port from {first} on")
    return msgspec.structs.replace(server, ssh=msgspec.structs.replace(server.ssh, local_port=port))


def next_free_port(first: int, taken: set[int]) -> int | None:
    """Return the first port from ``first`` on that is free now and is none of ``taken``."""
    candidates = (port for port in range(first, 65536) if port not in taken)
    return next((port for port in islice(candidates, PORT_TRIES) if _is_free(port)), None)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As asyncio's servers bind: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
