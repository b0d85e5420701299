"""The demo's server processes: unprivileged, and never outliving the demo."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from canary_tui.demo import launch

if TYPE_CHECKING:
    from collections.abc import Sequence

START_LIMIT = 30.0
"""Seconds in which a server must take connections."""
STOP_LIMIT = 5.0
"""Seconds in which a server that was told to stop must be gone; then it is killed."""
POLL = 0.01
LOG_TAIL = 1000


class DemoUnavailable(Exception):
    """The demo cannot run here; the text is a sentence for people."""


class Account(msgspec.Struct, frozen=True):
    """The unix account that a database server runs as."""

    uid: int
    gid: int


def server_account(*names: str) -> Account:
    """Return the first account of ``names`` for root, whom databases refuse to serve; else our own.

    Raises DemoUnavailable when root has none of them.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise DemoUnavailable(f"The demo's databases need an account without privileges: {' or '.join(names)}.")


def own_folder(folder: Path, account: Account) -> Path:
    """Make a folder that only ``account`` may enter."""
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, account.uid, account.gid)
    return folder


def write_for(account: Account, path: Path, text: str) -> Path:
    """Write a new file (0600) that belongs to ``account``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if os.geteuid() == 0:
            os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
    return path


def free_port() -> int:
    """Return a loopback port that nobody uses at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


class Program:
    """One process, its log and its end. Made by ``start``; its parent is the *thread* that awaits that."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log

    @classmethod
    async def start(
        cls,
        command: Sequence[str | Path],
        account: Account,
        log: Path,
        *,
        cwd: Path,
        death: signal.Signals = signal.SIGKILL,
        stdin: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> Program:
        """Start ``command`` as ``account`` in the folder ``cwd``; ``log`` takes what it prints.

        The kernel sends it ``death`` when the calling thread ends, however that comes about.
        """
        arguments = [int(death), os.getpid(), account.uid, account.gid, *command]
        with _open_log(log) as output, (stdin or Path(os.devnull)).open("rb") as source:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", launch.__file__),
                *map(str, arguments),
                cwd=cwd,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"} | (environment or {}),
                stdin=source,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the front end, which then ends the demo
            )
        return cls(Path(command[0]).name, process, log)

    async def succeeded(self) -> None:
        """Wait for the end. Raises DemoUnavailable when it failed or took too long."""
        try:
            async with asyncio.timeout(START_LIMIT):
                status = await self._process.wait()
        except TimeoutError:
            raise DemoUnavailable(f"The demo's {self._name} did not end within {START_LIMIT:g} s.") from None
        finally:
            await self.stop(signal.SIGKILL)
        if status != 0:
            raise DemoUnavailable(f"The demo's {self._name} failed: {self._words()}")

    async def ready(self, sign: str) -> None:
        """Wait until ``sign`` is in the log. Raises DemoUnavailable when the program ends instead."""
        try:
            async with asyncio.timeout(START_LIMIT):
                while sign not in self._log.read_text(errors="replace"):
                    if self._process.returncode is not None:
                        raise DemoUnavailable(f"The demo's {self._name} did not start: {self._words()}")
                    await asyncio.sleep(POLL)  # a log file has nothing to wait for but its growth
        except TimeoutError:
            raise DemoUnavailable(f"The demo's {self._name} was not ready in {START_LIMIT:g} s.") from None

    async def stop(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end; kill what does not listen."""
        if self._process.returncode is not None:
            return
        self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_LIMIT):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _words(self) -> str:
        return self._log.read_text(errors="replace")[-LOG_TAIL:].strip() or "it said nothing"


def _open_log(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def find_program(*names: str) -> Path | None:
    """Return the first of ``names`` on PATH or where systems keep their servers; None without one."""
    path = os.pathsep.join(
        [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"]
    )
    found = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
    return Path(found).resolve() if found else None
