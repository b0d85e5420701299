"""Which commands of servers files from elsewhere a person has allowed (``canary allow FILE``).

A file in the user's own configuration folder may run what it names, and so may one of root's. Any other may
have come with a cloned repository or a download: it may name servers, but what it would *run* is shown to a
person first, and allowed for exactly that command and the place where its answer is sent to.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from canary_tui.ownership import others_may_change
from canary_tui.paths import private_folder, replace_file
from canary_tui.servers.model import PasswordCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.paths import Paths
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server

Pins = dict[str, dict[str, str]]
"""By servers file and server: what was allowed, as a hash."""
SYSTEM = Path("/etc")


class AllowedCommands:
    """What one servers file may run. Blocks for file access, briefly."""

    def __init__(self, paths: Paths) -> None:
        self.file = Path(os.path.realpath(paths.servers))
        self._lexical = _normal(paths.servers)
        self._own = _normal(paths.own)
        self._path = paths.allowed

    @property
    def needed(self) -> bool:
        """Whether the file is from elsewhere, so that its commands must have been allowed."""
        # A link in the user's own folder was made by the user: that is their word for what it leads to.
        if self._lexical.is_relative_to(self._own):
            return False
        if os.geteuid() == 0:  # a repository that root has cloned is root's, too
            return not self.file.is_relative_to(SYSTEM)
        try:
            return self.file.stat().st_uid != 0
        except OSError:
            return True

    def permits(self, server: Server) -> bool:
        """Whether the server's command may be run as it stands."""
        return not self.needed or self._pins().get(str(self.file), {}).get(server.name) == _pin(server)

    def allow(self, servers: list[Server]) -> None:
        """Allow exactly these servers' commands, as they stand, and no others of the file; none: forget it.

        Raises OSError when that cannot be written down.
        """
        with self._locked():
            pins = self._pins()
            pins.pop(str(self.file), None)
            if servers:
                pins[str(self.file)] = {server.name: _pin(server) for server in servers}
            replace_file(self._path, msgspec.json.format(msgspec.json.encode(pins)) + b"\n")

    def _pins(self) -> Pins:
        """Read what was allowed. A file that others may change, or that is damaged, allows nothing."""
        if others_may_change(self._path):
            return {}
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Pins)
        except (OSError, msgspec.DecodeError):
            return {}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = private_folder(self._path.parent)
        lock = os.open(folder / f".{self._path.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def with_commands(fleet: Fleet) -> list[Server]:
    """Return the servers of a file for which it names a command."""
    return [server for server in fleet.servers if isinstance(server.database.password, PasswordCommand)]


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


def _pin(server: Server) -> str:
    """Return a hash of the command and of all that says where its answer goes and how it is protected."""
    source, database, ssh = server.database.password, server.database, server.tunnel
    command = source.command if isinstance(source, PasswordCommand) else ()
    way = (ssh.host, ssh.port, ssh.user) if ssh is not None else ()
    where = (server.engine, database.host, database.port, database.user)
    tls = (database.tls, database.ca_file, database.allow_cleartext)
    return hashlib.sha256(msgspec.json.encode((server.name, command, where, tls, way))).hexdigest()
