"""The two ways through a tunnel, side by side: canary's local port, and that of ``ssh -N -L``."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.servers import wait_listening

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from benchmarks.servers import Servers
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres


@contextmanager
def both_ways(place: Servers, database: Postgres | MariaDB, *options: str) -> Iterator[tuple[int, int]]:
    """Open a tunnel by canary and one by ``ssh`` (with more ``options``); give their local ports."""
    sshd = place.sshd()
    ours, theirs = place.user(sshd), place.user(sshd)
    (mine,), (other,) = ours.add(database), theirs.add(database)
    with ours.canary() as canary, theirs.ssh(other, *options):
        canary.wait_answered(1)
        wait_listening([other.local_port])
        yield mine.local_port, other.local_port


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def in_turn(rounds: int, *works: Callable[[], Awaitable[object]], times: int = 1) -> list[list[float]]:
    """Time each of several works, ``times`` in a row, in turn: what disturbs them disturbs all alike."""
    found: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for taken, work in zip(found, works, strict=True):
            taken += [await timed(work) for _ in range(times)]
            await asyncio.sleep(0)
    return found
