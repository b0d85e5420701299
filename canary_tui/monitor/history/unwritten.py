"""What the history does not have yet: a fold of all that happened, given away in batches."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from canary_tui.monitor.events import FleetLoaded, IncidentChanged, TunnelChanged
from canary_tui.monitor.history.rows import MICRO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary_tui.monitor.board import LogLine
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.incidents import Incident
    from canary_tui.monitor.uptime import HourSums, UptimeCounters
    from canary_tui.servers.fleet import HistoryLimits

QUEUE_LENGTH = 50_000
"""Lines kept in memory while they cannot be written; then the oldest go."""
STEPPED = 1.0
"""Seconds beyond which a key that is older than the last one means that the clock was stepped back."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What is written together."""

    lines: Sequence[LogLine]
    """Lines of the log, each with its key for ``seq``: microseconds of Unix time, unique."""
    hours: Sequence[HourSums]
    incidents: Sequence[Incident]
    tunnels: Sequence[TunnelChanged] = ()
    """Where tunnels stand now, the last of each server."""


class Unwritten:
    """Gathers what is to be written, with the hours that ``uptime`` counts."""

    def __init__(self, uptime: UptimeCounters) -> None:
        self.limits: HistoryLimits | None = None
        """What the servers file says; until it was read, nothing is thrown away."""
        self.lost = 0
        """How many lines were lost because they could not be written."""
        self._uptime = uptime
        self._lines: deque[LogLine] = deque()
        self._last_key = 0
        self._incidents: dict[int, Incident] = {}
        self._tunnels: dict[str, TunnelChanged] = {}
        """Where each tunnel stands now."""
        self._moved: set[str] = set()
        """The servers whose tunnels stand elsewhere than what is written."""

    def apply(self, event: AnyEvent) -> None:
        """Fold one event."""
        match event:
            case FleetLoaded():
                self.limits = event.fleet.history
            case TunnelChanged():
                self._tunnels[event.server] = event
                self._moved.add(event.server)
            case IncidentChanged(incident=now):
                # One that began before the last run's were taken over may turn out to be one of them.
                self._incidents = {
                    one.id: one
                    for one in (*self._incidents.values(), now)
                    if one.ended is not None or one.place != now.place or one is now
                }

    def keep(self, line: LogLine) -> None:
        """Take in a line of the log."""
        key = round(line.at * MICRO)
        if key <= self._last_key and self._last_key - key < STEPPED * MICRO:
            key = self._last_key + 1  # two lines never share a key: it is where a reader goes on
        self._last_key = key
        self._lines.append(msgspec.structs.replace(line, seq=key))
        self._drop_oldest()

    def batch(self, now: float) -> Batch | None:
        """Give away what has come since the last batch; None when nothing has."""
        batch = Batch(
            lines=self._lines,
            hours=self._uptime.changed(now),
            incidents=tuple(self._incidents.values()),
            tunnels=tuple(self._tunnels[name] for name in self._moved),
        )
        self._lines, self._incidents, self._moved = deque(), {}, set()
        return batch if any(msgspec.structs.astuple(batch)) else None

    def put_back(self, batch: Batch) -> None:
        """Take back a batch that could not be written."""
        self._lines.extendleft(reversed(batch.lines))
        self._drop_oldest()
        self._uptime.put_back(batch.hours)
        self._incidents = {one.id: one for one in (*batch.incidents, *self._incidents.values())}
        self._moved |= {event.server for event in batch.tunnels}

    def begin_file(self) -> None:
        """Have the next batch say where all tunnels stand: it goes into another file."""
        self._moved.update(self._tunnels)

    def clear(self) -> None:
        """Forget all but the tunnels: another process has written the same, or nothing is kept."""
        self._lines.clear()
        self._incidents.clear()
        self._uptime.start_over()

    def _drop_oldest(self) -> None:
        while len(self._lines) > QUEUE_LENGTH:
            self._lines.popleft()
            self.lost += 1
