"""Where things are kept on this machine (platformdirs), and how private files are written."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from platformdirs import PlatformDirs

from canary_tui.ownership import others_may_change
from canary_tui.surroundings import NO_HOME

if TYPE_CHECKING:
    from collections.abc import Iterator


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """The files and folders of one user, or of one demo."""

    servers: Path
    keys: Path
    known_hosts: Path
    known_tls: Path
    """Which databases have been seen with TLS."""
    own: Path
    """The user's own configuration folder: a servers.yaml in it may run commands."""
    allowed: Path
    """Which commands of servers files from elsewhere may be run (``canary allow``)."""
    state: Path
    """history.db, the monitor's lock, the screens' choices."""
    runtime: Path
    """Unix sockets."""

    @classmethod
    def of_user(cls, config: Path | None = None) -> Paths:
        """Return this user's paths; ``config`` (or ``CANARY_CONFIG``) names another servers.yaml.

        Another file is another world: its servers have nothing to do with those of the same names in the
        first, so it has a monitor, a history and sockets of its own. Keys and known hosts are the user's.
        Raises OSError when a relative path stands in a folder that is gone, NoHome when this user has none.
        """
        dirs = PlatformDirs("canary-tui", appauthor=False)
        chosen = config or os.environ.get("CANARY_CONFIG")
        needed = {"DATA": dirs.user_data_dir, "STATE": dirs.user_state_dir}
        _must_have_home(needed if chosen else {"CONFIG": dirs.user_config_dir} | needed)
        state = Path(dirs.user_state_dir)
        runtime = _runtime_folder() or state / "run"
        own = Path(dirs.user_config_dir)
        usual = servers = own / "servers.yaml"
        if chosen:
            servers = expanded(chosen)
        file = os.path.realpath(servers)
        if file != os.path.realpath(usual):
            readable, mark = _names(file)
            # No server's name begins so. It is short because a socket's path may have 107 bytes.
            state, runtime = state / f"{readable}-{mark}", runtime / f"_{mark}"
        return cls(
            servers=servers,
            keys=Path(dirs.user_data_dir) / "keys",
            known_hosts=Path(dirs.user_data_dir) / "known_hosts",
            known_tls=Path(dirs.user_data_dir) / "known_tls",
            own=own,
            allowed=Path(dirs.user_data_dir) / "allowed.json",
            state=state,
            runtime=runtime,
        )

    @classmethod
    def below(cls, folder: Path) -> Paths:
        """Return paths that all stand in ``folder``: a demo's or a test's."""
        return cls(
            servers=folder / "servers.yaml",
            keys=folder / "keys",
            known_hosts=folder / "known_hosts",
            known_tls=folder / "known_tls",
            own=folder,
            allowed=folder / "allowed.json",
            state=folder / "state",
            runtime=folder / "run",
        )


def _runtime_folder() -> Path | None:
    """Return our folder in the session's runtime folder; None where there is none, or it is not fit for use.

    It must belong to this user with mode 0700 (XDG Base Directory Specification), and nobody else may be able
    to replace it: anybody can make a folder in ``/tmp`` and wait for sockets in it. platformdirs is not
    asked, for it falls back to just such a folder.
    """
    session = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    try:
        status = session.stat()
    except OSError:
        return None
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
    folder = session / "canary-tui"
    return folder if session.is_absolute() and private and not others_may_change(folder) else None


class NoHome(OSError):
    """A ``~`` that stands for no folder: ``filename`` is the path, ``strerror`` says what is missing."""


def expanded(path: str | Path) -> Path:
    """Return a path as a person wrote it, with ``~`` and ``~user`` filled in. Raises NoHome."""
    try:
        found = Path(path).expanduser()
    except (RuntimeError, KeyError):
        user = str(path).partition("/")[0]
        raise NoHome(errno.ENOENT, f"there is no user {user[1:]} on this machine", str(path)) from None
    if str(path).startswith("~/") and found.is_relative_to(NO_HOME):
        raise NoHome(errno.ENOENT, f"{_nobody()}; set HOME", str(path))
    return found


def _must_have_home(folders: dict[str, str]) -> None:
    """Raise NoHome where some of ``folders``, by their XDG names, stand below a home that does not exist."""
    missing = [f"XDG_{kind}_HOME" for kind, folder in folders.items() if Path(folder).is_relative_to(NO_HOME)]
    if missing:
        raise NoHome(errno.ENOENT, f"{_nobody()}; set HOME, or {', '.join(missing)}")


def _nobody() -> str:
    return f"this user (uid {os.getuid()}) has no home folder"


def _names(file: str) -> tuple[str, str]:
    """Return two names for a file: one to be read by a person, one that no other file has."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", Path(file).stem).strip("-")[:32]
    return readable or "servers", hashlib.sha256(os.fsencode(file)).hexdigest()[:8]


def private_folder(folder: Path) -> Path:
    """Make ``folder`` (mode 0700) where it is not there yet and return it; its missing parents too.

    Raises OSError when it cannot be made, PermissionError when others could change what stands in it.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        # One by one: mkdir(parents=True) leaves the parents' mode to the umask (XDG wants 0700).
        one.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # raises where something else than a folder stands
    if reason := others_may_change(folder):
        raise PermissionError(errno.EPERM, f"is not used: {reason}", str(folder))
    return folder


def create_file(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet: mode 0600 from its first byte, whole or not at all.

    Raises FileExistsError where one stands, OSError when it cannot be written.
    """
    with _whole_file(path, data) as temporary:
        os.link(temporary, path)


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file instead of the one that stands there, whole or not at all.

    Raises OSError when it cannot be written; the old one is then as it was.
    """
    with _whole_file(path, data) as temporary:
        temporary.chmod(mode)
        temporary.replace(path)


@contextmanager
def _whole_file(path: Path, data: bytes) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_state(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does; its mode counts too. Empty for one that is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def settled(path: Path) -> bool:
    """Whether the next change of a file shows in ``file_state``: the kernel's clock steps by up to 10 ms."""
    try:
        return time.time() - path.stat().st_ctime > 0.1
    except OSError:
        return False
