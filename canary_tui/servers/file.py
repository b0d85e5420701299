"""``servers.yaml`` on disk: read, and edited under a lock, atomically, merged onto what is there now."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.printable import one_line
from canary_tui.ownership import others_may_change
from canary_tui.paths import private_folder
from canary_tui.servers import editing
from canary_tui.servers.editing import NotListed
from canary_tui.servers.nodes import BOM, MAX_BYTES
from canary_tui.servers.problems import BadFile, Problem
from canary_tui.servers.reading import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import PasswordSource, Server

__all__ = ["BadFile", "NotListed", "NotSaved", "Problem", "ServersFile", "read"]

LOCK_TIME_LIMIT = 10.0
"""Seconds to wait for another program that edits the file."""
ATTEMPTS = 5
"""How often an edit is made again when an editor saved the file meanwhile."""

Signature = tuple[int, ...]


class NotSaved(OSError):
    """The file could not be written and is as it was. ``str`` says which file and why."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(error.errno, error.strerror, str(path))
        self._text = one_line(f"{path} was not changed: {error.strerror or error}")

    def __str__(self) -> str:
        return self._text


def read(path: Path) -> Fleet:
    """Return what the file says. A missing or an empty file is an empty Fleet.

    Raises BadFile with every mistake, and for a file that cannot be read at all.
    """
    return parse(_text(path)[1], path.name).fleet


class ServersFile:
    """The list of servers. Blocks for file access: call it from a thread.

    Each edit raises BadFile when the file as it is now, or as it would be, is wrong; NotListed when
    the server is gone; NotSaved when the disk refuses. In each case the file stays as it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Fleet:
        """Return what the file says now. Raises BadFile."""
        return read(self.path)

    def signature(self) -> object:
        """Return something that compares unequal when the file, or who may change it, has changed. Cheap."""
        return _signature(self.path), others_may_change(self.path)

    def add(self, server: Server) -> Fleet:
        """Put a server at the end of the list."""
        return self._edit(lambda text: editing.added(text, self.path.name, server))

    def update(self, name: str, change: Callable[[Server, Fleet], Server]) -> Fleet:
        """Make the entry called ``name`` say what ``change`` makes of it, as it stands on disk now.

        Only values that differ are touched.

        ``change`` is called under the lock, with the whole list too, and more than once when an editor
        saves the file meanwhile. What it raises is passed on; the file then stays as it is.
        """

        def edit(text: str) -> tuple[str, Fleet]:
            fleet = parse(text, self.path.name).fleet
            server = editing.good(fleet, name, self.path.name)
            return editing.changed(text, self.path.name, name, change(server, fleet))

        return self._edit(edit)

    def set_value(
        self,
        name: str,
        path: tuple[str, ...],
        value: str | float | bool | tuple[str, ...] | PasswordSource | None,
    ) -> Fleet:
        """Change one value, such as ``("enabled",)`` or ``("ssh", "local_port")``, and nothing else.

        Raises KeyError for a path that is none, or whose section the server does not have.
        """
        return self.update(name, lambda server, _fleet: _replaced(server, path, value))

    def remove(self, name: str) -> Fleet:
        """Take a server's entry out."""
        return self._edit(lambda text: editing.removed(text, self.path.name, name))

    def _edit(self, edit: Callable[[str], tuple[str, Fleet]]) -> Fleet:
        target = Path(os.path.realpath(self.path))  # resolve() raises RuntimeError for a link to itself
        try:
            private_folder(target.parent)
            with _lock(target):
                for _ in range(ATTEMPTS):
                    seen = _signature(target)
                    mark, text = _text(target, self.path.name)
                    new, fleet = edit(text)
                    if new == text or _write(target, mark + new, seen):
                        return fleet
        except OSError as error:
            raise NotSaved(self.path, error) from None
        raise NotSaved(self.path, OSError(errno.EAGAIN, "another program keeps changing it"))


def _replaced(server: Server, path: tuple[str, ...], value: object) -> Server:
    *sections, field = path
    owner: msgspec.Struct = server
    if sections:
        inner = getattr(server, sections[0], None) if sections[0] in server.__struct_fields__ else None
        if len(sections) > 1 or not isinstance(inner, msgspec.Struct):
            raise KeyError(".".join(path))
        owner = inner
    if field not in owner.__struct_fields__:
        raise KeyError(".".join(path))
    new = msgspec.structs.replace(owner, **{field: value})
    return msgspec.structs.replace(server, **{sections[0]: new}) if sections else new  # type: ignore[return-value]


def _signature(path: Path) -> Signature:
    try:
        info = path.stat()
    except OSError as error:
        return (-(error.errno or 1),)
    return (info.st_mtime_ns, info.st_size, info.st_ino)


def _text(path: Path, name: str = "") -> tuple[str, str]:
    """Return the byte order mark, if there is one, and the text behind it. Raises BadFile."""
    file = name or path.name

    def bad(message: str, line: int = 0) -> BadFile:
        return BadFile((Problem(file if line else str(path), line, "", message),))

    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise bad("is a folder; the path of a file is needed")
        if not stat.S_ISREG(kind):
            raise bad("is not a regular file")
        if reason := others_may_change(path):
            # It names servers, and commands that are run: what others may write is not this user's word.
            raise bad(f"is not used: {reason}")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return "", ""
    except OSError as error:
        raise bad(f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise bad(f"is larger than {MAX_BYTES // 1_000_000} MB, which no list of servers is")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise bad(
            f"has the byte 0x{data[error.start]:02x} in it; the file must be UTF-8 text", line
        ) from None
    return (BOM, text[1:]) if text.startswith(BOM) else ("", text)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock that every program editing ``path`` takes (flock(2) on a file beside it)."""
    beside = path.with_name(f".{path.name}.lock")
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        limit = time.monotonic() + LOCK_TIME_LIMIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise TimeoutError(errno.ETIMEDOUT, f"another program holds {beside}") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, text: str, seen: Signature) -> bool:
    """Put ``text`` in the file's place, unless the file is no longer the one that was ``seen``."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _like(stream.fileno(), path)
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        if _signature(path) != seen:
            temporary.unlink()
            return False
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def _like(descriptor: int, path: Path) -> None:
    """Give the new file the old one's owner and mode; a file that was not there stays 0600."""
    try:
        old = path.stat()
    except FileNotFoundError:
        return
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):  # only root may give a file away
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
