"""From start to end in a real terminal: signals, a terminal that is not read, what is imported when."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from canary_tui.paths import Paths
from canary_tui.tui.lifetime import run
from tests.screens.fake_monitor import FakeMonitor
from tests.screens.samples import fleet
monitor = FakeMonitor(fleet())
status = run(Paths.below(Path(sys.argv[1])), monitor=monitor)
print("stopped" if monitor.stopped else "not stopped")
sys.exit(status)
"""
ROOT = Path(__file__).parents[2]


@contextmanager
def in_a_terminal(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """Run the application in a terminal of its own; give process, our side and its side."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    try:
        yield process, ours, theirs
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def read_until(ours: int, words: bytes, limit: float = 20.0) -> bytes:
    """Read what the terminal shows until ``words`` come."""
    end, seen = time.monotonic() + limit, b""
    while words not in seen:
        assert time.monotonic() < end, seen[-2_000:]
        if select.select([ours], [], [], 0.1)[0]:
            seen += os.read(ours, 65_536)
    return seen


def drain(ours: int) -> bytes:
    """Read what is left."""
    seen = b""
    with suppress(OSError):
        while select.select([ours], [], [], 0.2)[0]:
            seen += os.read(ours, 65_536)
    return seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_everything_and_leaves_the_terminal_as_it_was(
    tmp_path: Path, number: signal.Signals
) -> None:
    with in_a_terminal(tmp_path) as (process, ours, theirs):
        before = termios.tcgetattr(theirs)
        read_until(ours, b"orders-prod")
        assert termios.tcgetattr(theirs)[3] != before[3]
        process.send_signal(number)
        seen = read_until(ours, b"stopped")
        assert process.wait(10) == 128 + number
        assert b"not stopped" not in seen
        assert b"\x1b[?1049l" in seen
        assert termios.tcgetattr(theirs)[:4] == before[:4]


def test_a_signal_ends_the_process_though_nobody_reads_the_terminal(tmp_path: Path) -> None:
    with in_a_terminal(tmp_path) as (process, ours, theirs):
        before = termios.tcgetattr(theirs)
        read_until(ours, b"orders-prod")
        # Nothing is read from here on. Keys keep the application painting until the terminal is full.
        for _ in range(400):
            os.write(ours, b"?\x1b[B")
            if not select.select([], [theirs], [], 0)[1]:
                break
            select.select([], [], [], 0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        assert termios.tcgetattr(theirs)[:4] == before[:4]
        drain(ours)


def test_the_first_screen_is_painted_before_the_ssh_and_database_libraries_are_imported() -> None:
    program = """
import asyncio, sys
from canary_tui.tui.app import CanaryApp
from tests.screens.fake_monitor import FakeMonitor
from tests.screens.samples import fleet
async def main():
    app = CanaryApp(FakeMonitor(fleet()))
    async with app.run_test() as pilot:
        while not app.facts.version:
            await pilot.pause(0.02)
asyncio.run(main())
print(sorted({"asyncssh", "asyncpg", "aiomysql", "plotext"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
