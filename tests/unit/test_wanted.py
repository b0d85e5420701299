"""Which servers are open is decided by the monitor: all that are on, but for those closed by hand."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.held_servers import LEFT
from canary_tui.monitor.local import LocalMonitor
from canary_tui.monitor.request import Request, unheard
from canary_tui.monitor.requests import Close, Hold, ProbeNow, RetryNow, SetEnabled
from canary_tui.monitor.watcher import Watcher
from canary_tui.paths import Paths
from canary_tui.servers.file import ServersFile
from canary_tui.servers.model import Database, Engine, Server
from tests.harness.ports import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 5.0
NAMES = ("orders", "billing", "archive")
"""The last one is switched off."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths.below(tmp_path)
    for name in NAMES:
        database = Database(host="127.0.0.1", port=1)
        ServersFile(paths.servers).add(
            Server(name=name, engine=Engine.TCP, enabled=name != "archive", database=database)
        )
    return paths


@pytest.fixture
def monitor(paths: Paths) -> Iterator[LocalMonitor]:
    """A monitor that nobody has asked for anything."""
    monitor = LocalMonitor(paths)
    monitor.start()
    yield monitor
    assert monitor.stop(3)


def opened(monitor: LocalMonitor) -> set[str]:
    rows = monitor.snapshot().rows
    return {row.server.name for row in rows if row.tunnel is not TunnelState.CLOSED}


def wait_for_open(monitor: LocalMonitor, *names: str) -> None:
    wait_for(lambda: opened(monitor) == set(names), LIMIT, f"open are {names}, not {opened(monitor)}")


def hold_orders(monitor: LocalMonitor) -> Future[None]:
    """Hold a server that is open, and see that this waits."""
    wait_for_open(monitor, "orders", "billing")
    before = len(monitor._core.tasks)
    held = monitor.ask(Hold("orders"))
    wait_for(lambda: len(monitor._core.tasks) > before, LIMIT, "it is being carried out")
    return held


def test_what_is_switched_on_is_open_without_anybody_asking(monitor: LocalMonitor) -> None:
    wait_for_open(monitor, "orders", "billing")
    monitor.ask(SetEnabled("archive", True)).result(LIMIT)
    wait_for_open(monitor, *NAMES)
    monitor.ask(SetEnabled("billing", False)).result(LIMIT)
    wait_for_open(monitor, "orders", "archive")


def test_a_hold_that_is_cancelled_closes_the_server_and_it_stays_closed_though_the_file_is_read_again(
    monitor: LocalMonitor, paths: Paths
) -> None:
    hold_orders(monitor).cancel()
    wait_for_open(monitor, "billing")
    ServersFile(paths.servers).set_value("orders", ("database", "port"), 2)
    wait_for(lambda: monitor.snapshot().rows[0].server.database.port == 2, LIMIT, "it is read again")
    monitor.ask(ProbeNow("orders")).result(LIMIT)
    monitor.ask(Hold("orders", reopen=False)).result(LIMIT)  # there is nothing to wait for
    monitor.ask(SetEnabled("archive", True)).result(LIMIT)
    wait_for_open(monitor, "billing", "archive")


def test_two_may_hold_one_server_and_the_first_that_cancels_closes_it(monitor: LocalMonitor) -> None:
    first, second = hold_orders(monitor), hold_orders(monitor)
    assert not first.done()
    second.cancel()
    first.result(LIMIT)
    wait_for_open(monitor, "billing")


@pytest.mark.parametrize(
    "requests",
    [
        [Hold("orders")],
        [RetryNow("orders")],
        [SetEnabled("orders", False), SetEnabled("orders", True)],
    ],
    ids=["hold", "retry", "switched"],
)
def test_what_a_person_has_closed_a_person_opens(
    monitor: LocalMonitor, requests: list[Request[None]]
) -> None:
    held = hold_orders(monitor)
    monitor.ask(Close("orders")).result(LIMIT)
    held.result(LIMIT)
    wait_for_open(monitor, "billing")
    for request in requests:
        answer = monitor.ask(request)
        if not isinstance(request, Hold):
            answer.result(LIMIT)
    wait_for_open(monitor, "orders", "billing")


def test_a_close_of_one_that_is_switched_off_is_not_remembered(monitor: LocalMonitor) -> None:
    wait_for_open(monitor, "orders", "billing")
    monitor.ask(Close("archive")).result(LIMIT)
    monitor.ask(SetEnabled("archive", True)).result(LIMIT)
    wait_for_open(monitor, *NAMES)


def test_who_vanishes_closes_nothing(monitor: LocalMonitor) -> None:
    stays, core = hold_orders(monitor), monitor._core

    async def vanish() -> None:
        task = asyncio.create_task(core.tracked(Hold("orders").carry_out(core, unheard)))
        while len(core.tasks) < 2:
            await asyncio.sleep(0)
        task.cancel(LEFT)
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run_coroutine_threadsafe(vanish(), monitor._loop).result(LIMIT)
    monitor.ask(SetEnabled("archive", True)).result(LIMIT)
    wait_for_open(monitor, *NAMES)
    assert not stays.done()


def test_one_whose_watching_broke_down_can_be_closed_and_opened(
    monitor: LocalMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Watcher) -> None:
        raise ValueError

    held = hold_orders(monitor)
    with monkeypatch.context() as defect:
        defect.setattr(Watcher, "run", broken)
        monitor.ask(SetEnabled("billing", False)).result(LIMIT)
        monitor.ask(SetEnabled("billing", True)).result(LIMIT)
        wait_for(lambda: monitor.snapshot().rows[1].tunnel is TunnelState.WAITING, LIMIT)
        monitor.ask(Close("billing")).result(LIMIT)
        wait_for_open(monitor, "orders")
    monitor.ask(RetryNow("billing")).result(LIMIT)
    wait_for(lambda: monitor.snapshot().rows[1].tunnel is TunnelState.UP, LIMIT)
    assert not held.done()
