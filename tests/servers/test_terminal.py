"""The application in a terminal that is taken away, or not read, with a tunnel open."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.ports import free_port, is_listening, wait_for
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

PROGRAM = """
import sys
from pathlib import Path
from canary_tui.paths import Paths
from canary_tui.tui.lifetime import run
sys.exit(run(Paths.below(Path(sys.argv[1]))))
"""
ROOT = Path(__file__).parents[2]
ENDS_WITHIN = 3.0 + 1.0
"""Seconds: the promise, and what a busy machine may take to start and reap processes."""
LIMIT = 20.0


class Terminal:
    """A terminal with the application in it. It is read all the time, unless it is ``stalled``."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, (24, 100))
        self.before = termios.tcgetattr(self.theirs)
        self.seen = bytearray()
        self._reading = threading.Event()
        self._reading.set()
        self._over = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - one system call, no lock
        )
        self._reader = threading.Thread(target=self._read, name="terminal")
        self._reader.start()

    def stall(self) -> None:
        """Read nothing more, and press keys until the application cannot write any more."""
        self._reading.clear()

        def full() -> bool:
            os.write(self.ours, b"\x1b[B?\x1b")
            return not select.select([], [self.theirs], [], 0)[1]

        wait_for(full, LIMIT, "the terminal is full")

    def go_on(self) -> None:
        """Read again."""
        self.seen.clear()
        self._reading.set()

    def wait_for(self, words: bytes) -> None:
        """Wait until something is shown."""
        try:
            wait_for(lambda: words in self.seen, LIMIT)
        except TimeoutError:
            raise AssertionError(f"not shown: {words!r}; but {bytes(self.seen[-3000:])!r}") from None

    def lose(self) -> None:
        """Take the terminal away, as when an SSH session drops."""
        self._over.set()
        self._reader.join()
        os.close(self.theirs)
        os.close(self.ours)

    def close(self) -> None:
        """End what is left."""
        self.process.kill()
        self.process.wait()
        if not self._over.is_set():
            self.lose()

    def _read(self) -> None:
        while not self._over.is_set():
            self._reading.wait(0.1)
            if self._reading.is_set() and select.select([self.ours], [], [], 0.05)[0]:
                with suppress(OSError):
                    self.seen += os.read(self.ours, 65_536)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def application(world: World, sshd: Sshd, postgres: Postgres) -> Iterator[tuple[Terminal, int]]:
    """The application with one tunnel up and a client in it; gives its terminal and the local port."""
    port = free_port()
    world.write(with_ssh(world.server(postgres, sshd), local_port=port))
    terminal = Terminal(world.folder)
    try:
        terminal.wait_for(b"orders")
        wait_for(lambda: is_listening(port), LIMIT)
        wait_for(lambda: len(sshd.sessions()) == 1, LIMIT)
        yield terminal, port
    finally:
        terminal.close()


@pytest.mark.parametrize("stalled", [False, True], ids=["read", "stalled"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_tunnels_and_leaves_the_terminal_as_it_was(
    world: World, own_sshd: Sshd, postgres: Postgres, number: signal.Signals, stalled: bool
) -> None:
    with application(world, own_sshd, postgres) as (terminal, port):
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert termios.tcgetattr(terminal.theirs) != terminal.before
            if stalled:
                terminal.stall()
            terminal.process.send_signal(number)
            assert terminal.process.wait(ENDS_WITHIN) == 128 + number
            client.settimeout(LIMIT)
            assert client.recv(1) == b""
        assert termios.tcgetattr(terminal.theirs)[:4] == terminal.before[:4]
        if not stalled:
            terminal.wait_for(b"\x1b[?1049l")
        assert not is_listening(port)
        wait_for(lambda: not own_sshd.sessions(), what="the SSH session has ended")


def test_a_lost_terminal_closes_tunnels(world: World, own_sshd: Sshd, postgres: Postgres) -> None:
    with application(world, own_sshd, postgres) as (terminal, port):
        terminal.lose()
        terminal.process.wait(ENDS_WITHIN)
        assert not is_listening(port)
        wait_for(lambda: not own_sshd.sessions(), what="the SSH session has ended")


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.soak)])
def test_a_terminal_that_is_not_read_stops_no_probe_and_the_screen_catches_up(
    world: World, own_sshd: Sshd, postgres: Postgres, seconds: int
) -> None:
    with application(world, own_sshd, postgres) as (terminal, _):
        terminal.stall()
        before, end = postgres.logins_seen(), time.monotonic() + seconds
        wait_for(lambda: time.monotonic() > end, seconds + LIMIT)
        assert postgres.logins_seen() - before >= seconds - 2, "one probe a second"
        own_sshd.kill()
        wait_for(lambda: not own_sshd.running, LIMIT)
        terminal.go_on()
        terminal.wait_for(b"refused")
