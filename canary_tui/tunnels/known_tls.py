"""Which databases have been seen with TLS, so that one that has none any more does not pass for the same.

``tls: prefer`` does without TLS where a server offers none, which anybody on the way can say in its place.
One line of text a database: the SSH login before it (``direct`` without one), the database's address, and
when TLS was first seen there: ``canary@bastion:22 10.0.3.12:5432 seen=2026-11-25T10:00:00Z``.
"""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.words import endpoint
from canary_tui.ownership import others_may_change
from canary_tui.paths import private_folder, replace_file
from canary_tui.servers.model import wire_host
from canary_tui.tunnels.host_keys import locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from canary_tui.servers.model import Server

SEEN = "seen="


class KnownTls:
    """The file of one user (mode 0600). Lines that are none of ours stay as they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._signature: tuple[int, ...] = ()
        self._lines: list[str] = []

    def seen(self, server: Server) -> str:
        """Return when a server's database was first seen with TLS (ISO 8601, UTC); empty when never.

        Raises Failed (``settings_invalid``) when the file cannot be read, or others could have changed it.
        """
        start = _start(server)
        try:
            if exposed := others_may_change(self.path):
                raise PermissionError(errno.EPERM, f"not used: {exposed}")
            found = next((line for line in self._read() if line.startswith(start)), "")
        except OSError as error:
            detail = f"{self.path}: {error.strerror or error}"
            raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=detail) from None
        return found.removeprefix(start).strip()

    def add(self, server: Server) -> None:
        """Remember that a server's database has TLS. Raises OSError when the file cannot be written."""
        start = _start(server)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._edit(lambda lines: lines if _has(lines, start) else [*lines, start + stamp])

    def forget(self, server: Server) -> None:
        """Let a server's database be without TLS. Raises OSError when the file cannot be written."""
        start = _start(server)
        self._edit(lambda lines: [line for line in lines if not line.startswith(start)])

    def _edit(self, change: Callable[[list[str]], list[str]]) -> None:
        private_folder(self.path.parent)
        with locked(self.path):
            lines = self._read()
            changed = change(lines)
            if changed != lines:
                text = "".join(f"{line}\n" for line in changed)
                replace_file(self.path, text.encode("utf-8", "surrogateescape"))

    def _read(self) -> list[str]:
        try:
            now = self.path.stat()
            signature = (now.st_mtime_ns, now.st_size, now.st_ino)
            if signature != self._signature:
                text = self.path.read_bytes().decode("utf-8", "surrogateescape")
                self._lines = text.removesuffix("\n").split("\n") if text else []
                self._signature = signature
        except FileNotFoundError:
            self._signature, self._lines = (), []
        return self._lines


def _has(lines: list[str], start: str) -> bool:
    return any(line.startswith(start) for line in lines)


def _start(server: Server) -> str:
    """Return what a database's line begins with: the way to it, and its address."""
    ssh = server.tunnel
    user = quote(ssh.user, safe="@\\") if ssh else ""
    way = f"{user}@{endpoint(_name(ssh.host), str(ssh.port))}" if ssh else "direct"
    return f"{way} {endpoint(_name(server.database.host), str(server.database.port))} {SEEN}"


def _name(host: str) -> str:
    return wire_host(host).lower()
