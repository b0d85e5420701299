"""Which process listens on a local port, as far as the system tells this user (Linux: proc(5))."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from canary_tui.diagnosis.printable import Source

PROC = Path("/proc")
LISTEN = "0A"


LOOPBACK = ("0100007F", "0" * 8, "0" * 32)
LOOPBACK6 = ("0" * 24 + "01000000", "0" * 32)
"""The addresses of which a listener keeps 127.0.0.1, or ::1, from being bound, as those tables write them."""


class Holder(msgspec.Struct, frozen=True):
    """A process that listens on a port."""

    pid: int
    program: str


def holder_of(port: int, addresses: tuple[str, ...] = LOOPBACK) -> Holder | None:
    """Return who listens on ``port``; None when nobody does or the system does not tell.

    Goes through the open files of all processes that this user may look at: call it on a thread.
    """
    found = _listener(port, addresses)
    return _owner(found[1]) if found else None


def uid_on(port: int, addresses: tuple[str, ...] = LOOPBACK) -> int | None:
    """Return the uid that listens on ``port``, which the system tells of other users too."""
    found = _listener(port, addresses)
    return found[0] if found else None


def listens(pid: int, port: int, addresses: tuple[str, ...] = LOOPBACK) -> bool | None:
    """Tell whether process ``pid`` listens on ``port``; None when the system does not tell."""
    found, process = _listener(port, addresses), PROC / str(pid)
    if found is None or not process.exists():
        return False
    try:
        return _opened(process, found[1])
    except OSError:
        return None


def _listener(port: int, addresses: tuple[str, ...]) -> tuple[int, str] | None:
    """Return uid and inode of the socket that keeps ``port`` from being bound, if one does."""
    found: dict[str, tuple[int, str]] = {}
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            address, _, hexadecimal = fields[1].rpartition(":")
            if fields[3] == LISTEN and int(hexadecimal, 16) == port:
                found[address] = int(fields[7]), fields[9]
    return next((found[address] for address in addresses if address in found), None)


@functools.lru_cache(64)  # a socket has its inode for life, and the port is asked for again and again
def _owner(inode: str) -> Holder | None:
    for process in PROC.iterdir():
        if process.name.isdigit() and _has_open(process, inode):
            try:
                return Holder(int(process.name), Source.PROGRAM.text((process / "comm").read_bytes()))
            except OSError:
                continue
    return None


def _has_open(process: Path, inode: str) -> bool:
    try:
        return _opened(process, inode)
    except OSError:  # another user's, or it has just ended
        return False


def _opened(process: Path, inode: str) -> bool:
    return any(str(file.readlink()) == f"socket:[{inode}]" for file in (process / "fd").iterdir())
