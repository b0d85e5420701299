"""A real terminal with the application in it, and keys as a terminal sends them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import socket
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
BYTES = {
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "enter": b"\r",
    "backspace": b"\x7f",
    "delete": b"\x1b[3~",
    "escape": b"\x1b",
    "space": b" ",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    "f1": b"\x1bOP",
    "ctrl+d": b"\x04",
    "ctrl+p": b"\x10",
    "ctrl+s": b"\x13",
    "ctrl+u": b"\x15",
}
AMBIGUOUS = b"bfO[]_^\x7f"
"""What makes another key of an Escape that it follows at once: for these it must be a key for a while."""
ESCAPE_SECONDS = 0.25


def sent(key: str) -> bytes:
    """Return what a terminal sends for a key, a bracketed ``paste:…`` or a ``click:column:row`` (from 1)."""
    if key.startswith("paste:"):
        return b"\x1b[200~" + key.removeprefix("paste:").encode() + b"\x1b[201~"
    if key.startswith("click:"):
        column_and_row = key.removeprefix("click:").replace(":", ";")
        return f"\x1b[<0;{column_and_row}M\x1b[<0;{column_and_row}m".encode()
    return BYTES.get(key) or key.encode()


class Terminal:
    """A pseudo-terminal, always read, in which ``argv`` runs."""

    def __init__(self, argv: Sequence[str], *, cwd: Path, **more: Any) -> None:
        self.cwd = cwd
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "TZ": "UTC"}
        environment |= more.pop("env", {})
        self.process = subprocess.Popen(
            argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env=environment,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - one system call, no lock
            **more,
        )
        os.close(theirs)
        self.seen = bytearray()
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def type(self, keys: Sequence[str], gap: float) -> None:
        """Type ``keys``, ``gap`` seconds apart; at once when that is 0."""
        waiting = b""
        for before, key in zip(["", *keys], keys, strict=False):
            coming = sent(key)
            pause = ESCAPE_SECONDS if before == "escape" and coming[0] in AMBIGUOUS else gap
            if pause and waiting:
                os.write(self.ours, waiting)
                waiting = b""
                time.sleep(pause)
            waiting += coming
        os.write(self.ours, waiting)

    def close(self) -> None:
        """End what is left."""
        self.process.kill()
        self.process.wait()
        self._over.set()
        self._reader.join()
        os.close(self.ours)

    def _read(self) -> None:
        while not self._over.is_set():
            if select.select([self.ours], [], [], 0.05)[0]:
                with suppress(OSError):
                    self.seen += os.read(self.ours, 65_536)
                    del self.seen[:-200_000]


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Driven(Terminal):
    """The application of ``tests.typing.application``, which tells its state."""

    def __init__(self, cwd: Path) -> None:
        self._typed = 0
        self._control, theirs = socket.socketpair()
        argv = [sys.executable, "-m", "tests.typing.application", str(theirs.fileno())]
        super().__init__(argv, cwd=cwd, pass_fds=[theirs.fileno()])
        theirs.close()
        self._control.settimeout(40)
        self._lines = self._control.makefile("rw", encoding="utf-8")

    def reset(self) -> dict[str, Any]:
        """Begin anew."""
        self._typed = 0
        return self._ask("reset")

    def type(self, keys: Sequence[str], gap: float) -> None:
        """Type, and count."""
        super().type(keys, gap)
        self._typed += len(keys)

    def state(self, *, all_came: bool = True) -> dict[str, Any]:
        """Wait until what was typed has been carried out, and return how things stand."""
        return self._ask(f"state {self._typed if all_came else 0}")

    def _ask(self, what: str) -> dict[str, Any]:
        try:
            self._lines.write(what + "\n")
            self._lines.flush()
            answer = self._lines.readline()
        except OSError as error:
            raise AssertionError(f"{error}: {bytes(self.seen[-3000:])!r}") from None
        assert answer, f"it has ended: {bytes(self.seen[-3000:])!r}"
        found: dict[str, Any] = json.loads(answer)
        return found

    def result(self, keys: Sequence[str], gap: float | None) -> dict[str, Any]:
        """Return how things stand after ``keys``, ``gap`` seconds apart; None: each when the last is over."""
        self.reset()
        if gap is not None:
            self.type(keys, gap)
            return self.state()
        found: dict[str, Any] = {}
        for key in keys:
            self.type([key], 0.01)
            found = self.state()
        return found

    def close(self) -> None:
        """End it."""
        self._lines.close()
        self._control.close()
        super().close()
