"""How long a server was up, down or asleep, hour by hour. Pure: every time is an argument (Unix seconds).

What a probe found holds until the next probe ends. It does not hold for ever: nobody knows what a server
did while nobody looked, so time that no probe answers for is unknown, and belongs to neither side.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from canary_tui.diagnosis.causes.retries import Retry
from canary_tui.monitor.backoff import SPANS, retry_of_probe
from canary_tui.monitor.events import FleetLoaded, ProbeFinished, Slept, TunnelChanged, TunnelState
from canary_tui.monitor.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from canary_tui.diagnosis.stages import Cause
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.servers.model import Engine, Server

HOUR = 3600
SHORTEST_HOLD = 30.0
"""Seconds that any probe answers for."""
LONGEST_GAP = 30.0
"""Seconds between two looks at the clock beyond which this process did not run (stopped, frozen)."""
HourSums: TypeAlias = "tuple[str, int, Totals, bool]"
"""Server, number of the hour, its sums, and whether it is over."""


class Uptime(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a server over a span, in seconds."""

    up: float = 0.0
    down: float = 0.0
    asleep: float = 0.0
    """The machine that watches slept: no downtime."""
    unknown: float = 0.0

    @property
    def percent(self) -> float | None:
        """Time up in per cent of the time that is known; None when nothing is."""
        known = self.up + self.down
        return 100 * self.up / known if known > 0 else None


class Totals:
    """The sums of one server and one hour."""

    __slots__ = ("asleep", "down", "latencies", "up")

    def __init__(
        self, up: float = 0.0, down: float = 0.0, asleep: float = 0.0, latencies: Histogram | None = None
    ) -> None:
        self.up, self.down, self.asleep = up, down, asleep
        self.latencies = latencies or Histogram()

    def merge(self, other: Totals) -> None:
        """Add the sums of the same hour that were counted elsewhere."""
        self.up += other.up
        self.down += other.down
        self.asleep += other.asleep
        self.latencies.merge(other.latencies)


def holds(cause: Cause | None, every: float, engine: Engine | None = None) -> float:
    """Return the seconds that a probe answers for at most; ``cause`` None: it passed.

    As a rule three intervals. A server that the monitor probes less often on purpose, because more
    rejected logins would make things worse, stays known to be down meanwhile: else a password that is
    wrong for a day would count as half a minute in fifteen.
    """
    retry = retry_of_probe(cause, engine) if cause else None
    if retry is Retry.PERSON:
        return math.inf
    rule = max(3 * every, SHORTEST_HOLD)
    return rule if retry is None else max(rule, SPANS[retry][1] + SHORTEST_HOLD)


class UptimeCounter:
    """One server's time, split at the borders of the hours (of Unix time)."""

    def __init__(self) -> None:
        self.hours: dict[int, Totals] = {}
        """Sums by the number of the hour (Unix time / 3600)."""
        self._up: bool | None = None
        self._until = 0.0
        self._at: float | None = None

    def probed(self, at: float, *, up: bool, hold: float, ms: float) -> None:
        """A probe ended at ``at``; what it found holds for ``hold`` seconds. ``ms`` counts when it passed."""
        self.advance(at)
        self._up, self._until = up, at + hold
        if up:
            self._totals(int(at // HOUR)).latencies.add(ms)

    def unwatched(self, at: float) -> None:
        """Nobody looks from ``at`` on: the server was switched off, or the monitor ends."""
        self.advance(at)
        self._up = None

    def slept(self, at: float, seconds: float) -> None:
        """The machine slept for ``seconds`` and woke at ``at``."""
        self.advance(at - seconds)
        if self._up is None:
            return
        since = at - seconds if self._at is None else max(self._at, at - seconds)
        for hour, share in split(since, at):
            self._totals(hour).asleep += share
        self._at = at
        self._until += seconds  # what was known is as fresh as it was

    def advance(self, now: float) -> bool:
        """Count the time until ``now``; tell whether there is anything to count.

        A clock that was stepped back counts nothing.
        """
        since, self._at = self._at, now
        if since is None or self._up is None or now <= since:
            return False
        for hour, share in split(since, min(now, self._until, since + LONGEST_GAP)):
            totals = self._totals(hour)
            if self._up:
                totals.up += share
            else:
                totals.down += share
        return True

    def _totals(self, hour: int) -> Totals:
        return self.hours.setdefault(hour, Totals())


class UptimeCounters:
    """Folds events into one counter for each server, and knows which of them are to be written."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}
        """The servers that are listed and switched on."""
        self._counters: dict[str, UptimeCounter] = {}
        self._touched: set[str] = set()
        """The servers whose seconds changed since ``changed`` was last called."""

    def apply(self, event: AnyEvent) -> None:
        """Fold one event."""
        match event:
            case ProbeFinished(result=result) if server := self._servers.get(result.server):
                cause = result.failure.cause if result.failure else None
                hold = holds(cause, server.probe.every, server.engine)
                self._touch(server.name).probed(event.at, up=result.ok, hold=hold, ms=result.total_ms)
            case TunnelChanged(state=TunnelState.CLOSED) if event.server in self._counters:
                self._touch(event.server).unwatched(event.at)
            case Slept():
                for name in self._counters:
                    self._touch(name).slept(event.at, event.seconds)
            case FleetLoaded():
                self._servers = {server.name: server for server in event.fleet.servers if server.enabled}

    def advance(self, now: float) -> None:
        """Count the seconds until ``now``."""
        self._touched |= {name for name, counter in self._counters.items() if counter.advance(now)}

    def changed(self, now: float) -> list[HourSums]:
        """Return the hours of the servers whose seconds changed since this was last called."""
        touched, self._touched = self._touched, set()
        return [
            (name, hour, totals, hour != int(now // HOUR))
            for name in touched
            for hour, totals in self._counters[name].hours.items()
        ]

    def put_back(self, hours: Iterable[HourSums]) -> None:
        """Return these hours again the next time: they could not be written."""
        self._touched |= {name for name, *_ in hours}

    def written(self, hours: Iterable[HourSums]) -> None:
        """Forget those of these hours that are over."""
        for name, hour, _, over in hours:
            if over:
                self._counters[name].hours.pop(hour, None)

    def recall(self, name: str, hour: int, totals: Totals) -> None:
        """Take over what is written of the hour under way already."""
        self._touch(name).hours.setdefault(hour, Totals()).merge(totals)

    def start_over(self) -> None:
        """Forget the seconds so far."""
        for counter in self._counters.values():
            counter.hours.clear()
        self._touched.clear()

    def _touch(self, name: str) -> UptimeCounter:
        self._touched.add(name)
        return self._counters.setdefault(name, UptimeCounter())


def split(start: float, end: float) -> list[tuple[int, float]]:
    """Return the hours that a span touches, each with its share in seconds."""
    shares = []
    while start < end:
        hour = int(start // HOUR)
        stop = min(end, (hour + 1) * HOUR)
        shares.append((hour, stop - start))
        start = stop
    return shares
