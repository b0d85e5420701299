"""Counts what is there before and after: sockets, tasks and threads of this process, sessions of an sshd."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness.ports import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Set

    from tests.harness.sshd import Sshd

LIMIT = 5.0
"""Seconds in which the other side of a closed connection must have noticed."""
UNREAD = {"Fatal error: protocol.data_received() call failed.", "Fatal error on SSL protocol"}
"""What a driver tells the loop of bytes that it cannot read."""
POOL = "asyncio_"
"""How the event loop's own pool names its threads: they live as long as the loop."""


@asynccontextmanager
async def nothing_left(sshds: Collection[Sshd] = ()) -> AsyncIterator[None]:
    """See that the body leaves no socket, task, thread or SSH session behind, and no error unseen.

    ``sshds`` may grow meanwhile: one that was started since must have no session at the end.
    """
    reported = complaints()
    kinds: dict[str, Callable[[], Set[object]]] = {
        "sockets": sockets,
        "tasks": asyncio.all_tasks,
        "threads": threads,
        "SSH sessions": lambda: {pid for sshd in sshds for pid in sshd.sessions()},
    }
    before = {kind: count() for kind, count in kinds.items()}
    yield
    for kind, count in kinds.items():
        await _gone(kind, count, before[kind])
    assert reported == []


@asynccontextmanager
async def nothing_under_way(*, garbage: bool = False) -> AsyncIterator[None]:
    """See that at its very end the body leaves no task behind, and no error unseen.

    With ``garbage`` a driver may complain to the loop that it could not read what was said, beside failing:
    the monitor and the commands send that to the log (``monitor/quiet.py``).
    """
    reported = complaints()
    tasks = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() <= tasks
    assert [one for one in reported if not (garbage and one["message"] in UNREAD)] == []


def complaints() -> list[dict[str, Any]]:
    """Return the errors that the running loop is told of from now on."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    return reported


async def _gone(kind: str, count: Callable[[], Set[object]], before: Set[object]) -> None:
    def more() -> Set[object]:
        return count() - before

    try:
        await eventually(lambda: not more(), LIMIT)
    except TimeoutError:
        raise AssertionError(f"{kind} left behind: {more()}") from None


def sockets() -> Set[object]:
    """Return the sockets of this process, by the kernel's own numbers."""
    found: set[object] = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # the folder's own descriptor
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def threads() -> Set[object]:
    """Return the threads of this process, but for the pools of event loops."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith(POOL)}
