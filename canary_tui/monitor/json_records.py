"""Every JSON object that commands print and the log exports, one function each (docs/reference.md).

Names are a contract with scripts: they are only ever added to. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from canary_tui.monitor.events import FleetLoaded, IncidentChanged, ProbeFinished, TunnelChanged
from canary_tui.servers.fleet import BrokenServer

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import ProbeResult, StageResult
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.incidents import Incident
    from canary_tui.servers.model import Server
    from canary_tui.tunnels.audit import AuditReport

SCHEMA = 1
_NOT_PLAIN = re.compile(r"[^ -~]")


def json_line(record: Any) -> str:
    """Return a record as one line of JSON in ASCII: every terminal, locale and pipe takes it unchanged."""
    return _NOT_PLAIN.sub(_escape, msgspec.json.encode(record).decode())


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def iso_time(at: float) -> str:
    """Return Unix time as ISO 8601 in UTC with milliseconds and ``Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def probe_json(result: ProbeResult) -> dict[str, Any]:
    """Return one probe as the contract's JSON object, keys in the contract's order. Times in milliseconds."""
    failure = result.failure
    return {
        "schema": SCHEMA,
        "server": result.server,
        "ok": result.ok,
        "route": result.route.value,
        "started_at": iso_time(result.started_at),
        "total_ms": result.total_ms,
        "stages": [_stage_json(stage) for stage in result.stages],
        "failure": None
        if failure is None
        else {
            "stage": failure.stage.value,
            "cause": failure.cause.value,
            "summary": failure.summary,
            "remedies": list(failure.remedies),
            "detail": failure.detail,
        },
    }


def _stage_json(stage: StageResult) -> dict[str, Any]:
    entry: dict[str, Any] = {"stage": stage.stage.value, "ok": stage.ok, "ms": stage.ms}
    if stage.note:
        entry["note"] = stage.note
    return entry


def event_json(event: AnyEvent) -> dict[str, Any]:
    """Return an event as a JSON object: ``schema``, ``event``, ``at``, and what belongs to it.

    A probe is the contract's object under ``probe``; of the servers file only the names are told.
    """
    head = {"schema": SCHEMA, "event": event.__struct_config__.tag, "at": iso_time(event.at)}
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
        "schema": SCHEMA,
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


def server_json(server: Server | BrokenServer) -> dict[str, Any]:
    """Return a server as ``list --json`` writes it; of an entry with mistakes nothing that may be wrong."""
    if isinstance(server, BrokenServer):
        unknown: dict[str, Any] = dict.fromkeys(("enabled", "tags", "engine", "database", "ssh"))
        problems = [str(problem) for problem in server.problems]
        return {"schema": SCHEMA, "server": server.name, **unknown, "problems": problems}
    database, ssh = server.database, server.tunnel
    return {
        "schema": SCHEMA,
        "server": server.name,
        "enabled": server.enabled,
        "tags": list(server.tags),
        "engine": server.engine.value,
        "database": {
            "host": database.host,
            "port": database.port,
            "name": database.name,
            "user": database.user,
            "tls": database.tls.value if server.engine.facts.has_login else None,
        },
        "ssh": {
            "host": ssh.host,
            "port": ssh.port,
            "user": ssh.user,
            "listen": ssh.listen.value,
            "local_port": ssh.local_port,
        }
        if ssh
        else None,
    }


def audit_json(report: AuditReport) -> dict[str, Any]:
    """Return an audit as ``canary audit --json`` writes it."""
    return {
        "schema": SCHEMA,
        "server": report.server,
        "ok": report.ok,
        "checks": [
            {
                "check": check.check,
                "title": check.title,
                "wanted": check.wanted.value,
                "found": check.found.value,
                "ok": check.ok,
                "detail": check.detail,
            }
            for check in report.checks
        ],
        "findings": report.findings,
        "line": report.line,
    }
