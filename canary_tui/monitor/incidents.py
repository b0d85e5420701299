"""Failures grouped into incidents: three databases behind one dead jumpbox are one incident. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Cause, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from canary_tui.diagnosis.stages import Failure, ProbeResult
    from canary_tui.servers.model import Server

UNWATCHED = "ended while not watched"
DATABASE, BEHIND = "database ", " behind "
"""How the place of a database is told: ``database HOST:PORT``, with a tunnel `` behind HOST:PORT``."""
TO_THE_HOST = frozenset({Stage.RESOLVE, Stage.CONNECT, Stage.HANDSHAKE, Stage.HOST_KEY})
TO_THE_DATABASE = frozenset({Stage.FORWARD, Stage.DATABASE})


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


class IncidentTracker:
    """Turns results into incidents. ``at`` is Unix time and comes with each call."""

    def __init__(self) -> None:
        self._open: dict[str, Incident] = {}
        self._failing: dict[str, set[str]] = {}
        self._seen: set[str] = set()
        """Places where a server was seen to fail in this run."""
        self._place: dict[str, str | None] = {}
        """Where each server that was probed in this run fails; None: it does not."""
        self._watched: frozenset[str] | None = None

    @property
    def open(self) -> tuple[Incident, ...]:
        """The incidents that go on."""
        return tuple(self._open.values())

    def probed(self, at: float, server: Server, result: ProbeResult) -> list[tuple[Change, Incident]]:
        """Take in a probe's result."""
        name, failure = server.name, result.failure
        if self._watched is not None and name not in self._watched:
            return []  # a probe that was under way when the server was switched off
        place = place_of(server, failure) if failure else None
        self._place[name] = place
        why = f"{name} answered again"
        if failure is not None:
            why = f"{name} fails elsewhere: {failure.summary}"
        changes = self._leave(at, name, why, but=place)
        if failure is not None and place is not None:
            changes += self._join(at, name, place, failure)
        return changes

    def watched(self, at: float, names: Iterable[str]) -> list[tuple[Change, Incident]]:
        """Take in which servers are listed and switched on; the others leave what they took part in."""
        self._watched = frozenset(names)
        gone = {name for failing in self._failing.values() for name in failing} - self._watched
        changes = []
        for name in sorted(gone):
            changes += self._leave(at, name, f"{name} was switched off or removed")
            self._place.pop(name, None)
        return changes

    def adopt(self, at: float, incidents: Iterable[Incident]) -> list[tuple[Change, Incident]]:
        """Take over the incidents that were open when the last run ended.

        One goes on if a server of it still fails in the same place. That is known with each server's
        first probe, which may have ended before this is called.
        """
        changes: list[tuple[Change, Incident]] = []
        for old in incidents:
            place = old.place
            own = self._open.get(place)
            pending = {
                name
                for name in old.servers
                if self._place.get(name, place) == place and (self._watched is None or name in self._watched)
            }
            if own is not None:
                servers = tuple(dict.fromkeys((*old.servers, *own.servers)))
                old = msgspec.structs.replace(old, servers=servers)  # noqa: PLW2901 - the two are one
                pending |= self._failing[place]
            self._open[place], self._failing[place] = old, pending
            if not pending:
                changes.append(self._close(at, place, UNWATCHED))
            elif own is not None:
                changes.append((Change.JOINED, old))
        return changes

    def _join(self, at: float, name: str, place: str, failure: Failure) -> list[tuple[Change, Incident]]:
        self._seen.add(place)
        incident = self._open.get(place)
        if incident is None:
            incident = Incident(
                id=round(at * 1_000_000),
                started=at,
                stage=failure.stage,
                cause=failure.cause,
                place=place,
                servers=(name,),
                summary=failure.summary,
            )
            self._open[place], self._failing[place] = incident, {name}
            return [(Change.OPENED, incident)]
        told = incident
        if incident.cause is Cause.TUNNEL_LOST and failure.cause is not Cause.TUNNEL_LOST:
            # A lost tunnel is what is seen first; why it does not come back says more.
            told = msgspec.structs.replace(
                told, stage=failure.stage, cause=failure.cause, summary=failure.summary
            )
        if name not in told.servers:
            told = msgspec.structs.replace(told, servers=(*told.servers, name))
        self._failing[place].add(name)
        self._open[place] = told
        return [] if told is incident else [(Change.JOINED, told)]

    def _leave(self, at: float, name: str, why: str, but: str | None = None) -> list[tuple[Change, Incident]]:
        changes = []
        for place in [place for place, failing in self._failing.items() if name in failing and place != but]:
            self._failing[place].discard(name)
            if self._failing[place]:
                changes.append((Change.LEFT, self._open[place]))
            else:
                changes.append(self._close(at, place, why if place in self._seen else UNWATCHED))
        return changes

    def _close(self, at: float, place: str, why: str) -> tuple[Change, Incident]:
        incident = self._open.pop(place)
        self._failing.pop(place)
        self._seen.discard(place)
        ended = max(at, incident.started)  # a clock that was stepped back makes no negative duration
        return Change.CLOSED, msgspec.structs.replace(incident, ended=ended, ended_by=why)


def place_of(server: Server, failure: Failure) -> str:
    """Return what a failure is grouped by: two servers with the same one share their incident.

    From ``resolve`` to ``host_key`` that is the SSH host and port, or a direct server's database;
    for ``forward`` and ``database`` the database as the SSH host sees it; for the rest the server.
    A tunnel that is lost is the SSH host's, whatever stage notices it.
    """
    ssh = server.tunnel
    target = f"{server.database.host.lower()}:{server.database.port}"
    if ssh is None:
        return f"{DATABASE}{target}" if failure.stage in TO_THE_HOST | TO_THE_DATABASE else server.name
    jumpbox = f"{ssh.host.lower()}:{ssh.port}"
    if failure.stage in TO_THE_HOST or failure.cause is Cause.TUNNEL_LOST:
        return f"SSH server {jumpbox}"
    return f"{DATABASE}{target}{BEHIND}{jumpbox}" if failure.stage in TO_THE_DATABASE else server.name
