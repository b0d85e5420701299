"""A terminal of its own for ``canary``: typed at, read, and taken away."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.surroundings.canary import Home

LIMIT = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """Our side of a terminal, and the program at the other."""

    def __init__(self, home: Home, arguments: Sequence[str], ignored: Sequence[int] = (), **how: Any) -> None:
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, how.pop("size", (24, 100)))
        self.before = termios.tcgetattr(self.theirs)
        self.seen = b""
        variables = {"TERM": "xterm-256color"} | how.pop("variables", {})
        streams = {"stdin": self.theirs, "stdout": self.theirs, "stderr": self.theirs}

        def prepare() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)

        self.process: subprocess.Popen[bytes] = home.start(
            *arguments, variables=variables, start_new_session=True, preexec_fn=prepare, **(streams | how)
        )
        os.close(self.theirs)
        self.theirs = -1

    def wait_for(self, words: bytes) -> None:
        """Read until something is shown."""
        end = time.monotonic() + LIMIT
        while words not in self.seen:
            assert time.monotonic() < end, f"not shown: {words!r}; but {self.seen[-3000:]!r}"
            self._read(0.1)

    def type(self, keys: bytes) -> None:
        """Type."""
        os.write(self.ours, keys)

    def ended(self) -> int:
        """Read until the program ends; return its status."""
        end = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it goes on; shown: {self.seen[-3000:]!r}"
            self._read(0.05)
        self._read(0)
        return self.process.wait()

    def lose(self) -> None:
        """Take the terminal away: nothing reads it any more, and whoever reads from it finds its end."""
        os.close(self.ours)
        self.ours = -1

    def seconds_of_cpu(self) -> float:
        """Return what the program has used of the processor until now."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def close(self) -> None:
        """End what is left."""
        self.process.kill()
        self.process.wait()
        if self.ours >= 0:
            self.lose()

    def _read(self, seconds: float) -> None:
        while self.ours >= 0 and select.select([self.ours], [], [], seconds)[0]:
            data = b""
            with suppress(OSError):
                data = os.read(self.ours, 65_536)
            if not data:
                return
            self.seen += data
            seconds = 0


@contextmanager
def terminal(home: Home, *arguments: str, ignored: Sequence[int] = (), **how: Any) -> Iterator[Terminal]:
    """A program at a terminal; signals of ``ignored`` are ignored when it starts."""
    opened = Terminal(home, arguments, ignored, **how)
    try:
        yield opened
    finally:
        opened.close()
