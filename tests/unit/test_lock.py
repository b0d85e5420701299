"""One process monitors, and the others can name it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from canary_tui.monitor.lock import Lock
from canary_tui.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys, pathlib
from canary_tui.monitor.lock import Lock
from canary_tui.paths import Paths
lock = Lock(Paths.below(pathlib.Path(sys.argv[1])))
assert lock.acquire() is None
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    first, second = Lock(Paths.below(tmp_path)), Lock(Paths.below(tmp_path))
    assert first.acquire() is None
    holder = second.acquire()
    assert holder is not None
    assert holder.pid == os.getpid()
    assert holder.since > 0
    assert (first.held, second.held) == (True, False)
    first.release()
    assert second.acquire() is None
    second.release()


def test_taking_it_twice_is_having_it(tmp_path: Path) -> None:
    lock = Lock(Paths.below(tmp_path))
    assert lock.acquire() is None
    assert lock.acquire() is None
    lock.release()
    lock.release()


def test_a_process_that_is_killed_lets_go_of_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        mine = Lock(Paths.below(tmp_path))
        holder = mine.acquire()
        assert holder is not None
        assert holder.pid == other.pid
        other.kill()
        other.wait()
    assert mine.acquire() is None
    mine.release()


def test_the_lock_is_private(tmp_path: Path) -> None:
    paths = Paths.below(tmp_path)
    lock = Lock(paths)
    lock.acquire()
    lock.release()
    assert (paths.state / "monitor.lock").stat().st_mode & 0o777 == 0o600
    assert paths.state.stat().st_mode & 0o777 == 0o700


def test_a_holder_that_could_not_sign_still_holds(tmp_path: Path) -> None:
    paths = Paths.below(tmp_path)
    first, second = Lock(paths), Lock(paths)
    assert first.acquire() is None
    (paths.state / "monitor.lock").write_bytes(b"")
    holder = second.acquire()
    assert holder is not None
    assert holder.pid == 0
    first.release()
