"""A monitor with a server that breaks, watched until all is as it was."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from canary_tui.monitor.board import Health
from canary_tui.monitor.events import ProbeFinished, ProbeStarted, TunnelState
from canary_tui.monitor.local import LocalMonitor
from canary_tui.monitor.network import NetworkMeter
from canary_tui.monitor.sleep import SleepMeter
from tests.harness.ports import is_listening, wait_for
from tests.servers.leftovers import sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.monitor.board import Row
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.servers.model import Server
    from tests.servers.world import World


LIMIT = 20.0
LONGEST_WAIT = 30.0
"""Seconds: the longest wait between two attempts in trouble with the network."""
AGAIN = 2.0
"""Seconds, beside the wait until the next attempt, within which a tunnel that can be up is up."""


class Watched:
    """A monitor that holds one server, seen from outside."""

    def __init__(self, monitor: LocalMonitor, chance: float) -> None:
        self.monitor = monitor
        self.chance = chance
        """What decides how long is waited, of the longest wait that there may be."""
        self.events: list[AnyEvent] = []
        monitor.listen(self.events.append)

    def begin(self) -> None:
        """Wait until it is up."""
        self.up(LIMIT)
        self.port = self.row.local
        self.before = self.counts()

    @property
    def row(self) -> Row:
        """How the server stands."""
        found = self.monitor.snapshot().row("orders")
        assert found is not None
        return found

    def until(self, what: Callable[[Row], object], limit: float = LIMIT) -> Row:
        """Wait until the server stands so."""
        try:
            wait_for(lambda: what(self.row), limit)
        except TimeoutError:
            lines = [line.text or str(line.result) for line in self.monitor.log_after(0)]
            raise AssertionError(f"not within {limit} s: {self.row}\n" + "\n".join(lines[-10:])) from None
        return self.row

    def up(self, limit: float) -> None:
        """Wait until the tunnel is up and a probe has passed since."""
        self.until(lambda row: row.health is Health.UP and row.tunnel is TunnelState.UP, limit)

    def down(self, limit: float = LIMIT) -> Row:
        """Wait until the tunnel is known not to stand; its local port stays bound."""
        found = self.until(lambda row: row.tunnel is not TunnelState.UP, limit)
        assert is_listening(int(self.port.rpartition(":")[2]))
        return found

    def probed(self, times: int) -> None:
        """Wait for some more probes that pass."""
        passed = self.passed() + times
        self.until(lambda _: self.passed() >= passed)

    def passed(self) -> int:
        """How many probes have passed."""
        return sum(result.ok for result in results(self))

    def recovered(self) -> None:
        """See it up again in time, on the port that it had, with nothing left behind."""
        self.up(LONGEST_WAIT * self.chance + AGAIN)
        assert self.row.local == self.port
        wait_for(lambda: self.counts() == self.before, 5.0, f"{self.before}, not {self.counts()}")

    def counts(self) -> tuple[int, int, list[str]]:
        """How many sockets and threads there are, and which tasks; a probe under way is waited for."""
        wait_for(lambda: not self._is_probing())
        tasks = sorted(task.get_name().rstrip("0123456789") for task in asyncio.all_tasks(self.monitor._loop))
        return len(sockets()), threading.active_count(), [name for name in tasks if name != "Task-"]

    def _is_probing(self) -> bool:
        probes = (event for event in reversed(self.events) if isinstance(event, ProbeStarted | ProbeFinished))
        return isinstance(next(probes, None), ProbeStarted)


@contextmanager
def watched(
    world: World,
    *servers: Server,
    chance: float = 0.0,
    sleep: SleepMeter | None = None,
    network: NetworkMeter | None = None,
) -> Iterator[Watched]:
    """A monitor at work, whose end must leave nothing."""
    world.write(*servers)
    here = len(sockets())
    seen = Watched(
        LocalMonitor(world.paths, chance=lambda: seen.chance, sleep=sleep, network=network), chance
    )
    monitor = seen.monitor
    monitor.start()
    try:
        wait_for(lambda: monitor.snapshot().loaded, LIMIT)
        seen.begin()
        yield seen
    finally:
        assert monitor.stop(5), "everything is closed in time"
    assert "monitor" not in {thread.name for thread in threading.enumerate()}
    wait_for(lambda: len(sockets()) <= here, what="no socket is left")


def results(seen: Watched) -> list[ProbeResult]:
    """The probes so far."""
    return [line.result for line in seen.monitor.log_after(0, 100_000) if line.result]
