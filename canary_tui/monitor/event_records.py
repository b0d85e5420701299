"""Events and incidents as JSON objects, as ``canary watch`` and ``canary incidents`` print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from canary_tui.monitor.events import FleetLoaded, IncidentChanged, ProbeFinished, TunnelChanged
from canary_tui.monitor.records import iso_time, probe_json

if TYPE_CHECKING:
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.incidents import Incident


def event_json(event: AnyEvent) -> dict[str, Any]:
    """Return an event as a JSON object: ``schema``, ``event``, ``at``, and what belongs to it.

    A probe is the contract's object under ``probe``; of the servers file only the names are told.
    """
    head = {"schema": 1, "event": event.__struct_config__.tag, "at": iso_time(event.at)}
    match event:
        case ProbeFinished():
            return head | {"probe": probe_json(event.result)}
        case FleetLoaded():
            return head | {
                "servers": [server.name for server in event.fleet.servers],
                "enabled": [server.name for server in event.fleet.servers if server.enabled],
                "broken": [
                    {"server": entry.name, "problems": [str(problem) for problem in entry.problems]}
                    for entry in event.fleet.broken
                ],
                "warnings": [str(warning) for warning in event.fleet.warnings],
            }
        case IncidentChanged():
            return head | {"change": event.change.value, "incident": incident_json(event.incident)}
        case TunnelChanged():
            retry_at = None if event.retry_at is None else iso_time(event.retry_at)
            return head | _plain(event) | {"retry_at": retry_at}
        case _:
            return head | _plain(event)


def incident_json(incident: Incident) -> dict[str, Any]:
    """Return an incident as a JSON object; ``ended`` and ``seconds`` are null while it goes on."""
    ended = incident.ended
    return {
        "schema": 1,
        "id": incident.id,
        "started": iso_time(incident.started),
        "ended": None if ended is None else iso_time(ended),
        "seconds": None if ended is None else round(ended - incident.started, 3),
        "stage": incident.stage.value,
        "cause": incident.cause.value,
        "place": incident.place,
        "servers": list(incident.servers),
        "summary": incident.summary,
        "ended_by": incident.ended_by,
    }


def _plain(event: AnyEvent) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return {key: value for key, value in fields.items() if key not in {"event", "at"}}
