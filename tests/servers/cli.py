"""Running ``canary`` as a person or a script does: in this process, as a process, at a terminal."""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import pty
import select
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from canary_tui.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from tests.servers.world import World

COMMAND = [sys.executable, "-c", "from canary_tui.cli.main import main; main()"]
"""What the installed script ``canary`` does."""
LIMIT = 30.0
TUNNEL = ("--engine", "postgresql", "--db-host", "10.0.3.12", "--ssh-host", "bastion", "--ssh-user", "me")
DIRECT = ("--engine", "mysql", "--db-host", "2001:db8::7")


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: int
    out: str
    err: str


class Canary:
    """Runs command lines in this process, on a user's files and without a terminal."""

    def __init__(
        self, user: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        monkeypatch.setattr("canary_tui.cli.main.Paths.of_user", lambda _config: user.paths)

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        """Run one; ``stdin`` is what is answered to its questions."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        self._capfd.readouterr()
        status = run(list(arguments))
        return Outcome(status, *self._capfd.readouterr())


def environment(world: World, **more: str) -> dict[str, str]:
    """Return an environment in which the user's files are the world's."""
    xdg = world.folder / "xdg"
    xdg.mkdir(exist_ok=True)
    if not (xdg / "canary-tui").exists():
        (xdg / "canary-tui").symlink_to(world.folder)
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("CANARY_CONFIG", "XDG_"))}
    places = {f"XDG_{kind}_HOME": str(xdg) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    return mine | places | {"HOME": str(world.folder), "PYTHONUNBUFFERED": "1"} | more


def start(
    world: World, *arguments: str, stdin: int = subprocess.DEVNULL, **more: str
) -> subprocess.Popen[str]:
    """Start ``canary`` as a process without a terminal."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(world, **more),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
    )


def finish(process: subprocess.Popen[str], stdin: str | None = None) -> Outcome:
    """Wait for its end; ``stdin`` is what it is given to read."""
    try:
        out, err = process.communicate(stdin, timeout=LIMIT)
    finally:
        process.kill()
    return Outcome(process.returncode, out, err)


def spawn(world: World, *arguments: str, stdin: str | None = None, **more: str) -> Outcome:
    """Run ``canary`` as a process without a terminal; ``stdin`` is piped into it."""
    source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    return finish(start(world, *arguments, stdin=source, **more), stdin)


def take_terminal() -> None:
    """Make standard input the terminal that Ctrl-C is typed at. Runs in the child, before the program."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def at_terminal(world: World, arguments: Sequence[str], answers: dict[str, str], **more: str) -> Outcome:
    """Run ``canary`` at a terminal of its own; each of ``answers`` is typed when its question shows."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(world, TERM="xterm", **more),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509 - one system call, no lock
    )
    os.close(terminal)
    shown, waiting, end = "", dict(answers), time.monotonic() + LIMIT
    decode = codecs.getincrementaldecoder("utf-8")().decode  # what is read may end within a character
    try:
        while time.monotonic() < end:
            if not select.select([master], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(master, 65_536)
            except OSError:  # Linux's way to say that the terminal was closed
                break
            if not data:
                break
            shown += decode(data)
            for question in [q for q in waiting if q in shown]:
                os.write(master, waiting.pop(question).encode())
        return Outcome(process.wait(LIMIT), shown, "")
    finally:
        process.kill()
        process.wait()
        os.close(master)
