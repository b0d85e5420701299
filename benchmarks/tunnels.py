"""Two hundred tunnels: the time until all are open, and what holding them takes."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.processes import pss
from benchmarks.report import Row, Section, compared
from benchmarks.servers import servers, wait_listening

if TYPE_CHECKING:
    from benchmarks.servers import User

TIME, MEMORY = 0.25, 0.3
SETTLE_SECONDS = 3.0
"""After this long the first probes are over, and what opening took has been given back."""


def measure(*, quick: bool) -> Section:
    """Open them by canary and by ssh in turn."""
    count, runs = (10, 1) if quick else (200, 3)
    ours: list[tuple[float, int]] = []
    theirs: list[tuple[float, int]] = []
    with servers() as place:
        sshd, postgres = place.sshd(), place.postgres()
        user = place.user(sshd)
        user.add(postgres, count)
        for _ in range(runs):
            ours.append(by_canary(user, quick=quick))
            theirs.append(by_ssh(user, quick=quick))
    rows = [
        compared(f"{count} tunnels: all open", [o[0] for o in ours], [t[0] for t in theirs], aim=TIME),
        compared(
            f"{count} tunnels: memory (PSS)",
            [o[1] for o in ours],
            [t[1] for t in theirs],
            aim=MEMORY,
            unit="memory",
        ),
        Row("processes", "1", str(count)),
    ]
    return Section("tunnels", ("what", "canary", "ssh -N -L", "ratio", "aim"), rows)


def by_canary(user: User, *, quick: bool) -> tuple[float, int]:
    """Return the seconds from the program's start until all tunnels are up, and its memory then."""
    began = time.perf_counter()
    with user.canary() as canary:
        canary.wait_up(len(user.tunnels))
        taken = time.perf_counter() - began
        canary.wait_answered(len(user.tunnels))
        time.sleep(0 if quick else SETTLE_SECONDS)
        return taken, pss([canary.pid])


def by_ssh(user: User, *, quick: bool) -> tuple[float, int]:
    """Return the same for one ssh(1) a tunnel, all started at once."""
    began = time.perf_counter()
    with ExitStack() as stack:
        tools = [stack.enter_context(user.ssh(tunnel)) for tunnel in user.tunnels]
        wait_listening([tunnel.local_port for tunnel in user.tunnels])
        taken = time.perf_counter() - began
        time.sleep(0 if quick else SETTLE_SECONDS)
        return taken, pss([tool.pid for tool in tools])
