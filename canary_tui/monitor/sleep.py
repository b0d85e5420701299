"""Whether the machine slept, and for how long.

``CLOCK_MONOTONIC`` stands still while a Linux machine is suspended and ``CLOCK_BOOTTIME`` does not
(clock_gettime(2)): their distance grows by exactly the time slept. The wall clock plays no part, so one
that is stepped is not taken for sleep.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST = 1.0
"""Seconds of sleep that are worth a word; shorter ones add up until they are."""


def seconds_suspended() -> float:
    """Return how long the machine has slept since it was started; 0.0 where the system does not tell."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    # Monotonic first: being interrupted between the two must not look like sleep that is taken back.
    monotonic = time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - monotonic


class SleepMeter:
    """Tells the sleep that took place between two looks. ``suspended`` gives the sum of all sleep."""

    def __init__(self, suspended: Callable[[], float] = seconds_suspended) -> None:
        self._suspended = suspended
        self._seen = suspended()

    def look(self) -> float:
        """Return the seconds slept since this was last more than nothing; 0.0 when there was no sleep."""
        now = self._suspended()
        slept = now - self._seen
        if slept < SHORTEST:
            return 0.0
        self._seen = now
        return slept
