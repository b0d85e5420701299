"""What the JSON of ``--json`` has in it is what ``docs/reference.md`` says."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from canary_tui.monitor import events
from canary_tui.monitor.incidents import Change
from canary_tui.monitor.json_records import audit_json, event_json, incident_json
from canary_tui.servers.fleet import Fleet
from tests.screens import samples

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text("utf-8")
HEAD = {"schema", "event", "at"}
OF_THEIR_OWN: dict[str, events.AnyEvent] = {
    "probe_finished": events.ProbeFinished(at=1.0, result=samples.refused()),
    "fleet_loaded": events.FleetLoaded(at=1.0, fleet=Fleet(servers=(samples.server(),))),
    "incident_changed": events.IncidentChanged(at=1.0, change=Change.OPENED, incident=samples.incident("a")),
    "tunnel_changed": events.TunnelChanged(at=1.0, server="a", state=events.TunnelState.UP),
}
"""Events that are not told field by field."""


def section(title: str) -> str:
    """Return a part of the reference."""
    return REFERENCE.partition(f"### `{title}`")[2].partition("\n### ")[0]


def shown(title: str) -> dict[str, Any]:
    """Return the example of a command's JSON."""
    example: dict[str, Any] = json.loads(section(title).split("```json")[1].split("```")[0])
    return example


def kinds(record: dict[str, Any]) -> dict[str, type]:
    """Return a record's keys in their order, and what each is."""
    return {key: type(value) for key, value in record.items()}


def test_an_incident() -> None:
    record = incident_json(samples.incident("a", "b", ended=samples.NOW))
    assert kinds(record) == kinds(shown("canary incidents --json"))


def test_an_audit() -> None:
    record, example = audit_json(samples.audit_report()), shown("canary audit --json")
    assert kinds(record) == kinds(example)
    assert kinds(record["checks"][0]) == kinds(example["checks"][0])


@pytest.mark.parametrize("kind", typing.get_args(events.AnyEvent))
def test_an_event(kind: Any) -> None:
    tag = kind.__struct_config__.tag
    (row,) = re.findall(rf"^\| `{tag}` \| (.*) \|$", section("canary watch --json"), re.MULTILINE)
    # Words in brackets and after a colon say what a field is; the fields themselves stand before.
    named = set(re.findall(r"`([a-z_]+)`", re.sub(r"\(.*?\)|:[^,|]*", "", row)))
    one = OF_THEIR_OWN.get(tag)
    fields = set(event_json(one)) - HEAD if one else set(kind.__struct_fields__) - {"at"}
    assert named == fields
