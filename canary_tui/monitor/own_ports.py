"""Which of this user's own processes listens on a local port.

They hide their open files (``surroundings.keep_private``), so /proc does not tell one of them about another:
each writes down what it has bound. Who has crashed left a file behind: process id and start time tell.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from canary_tui.paths import private_folder
from canary_tui.tunnels.holder import PROC, Holder

PROGRAM = "canary"
STARTED = 19
"""Where the start time stands in /proc/PID/stat, counted from behind the name (proc(5): field 22)."""


class _Owner(msgspec.Struct, frozen=True):
    pid: int
    started: str


class OwnPorts:
    """Notes of ports in a folder that all processes of one user share. None of it ever raises."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, port: int) -> None:
        """Write down that this process listens on ``port``."""
        owner = _Owner(os.getpid(), _started(os.getpid()))
        with suppress(OSError):
            (private_folder(self._folder) / str(port)).write_bytes(msgspec.json.encode(owner))

    def forget(self, port: int) -> None:
        """Take a note of this process away."""
        if (owner := self._read(port)) is not None and owner.pid == os.getpid():
            with suppress(OSError):
                (self._folder / str(port)).unlink()

    def holder(self, port: int) -> Holder | None:
        """Return which other process of ours has noted ``port`` and still runs."""
        owner = self._read(port)
        if owner is None or not owner.started or _started(owner.pid) != owner.started:
            return None
        return Holder(owner.pid, PROGRAM)

    def _read(self, port: int) -> _Owner | None:
        try:
            return msgspec.json.decode((self._folder / str(port)).read_bytes(), type=_Owner)
        except (OSError, msgspec.DecodeError):
            return None


def _started(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks; empty when that is not known."""
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
        return text.rpartition(")")[2].split()[STARTED]
    except (OSError, IndexError):
        return ""
