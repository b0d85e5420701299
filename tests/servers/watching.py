"""``canary watch --json`` as a process of its own, and what it prints."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from canary_tui.monitor.history.reader import HistoryReader
from canary_tui.monitor.history.tables import history_file
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.tools import Tools
from canary_tui.paths import Paths
from tests.harness.ports import wait_for
from tests.servers.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from pathlib import Path


CANARY = (sys.executable, "-c", "from canary_tui.cli.main import main; main()")


def at_home(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Give a user the folders in which the commands look for them."""
    for name in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"):
        monkeypatch.setenv(f"XDG_{name}", str(folder / name.lower()))
    world.paths = Paths.of_user()
    world.tools = Tools(world.paths)
    return world


def canary(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([*CANARY, *arguments], capture_output=True, text=True, check=False, timeout=30)


def reader_of(world: World) -> HistoryReader:
    """Return a reader of a user's history."""
    return HistoryReader(history_file(world.paths))


class Watching:
    """A ``canary watch --json`` under way; its events gather in ``events``."""

    def __init__(self, *, read: bool = True) -> None:
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [*CANARY, "watch", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
        )
        self._reading = threading.Thread(target=self._read)
        if read:
            self._reading.start()

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self._reading.is_alive():
            self._reading.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind so far."""
        return [event for event in list(self.events) if event["event"] == kind]

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something to have been printed."""

        def holds() -> object:
            assert self.process.poll() is None, "it runs"
            return condition()

        wait_for(holds, 20, what)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.events.append(json.loads(line))


MAY_BE_LOST = 1.0
"""Seconds before a ``kill -9`` of which nothing need be kept."""


@pytest.fixture
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A user whose folders are where the commands look for them."""
    return at_home(world, tmp_path, monkeypatch)


def nothing_is_broken_or_missing(
    home: World, watching: Watching, killed: float, before: AbstractSet[tuple[str, str]] = frozenset()
) -> set[tuple[str, str]]:
    """Check the history after a ``kill -9``; return the probes that had to be in it."""
    printed = {
        (event["probe"]["server"], event["probe"]["started_at"])
        for event in watching.of("probe_finished")
        if datetime.fromisoformat(event["at"]).timestamp() < killed - MAY_BE_LOST
    }
    path = history_file(home.paths)
    if path.exists():
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    probes = [json.loads(line) for line in canary("log", "--json").stdout.splitlines()]
    kept = [(probe["server"], probe["started_at"]) for probe in probes]
    assert printed | before <= set(kept)
    assert len(kept) == len(set(kept))
    lock = Lock(home.paths)
    assert lock.acquire() is None, "the lock died with it"
    lock.release()
    return printed


def tunnel_states(watching: Watching) -> list[str]:
    return [event["state"] for event in watching.of("tunnel_changed")]


def waiting_in(pipe: int) -> int:
    """How many bytes of a pipe were not read yet."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)
