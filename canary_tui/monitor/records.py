"""Records in the contract's JSON: what ``canary probe --json`` prints and the log exports."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import ProbeResult, StageResult


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
        "schema": 1,
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
    if stage.hop:
        entry["hop"] = stage.hop
    return entry
