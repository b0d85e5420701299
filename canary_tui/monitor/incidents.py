"""What an incident is. ``incident_tracker`` makes them of what probes found."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from canary_tui.diagnosis.stages import Cause, Stage

DATABASE, BEHIND = "database ", " behind "
"""How the place of a database is told: ``database HOST:PORT``, with a tunnel `` behind HOST:PORT``."""


class Change(StrEnum):
    """What became of an incident."""

    OPENED = "opened"
    JOINED = "joined"
    """One more server fails for it."""
    LEFT = "left"
    """A server does not fail for it any more, but others do."""
    CLOSED = "closed"


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that broke, from the first probe that noticed to the last server that was well again."""

    id: int
    """Its start in microseconds of Unix time."""
    started: float
    """Unix time, seconds."""
    ended: float | None = None
    stage: Stage
    cause: Cause
    place: str
    """What the servers have in common: the SSH server, the database, or the server itself."""
    servers: tuple[str, ...]
    """All that took part, in the order in which they did."""
    summary: str
    ended_by: str = ""

    @property
    def direct(self) -> bool:
        """Whether the way that broke has no SSH server in it, as far as its place tells."""
        return self.place.startswith(DATABASE) and BEHIND not in self.place
