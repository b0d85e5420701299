"""How long a server was up, down or asleep, hour by hour. Pure: every time is an argument (Unix seconds).

What a probe found holds until the next probe ends. It does not hold for ever: nobody knows what a server
did while nobody looked, so time that no probe answers for is unknown, and belongs to neither side.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.causes.retries import Retry
from canary_tui.monitor.backoff import SPANS, retry_of_probe
from canary_tui.monitor.histogram import Histogram

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Cause
    from canary_tui.servers.model import Engine

HOUR = 3600
SHORTEST_HOLD = 30.0
"""Seconds that any probe answers for."""
LONGEST_GAP = 30.0
"""Seconds between two looks at the clock beyond which this process did not run (stopped, frozen)."""


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


class Account:
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
            self._hour(at).latencies.add(ms)

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

    def _hour(self, at: float) -> Totals:
        return self._totals(int(at // HOUR))

    def _totals(self, hour: int) -> Totals:
        return self.hours.setdefault(hour, Totals())


def split(start: float, end: float) -> list[tuple[int, float]]:
    """Return the hours that a span touches, each with its share in seconds."""
    shares = []
    while start < end:
        hour = int(start // HOUR)
        stop = min(end, (hour + 1) * HOUR)
        shares.append((hour, stop - start))
        start = stop
    return shares
