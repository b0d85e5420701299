"""What every tunnel and probe of one user needs: keys, known hosts, passwords, the servers file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.keys.authorized import KeyInfo, key_info
from canary_tui.keys.store import KeyStore, StoredKey
from canary_tui.monitor.local_ports import LocalPorts
from canary_tui.monitor.own_ports import OwnPorts
from canary_tui.servers.allowed import AllowedCommands
from canary_tui.servers.file import BadFile, NotListed, ServersFile
from canary_tui.servers.passwords import Passwords
from canary_tui.tunnels.host_keys import KnownHosts
from canary_tui.tunnels.known_tls import KnownTls
from canary_tui.tunnels.ssh_logins import SshLogins

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server


class Tools:
    """One user's keys, known hosts, passwords and servers file."""

    def __init__(self, paths: Paths, passwords: Passwords | None = None) -> None:
        self.paths = paths
        self.keys = KeyStore(paths.keys)
        self.known_hosts = KnownHosts(paths.known_hosts)
        self.known_tls = KnownTls(paths.known_tls)
        self.logins = SshLogins(self.known_hosts)
        self.passwords = passwords or Passwords(allowed=AllowedCommands(paths), listed=self._listed)
        self.file = ServersFile(paths.servers)
        self.ports = LocalPorts()
        self.own_ports = OwnPorts(paths.known_hosts.parent / "ports")
        self.key_comment = "querycanary.com"
        self.removed_keys: dict[str, dict[str, Path]] = {}
        """Where the keys of servers that were removed in this run were moved to, by their entries."""

    def _listed(self) -> tuple[Server, ...]:
        try:
            return self.file.load().named
        except (BadFile, OSError):
            return ()

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
        return self.info_of(server, await self.key_of(server))

    def info_of(self, server: Server, key: StoredKey) -> KeyInfo:
        """Return what may be shown of ``key``, as one of this server's."""
        return key_info(
            line=key.line,
            fingerprint=key.fingerprint,
            created=key.created,
            path=Source.PATH.text(str(key.path)),
            server=server,
            software=self.logins.software(server.ssh),
        )

    def words(self, server: Server) -> dict[str, str]:
        """Return the names that the sentences of a diagnosis use, with what was seen of the SSH server."""
        ssh = server.tunnel
        return server.words | (self.logins.words(ssh) if ssh else {})
