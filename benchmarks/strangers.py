"""Another user who connects to the local port thousands of times a second, and one's own client meanwhile."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from benchmarks.connect import to_postgres
from benchmarks.processes import processor_seconds
from benchmarks.report import AT_MOST, Row, Section, duration
from benchmarks.servers import servers
from tests.harness.neighbours import Flood

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres

STRANGER = "nobody"
SERVED_SECONDS = 0.1
PAUSE_SECONDS = 0.02
FLOOD_SECONDS = 600.0
"""Longer than it takes; it is ended before."""


def measure(*, quick: bool) -> Section:
    """Connect again and again while nobody else does, and while strangers do at several rates."""
    section = Section(
        "strangers", ("one's own client: connect, select 1, close", "canary", "of a core", "", "aim")
    )
    if os.geteuid() != 0:
        section.rows.append(Row("only root can be another user", ""))
        return section
    with servers() as place:
        postgres, sshd = place.postgres(), place.sshd()
        user = place.user(sshd)
        (tunnel,) = user.add(postgres)
        with user.canary() as canary:
            canary.wait_answered(1)
            for name, rate in (
                ("alone", 0),
                ("4,000 strangers a second", 4000),
                ("8,000 strangers a second", 8000),
            ):
                flood = Flood("127.0.0.1", tunnel.local_port, rate=rate, seconds=FLOOD_SECONDS, user=STRANGER)
                with flood if rate else nullcontext():
                    used, began = processor_seconds(canary.pid), time.perf_counter()
                    times = sorted(asyncio.run(served(postgres, tunnel.local_port, 10 if quick else 300)))
                    share = (processor_seconds(canary.pid) - used) / (time.perf_counter() - began)
                section.rows += rows_of(name, times, share, judged=rate == 4000)
    return section


def rows_of(name: str, times: list[float], share: float, *, judged: bool) -> list[Row]:
    """Return the median and what 99 of 100 stayed below."""
    high = times[len(times) * 99 // 100]
    median = Row(f"{name}, median", duration(times[len(times) // 2]), f"{share * 100:.0f} %")
    if not judged:
        return [median, Row(f"{name}, 99 of 100 within", duration(high))]
    aim = f"{AT_MOST} {duration(SERVED_SECONDS)}"
    return [median, Row(f"{name}, 99 of 100 within", duration(high), aim=aim, met=high <= SERVED_SECONDS)]


async def served(postgres: Postgres, port: int, rounds: int) -> list[float]:
    """Return the seconds of each connection; they are made one after the other, with pauses."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await to_postgres(postgres, port)
        times.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_SECONDS)
    return times
