"""What processes take: memory, processor time, open files. Linux: proc(5)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TICKS = os.sysconf("SC_CLK_TCK")


def pss(pids: Iterable[int]) -> int:
    """Return the bytes of memory that processes hold; what several share is divided among them."""
    return sum(_rolled_up(pid, "Pss") for pid in pids)


def own_memory(pid: int) -> int:
    """Return the bytes that a process has filled itself: what it shares with others changes with them."""
    return _rolled_up(pid, "Anonymous")


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, over all its threads."""
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    user, system = stat[stat.rindex(")") + 2 :].split()[11:13]
    return (int(user) + int(system)) / TICKS


def open_files(pid: int) -> int:
    """Return how many descriptors a process holds."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _rolled_up(pid: int, what: str) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no {what}")
