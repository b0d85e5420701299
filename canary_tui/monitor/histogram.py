"""A histogram of latencies whose buckets grow: small, mergeable, and true to about five per cent.

An average of percentiles is no percentile. Counts in fixed buckets can be added over any span, so the
percentiles of a month are those of its probes, and not of its hours (the idea of HdrHistogram and DDSketch).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GROWTH = 1.1
"""Each bucket ends so many times higher than it begins."""
RELATIVE_ERROR = (GROWTH - 1) / (GROWTH + 1)
"""How far a percentile may be from the true one: 4.8 %."""
LOWEST_MS = 0.001
HIGHEST_MS = 86_400_000.0
_LOG = math.log(GROWTH)


class Histogram:
    """How many latencies fell into which bucket: ``n`` is for (GROWTH ** (n - 1), GROWTH ** n] ms."""

    __slots__ = ("_buckets",)

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self._buckets = dict(buckets or {})

    @classmethod
    def of(cls, latencies: Iterable[float]) -> Histogram:
        """Return the histogram of some latencies (milliseconds)."""
        made = cls()
        for ms in latencies:
            made.add(ms)
        return made

    @property
    def count(self) -> int:
        """How many latencies it holds."""
        return sum(self._buckets.values())

    def add(self, ms: float) -> None:
        """Count one latency; beyond 1 µs and a day it counts as those."""
        bucket = math.ceil(math.log(min(max(ms, LOWEST_MS), HIGHEST_MS)) / _LOG)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def merge(self, other: Histogram) -> None:
        """Count everything that ``other`` holds as well."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def percentile(self, percent: float) -> float | None:
        """Return the latency that ``percent`` of all stay at or below (nearest rank); None when empty.

        It is at most ``RELATIVE_ERROR`` away from the true one.
        """
        rank = max(1, math.ceil(percent / 100 * self.count))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                # The point of the bucket from which both its ends are equally far in proportion.
                return 2 * GROWTH**bucket / (GROWTH + 1)
        return None

    def encode(self) -> bytes:
        """Return it as few bytes: MessagePack of first bucket, count, distance to the next, count, …"""
        flat: list[int] = []
        before = 0
        for bucket in sorted(self._buckets):
            flat += (bucket - before, self._buckets[bucket])
            before = bucket
        return msgspec.msgpack.encode(flat)

    @classmethod
    def decode(cls, data: bytes) -> Histogram:
        """Read what ``encode`` wrote. Raises msgspec.DecodeError for anything else."""
        flat = msgspec.msgpack.decode(data, type=list[int])
        made, bucket = cls(), 0
        for distance, count in zip(flat[::2], flat[1::2], strict=True):
            bucket += distance
            made._buckets[bucket] = count
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self._buckets == other._buckets

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Histogram({dict(sorted(self._buckets.items()))})"
