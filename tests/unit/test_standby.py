"""A copy is the monitor or a view of one, and the one becomes the other at most once."""

from __future__ import annotations

import errno
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from canary_tui.monitor import standby as standby_module
from canary_tui.monitor.history.tables import history_file
from canary_tui.monitor.local import LocalMonitor
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.request import Request
from canary_tui.monitor.requests import (
    AuditKey,
    Close,
    GivePassword,
    GiveUpKey,
    Hold,
    ProbeNow,
    ReadRotation,
    Remove,
    Restore,
    RetryNow,
    RotateKey,
    RunTest,
    Save,
    SetEnabled,
    TryKeys,
)
from canary_tui.monitor.standby import NotMonitoring, Standby
from canary_tui.paths import Paths, replace_file
from canary_tui.servers.file import ServersFile
from canary_tui.servers.secrets import Secret
from tests.harness.ports import wait_for
from tests.unit.fake_history import server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked often, so that tests need not wait for it."""
    monkeypatch.setattr(standby_module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(standby_module, "LOCK_SECONDS", 0.02)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.below(tmp_path)


@pytest.fixture
def other(paths: Paths) -> Iterator[Lock]:
    """Somebody who monitors."""
    lock = Lock(paths)
    assert lock.acquire() is None
    yield lock
    lock.release()


@pytest.fixture
def copy(paths: Paths) -> Iterator[Standby]:
    """A copy that is stopped in the end."""
    copy = Standby(paths)
    yield copy
    assert copy.stop(5)


def loaded(copy: Standby) -> bool:
    return copy.snapshot().loaded


def test_alone_it_monitors(copy: Standby, paths: Paths) -> None:
    copy.start()
    wait_for(lambda: loaded(copy), 5)
    assert copy.snapshot().monitored_by is None
    assert Lock(paths).acquire() is not None


def test_beside_another_it_is_known_at_once_that_it_only_looks(copy: Standby, other: Lock) -> None:
    copy.start()
    assert copy.snapshot().monitored_by == other.signature
    wait_for(lambda: loaded(copy), 5)
    assert copy.snapshot().monitored_by == other.signature


def test_it_monitors_when_the_other_lets_go_and_the_list_stays(
    copy: Standby, other: Lock, paths: Paths
) -> None:
    copy.start()
    wait_for(lambda: loaded(copy), 5)
    other.release()
    wait_for(lambda: copy.snapshot().monitored_by is None, 5)
    assert loaded(copy), "there is no moment without a list"
    assert other.acquire() is not None
    assert (paths.state / "history.db").exists()


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("new_loop", OSError(errno.EMFILE, "Too many open files")),
        ("threading.Thread.start", RuntimeError("can't start new thread")),
    ],
)
def test_a_take_over_that_fails_leaves_the_lock_to_others_and_is_tried_again(
    copy: Standby, other: Lock, monkeypatch: pytest.MonkeyPatch, what: str, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise type(error)(*error.args)  # a new one: its frames are freed with it

    copy.start()
    wait_for(lambda: loaded(copy), 5)
    holder = other.signature
    with monkeypatch.context() as short:
        short.setattr(f"canary_tui.monitor.local.{what}", fails)
        other.release()
        wait_for(lambda: str(error) in copy.snapshot().unread, 5)
        assert copy.snapshot().monitored_by == holder
        wait_for(lambda: other.acquire() is None, 5, "another copy can have the lock")
        wait_for(lambda: copy.snapshot().monitored_by == other.signature, 5, "and is followed")
        wait_for(lambda: str(error) not in copy.snapshot().unread, 5)
        other.release()
        wait_for(lambda: str(error) in copy.snapshot().unread, 5)
    wait_for(lambda: copy.snapshot().monitored_by is None, 5, "it monitors when it can")
    assert other.acquire() is not None
    assert loaded(copy)
    assert copy.snapshot().unread == ""
    gc.collect()  # an event loop that was left open warns when it is freed


def test_a_take_over_that_fails_is_no_moment_of_monitoring_though_the_history_is_gone(
    copy: Standby, other: Lock, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        path.unlink(missing_ok=True)
        raise OSError(errno.EMFILE, "Too many open files")

    path = history_file(paths)
    first = LocalMonitor(paths, lock=other)
    first.start()
    wait_for(path.exists, 5)
    copy.start()
    wait_for(lambda: loaded(copy), 5)
    monkeypatch.setattr("canary_tui.monitor.follower.PATIENCE", 1_000_000)
    monkeypatch.setattr("canary_tui.monitor.local.new_loop", fails)
    holder = other.signature
    assert first.stop(5)
    wait_for(lambda: "Too many open files" in copy.snapshot().unread, 5)
    assert copy.snapshot().monitored_by == holder


def test_the_change_of_a_key_is_told_though_the_servers_file_is_wrong_now(
    copy: Standby, other: Lock, paths: Paths
) -> None:
    ServersFile(paths.servers).add(server("orders"))
    copy.start()
    wait_for(lambda: bool(copy.snapshot().rows), 5)
    replace_file(paths.servers, b"servers: [")
    assert copy.ask(ReadRotation("orders")).result(5).server == "orders"
    wait_for(lambda: bool(copy.snapshot().problems), 5)
    assert copy.ask(ReadRotation("orders")).result(5).server == "orders"


def test_after_the_end_nothing_is_taken_over(copy: Standby, other: Lock) -> None:
    copy.start()
    wait_for(lambda: loaded(copy), 5)
    assert copy.stop(3)
    other.release()
    assert other.acquire() is None
    assert copy.snapshot().monitored_by is not None


def test_it_ends_from_any_thread_while_the_other_lets_go(paths: Paths) -> None:
    for _ in range(20):
        other, copy = Lock(paths), Standby(paths)
        assert other.acquire() is None
        copy.start()
        letting_go = threading.Thread(target=other.release)
        ending = [threading.Thread(target=copy.stop) for _ in range(3)]
        for thread in (letting_go, *ending):
            thread.start()
        for thread in (letting_go, *ending):
            thread.join(10)
            assert not thread.is_alive()
        assert copy.stop(3)
        assert other.acquire() is None, "the lock is nobody's"
        other.release()


def test_a_copy_that_never_began_ends(copy: Standby) -> None:
    assert copy.stop(1)


NEED_THE_MONITOR: list[Request[Any]] = [
    Hold("orders"),
    Close("orders"),
    ProbeNow("orders"),
    RetryNow("orders"),
    RunTest("orders"),
    GivePassword("orders", Secret("x")),
    Save(server("orders"), replaces=None),
    Remove("orders"),
    Restore(server("orders")),
    SetEnabled("orders", False),
    AuditKey("orders"),
    RotateKey("orders"),
    TryKeys("orders"),
    GiveUpKey("orders"),
]


@pytest.mark.parametrize("request_", NEED_THE_MONITOR, ids=lambda one: type(one).__name__)
def test_a_view_refuses_what_acts_and_says_who_does_it(
    copy: Standby, other: Lock, request_: Request[Any]
) -> None:
    copy.start()
    assert other.signature is not None
    words = f"^Process {other.signature.pid} has been monitoring since .*; this copy only shows"
    with pytest.raises(NotMonitoring, match=words):
        copy.ask(request_).result(1)


def test_without_a_lock_it_monitors_and_says_what_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    paths = Paths.below(tmp_path)
    copy = Standby(paths)
    copy.start()
    try:
        wait_for(lambda: any("cannot be opened" in line.text for line in copy.log_after(0)), 5)
        assert copy.snapshot().monitored_by is None
    finally:
        assert copy.stop(5)
