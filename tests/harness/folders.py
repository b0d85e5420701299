"""Temporary folders that an unprivileged server can reach, and template data folders."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.accounts import process_alive
from tests.harness.process import run

# Not tempfile.gettempdir(): TMPDIR may be private to root, or too long for a unix socket (107 bytes).
_BASE = Path("/tmp")  # noqa: S108 - mkdtemp makes each folder, with a name that cannot be guessed
_PREFIX = "canary-tests-"

_templates: dict[str, Path] = {}


def make_folder() -> Path:
    """A new temporary folder that every account can pass through (0711), named for this process."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_BASE))
    folder.chmod(0o711)
    return folder


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder for servers, removed at the end; also removes what a killed run left behind."""
    sweep()
    folder = make_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove the folders of test runs that no longer live."""
    for folder in _BASE.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdigit() and not process_alive(int(pid)) and os.geteuid() in (0, folder.lstat().st_uid):
            shutil.rmtree(folder, ignore_errors=True)


def from_template(name: str, build: Callable[[Path], None], target: Path) -> None:
    """Unpack the data folder ``name`` as ``target``; ``build`` makes it, once a process."""
    if name not in _templates:
        folder = make_folder()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        build(folder / name)
        # Packed, because copying a thousand files that were just written takes ext4 up to a second.
        run(["tar", "-cf", str(folder / f"{name}.tar"), "-C", str(folder / name), "."])
        shutil.rmtree(folder / name)
        _templates[name] = folder / f"{name}.tar"
    target.mkdir()
    # "." is in there as well, with its owner and mode.
    run(["tar", "-xpf", str(_templates[name]), "--numeric-owner", "-C", str(target)])


def make_for(owner: tuple[int, int] | None, folder: Path, mode: int = 0o700) -> Path:
    """Make ``folder`` (and its parents, 0711) for the account ``owner`` (uid, gid)."""
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(mode=0o711)
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)
    if owner is not None:
        os.chown(folder, *owner)
    return folder


def copy_for(owner: tuple[int, int] | None, source: Path, target: Path) -> Path:
    """Copy a file, such as a private key, for the account ``owner`` only (0600)."""
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(source.read_bytes())
    if owner is not None:
        os.chown(target, *owner)
    return target
