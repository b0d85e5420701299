"""Which process monitors: one at a time for each servers file, held by ``flock``: a crash lets go of it."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from canary_tui.paths import private_folder

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.paths import Paths

READS = 20
READ_AGAIN_SECONDS = 0.01


class Holder(msgspec.Struct, frozen=True):
    """The process that monitors."""

    pid: int
    """0 when it did not say who it is."""
    since: float
    """Unix time, seconds; 0 when it did not say."""

    @property
    def who(self) -> str:
        """``Process 1234``."""
        return f"Process {self.pid}" if self.pid else "Another process"

    def words(self, now: float) -> str:
        """Return ``Process 1234 has been monitoring since 10:42``, in local time."""
        if not self.since:
            return f"{self.who} monitors"
        return f"{self.who} has been monitoring since {moment(self.since, now)}"

    def short_words(self, now: float) -> str:
        """Return ``Process 1234 monitors (from 10:42)``, for where there is no room for more."""
        return f"{self.who} monitors (from {moment(self.since, now)})" if self.since else self.words(now)


def moment(at: float, now: float, clock: str = "%H:%M") -> str:
    """Return a time of day, with its date when that is not today's. Local time."""
    then, today = (datetime.fromtimestamp(one).astimezone() for one in (at, now))
    return f"{then:{clock}}" if then.date() == today.date() else f"{then:%Y-%m-%d} {then:{clock}}"


class Lock:
    """The lock of the monitor of one user's servers file.

    It stands in the state folder, beside the history that it protects: the runtime folder of a login
    session and of a cron job are not the same one, and both would write.
    """

    def __init__(self, paths: Paths) -> None:
        self._path: Path = paths.state / "monitor.lock"
        self._fd: int | None = None
        self.signature: Holder | None = None
        """How this object signed the lock when it took it: what others call us; None while it is not ours."""

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._fd is not None

    @property
    def in_place(self) -> bool:
        """Whether this object holds it, and whoever looks for the file finds it."""
        if self._fd is None:
            return False
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    @property
    def is_there(self) -> bool:
        """Whether there is a file, held or not."""
        return self._path.exists()

    def acquire(self) -> Holder | None:
        """Take the lock; return who has it when that is somebody else, None when it is ours.

        One whose file was deleted is taken anew, with the same signature. Raises OSError when the file
        cannot be made.
        """
        if self.in_place:
            return None
        signature = self.signature or Holder(os.getpid(), time.time())
        self.release()
        private_folder(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sign(descriptor, signature)
        except BlockingIOError:
            os.close(descriptor)
            return self._holder()
        except BaseException:
            os.close(descriptor)
            raise
        self._fd, self.signature = descriptor, signature
        return None

    def release(self) -> None:
        """Let go of it. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = self.signature = None

    @staticmethod
    def _sign(descriptor: int, holder: Holder) -> None:
        os.ftruncate(descriptor, 0)
        try:
            os.pwrite(descriptor, msgspec.json.encode(holder), 0)
        except OSError as error:
            # A full disk must not keep anybody from monitoring; the lock holds without a signature.
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise

    def _holder(self) -> Holder:
        """Read who holds it; the one that has just taken it may not have signed yet."""
        for _ in range(READS):
            try:
                return msgspec.json.decode(self._path.read_bytes(), type=Holder)
            except (msgspec.DecodeError, OSError):
                time.sleep(READ_AGAIN_SECONDS)
        return Holder(0, 0.0)
