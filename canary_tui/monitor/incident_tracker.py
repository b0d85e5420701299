"""Failures grouped into incidents: three databases behind one dead jumpbox are one incident. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.events import FleetLoaded, IncidentChanged, ProbeFinished
from canary_tui.monitor.incidents import BEHIND, DATABASE, Change, Incident

if TYPE_CHECKING:
    from collections.abc import Iterable

    from canary_tui.diagnosis.stages import Failure, ProbeResult
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.servers.model import Server

UNWATCHED = "ended while not watched"
TO_THE_HOST = frozenset({Stage.RESOLVE, Stage.CONNECT, Stage.HANDSHAKE, Stage.HOST_KEY})
TO_THE_DATABASE = frozenset({Stage.FORWARD, Stage.DATABASE})


class IncidentTracker:
    """Folds events into incidents, and returns what became of them."""

    def __init__(self) -> None:
        self._open: dict[str, Incident] = {}
        """The incidents that go on, by their places."""
        self._failing: dict[str, set[str]] = {}
        self._seen: set[str] = set()
        """Places where a server was seen to fail in this run."""
        self._place: dict[str, str | None] = {}
        """Where each server that was probed in this run fails; None: it does not."""
        self._watched: dict[str, Server] | None = None
        """The servers that are listed and switched on; None before the servers file was read."""

    def apply(self, event: AnyEvent) -> list[IncidentChanged]:
        """Fold one event; return what it changed, in order."""
        match event:
            case FleetLoaded():
                self._watched = {server.name: server for server in event.fleet.servers if server.enabled}
                return self._left_alone(event.at, self._watched)
            case ProbeFinished(result=result) if self._watched and result.server in self._watched:
                return self._probed(event.at, self._watched[result.server], result)
            case _:  # among them a test of a server that is switched off: it is in the log, and no more
                return []

    def _probed(self, at: float, server: Server, result: ProbeResult) -> list[IncidentChanged]:
        name, failure = server.name, result.failure
        if failure is None:
            self._place[name] = None
            return self._leave(at, name, f"{name} answered again")
        self._place[name] = place = place_of(server, failure)
        left = self._leave(at, name, f"{name} fails elsewhere: {failure.summary}", but=place)
        return left + self._join(at, name, place, failure)

    def _left_alone(self, at: float, watched: Iterable[str]) -> list[IncidentChanged]:
        """Have the servers that are not watched any more leave what they took part in."""
        gone = {name for failing in self._failing.values() for name in failing}.difference(watched)
        changes = []
        for name in sorted(gone):
            changes += self._leave(at, name, f"{name} was switched off or removed")
            self._place.pop(name, None)
        return changes

    def adopt(self, at: float, incidents: Iterable[Incident]) -> list[IncidentChanged]:
        """Take over the incidents that were open when the last run ended.

        One goes on if a server of it still fails in the same place. That is known with each server's
        first probe, which may have ended before this is called.
        """
        changes: list[IncidentChanged] = []
        for old in incidents:
            place = old.place
            own = self._open.get(place)
            pending = {
                name
                for name in old.servers
                if self._place.get(name, place) == place and (self._watched is None or name in self._watched)
            }
            if own is not None:
                old = msgspec.structs.replace(  # noqa: PLW2901 - the two are one
                    old, servers=tuple(dict.fromkeys((*old.servers, *own.servers)))
                )
                pending |= self._failing[place]
            self._open[place], self._failing[place] = old, pending
            if not pending:
                changes.append(self._close(at, place, UNWATCHED))
            elif own is not None:
                changes.append(IncidentChanged(at=at, change=Change.JOINED, incident=old))
        return changes

    def _join(self, at: float, name: str, place: str, failure: Failure) -> list[IncidentChanged]:
        self._seen.add(place)
        self._failing.setdefault(place, set()).add(name)
        before = self._open.get(place)
        told = before or Incident(
            id=round(at * 1_000_000),
            started=at,
            stage=failure.stage,
            cause=failure.cause,
            place=place,
            servers=(name,),
            summary=failure.summary,
        )
        if told.cause is Cause.TUNNEL_LOST and failure.cause is not Cause.TUNNEL_LOST:
            # A lost tunnel is what is seen first; why it does not come back says more.
            told = msgspec.structs.replace(
                told, stage=failure.stage, cause=failure.cause, summary=failure.summary
            )
        if name not in told.servers:
            told = msgspec.structs.replace(told, servers=(*told.servers, name))
        self._open[place] = told
        change = Change.JOINED if before else Change.OPENED
        return [] if told is before else [IncidentChanged(at=at, change=change, incident=told)]

    def _leave(self, at: float, name: str, why: str, but: str | None = None) -> list[IncidentChanged]:
        changes = []
        for place in [place for place, failing in self._failing.items() if name in failing and place != but]:
            self._failing[place].discard(name)
            if self._failing[place]:
                changes.append(IncidentChanged(at=at, change=Change.LEFT, incident=self._open[place]))
            else:
                changes.append(self._close(at, place, why if place in self._seen else UNWATCHED))
        return changes

    def _close(self, at: float, place: str, why: str) -> IncidentChanged:
        incident = self._open.pop(place)
        self._failing.pop(place)
        self._seen.discard(place)
        ended = max(at, incident.started)  # a clock that was stepped back makes no negative duration
        incident = msgspec.structs.replace(incident, ended=ended, ended_by=why)
        return IncidentChanged(at=at, change=Change.CLOSED, incident=incident)


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
