"""The demo's temporary folder: private, locked while it is in use, swept when its owner was killed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from canary_tui.demo.process import DemoUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = "lock"
_OTHERS_ENTER = 0o001


@contextmanager
def demo_folder() -> Iterator[Path]:
    """Make a folder for one demo, after sweeping what killed ones left; remove it at the end.

    It is 0700; for root 0711, so that the databases' accounts reach the folders that are theirs.
    Raises DemoUnavailable when there is no temporary folder to use, OSError when it cannot be written.
    """
    base = base_folder()
    sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=f"canary-demo-{os.geteuid()}-{os.getpid()}-", dir=base))
    try:
        with _locked(folder):
            if os.geteuid() == 0:
                folder.chmod(0o711)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(base: Path) -> None:
    """Remove the demo folders in ``base`` that are ours and whose process is gone.

    A folder in use is locked, or, for the moment before it is, its process lives. Links are not followed.
    """
    pattern = re.compile(rf"canary-demo-{os.geteuid()}-(\d+)-\w+")
    for folder in base.iterdir():
        name = pattern.fullmatch(folder.name)
        if name is not None and _is_ours(folder) and not _in_use(folder, int(name[1])):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # Locked first and named afterwards: nobody ever sees the lock of a living demo free.
    unnamed = folder / f"{LOCK}.new"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(folder / LOCK)
        yield
    finally:
        os.close(descriptor)


def _in_use(folder: Path, pid: int) -> bool:
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return _is_alive(pid)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_ours(folder: Path) -> bool:
    with suppress(OSError):
        status = folder.lstat()
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def base_folder() -> Path:
    """Return the first temporary folder in which the databases can run."""
    chosen = Path(tempfile.gettempdir()).resolve()
    if os.geteuid() != 0:
        return chosen
    # Root's databases run as somebody else, from copied programs; a closed parent is not opened for them.
    for base in (chosen, Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - what is made there is private
        if base.is_dir() and _others_may_run_programs(base):
            return base
    raise DemoUnavailable(
        f"The demo found no temporary folder for its databases: {chosen} is closed to other accounts or "
        "does not let programs run. Set TMPDIR to one that does."
    )


def _others_may_run_programs(base: Path) -> bool:
    open_way = all(part.stat().st_mode & _OTHERS_ENTER for part in (base, *base.parents))
    return open_way and not os.statvfs(base).f_flag & getattr(os, "ST_NOEXEC", 0)
