"""One process monitors, and the others can name it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from canary_tui.monitor.lock import Holder, Lock
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


def test_who_monitors_is_told_in_words() -> None:
    now = datetime(2026, 11, 23, 14, 13).astimezone().timestamp()
    hours = 3600.0
    assert Holder(1234, now - 3 * hours).words(now) == "Process 1234 has been monitoring since 11:13"
    assert (
        Holder(1234, now - 24 * hours).words(now) == "Process 1234 has been monitoring since 2026-11-22 14:13"
    )
    assert Holder(0, 0.0).words(now) == "Another process monitors"


def test_the_signature_is_what_the_others_read(tmp_path: Path) -> None:
    first, second = Lock(Paths.below(tmp_path)), Lock(Paths.below(tmp_path))
    first.acquire()
    told, mine = second.acquire(), first.signature
    assert told == mine == Holder(os.getpid(), mine.since if mine else 0.0)
    first.release()
    assert (first.signature, second.signature) == (None, None)


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


def test_a_lock_that_was_deleted_is_taken_anew_with_the_same_signature(tmp_path: Path) -> None:
    paths = Paths.below(tmp_path)
    first, second = Lock(paths), Lock(paths)
    first.acquire()
    signature = first.signature
    assert (first.in_place, first.is_there) == (True, True)
    (paths.state / "monitor.lock").unlink()
    assert (first.held, first.in_place, first.is_there) == (True, False, False)
    assert first.acquire() is None
    assert first.in_place
    assert second.acquire() == signature == first.signature
    first.release()


def test_a_lock_that_was_deleted_and_taken_by_another_is_not_ours(tmp_path: Path) -> None:
    paths = Paths.below(tmp_path)
    first, second = Lock(paths), Lock(paths)
    first.acquire()
    (paths.state / "monitor.lock").unlink()
    assert second.acquire() is None
    assert first.acquire() == second.signature
    assert (first.held, first.signature) == (False, None)
    second.release()


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
