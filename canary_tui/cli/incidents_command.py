"""``canary incidents``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from canary_tui.monitor.incidents import Incident
    from canary_tui.paths import Paths


@click.command("incidents")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line (docs/reference.md).")
@click.pass_obj
def command(paths: Paths, as_json: bool) -> None:
    """List what broke, oldest first: when, for how long, which servers, and what ended it."""
    from canary_tui.monitor.history.reader import HistoryReader
    from canary_tui.monitor.history.tables import history_file
    from canary_tui.monitor.json_records import incident_json, json_line

    incidents = HistoryReader(history_file(paths)).incidents(limit=None)
    for incident in reversed(incidents):
        click.echo(json_line(incident_json(incident)) if as_json else _words(incident))
    if not incidents:
        click.echo("No incident is known. canary and canary watch keep a history.", err=True)


def _words(incident: Incident) -> str:
    from canary_tui.diagnosis.catalogue import stage_title
    from canary_tui.monitor.durations import duration_words

    started = datetime.fromtimestamp(incident.started).astimezone()
    if incident.ended is None:
        length, end = "open", click.style("it goes on", fg="red")
    else:
        length, end = duration_words(incident.ended - incident.started), incident.ended_by
    return "\n".join(
        (
            f"{started:%Y-%m-%d %H:%M:%S}  {length:<12} {incident.place}",
            f"    {stage_title(incident.stage, direct=incident.direct)}: {incident.summary}",
            f"    {', '.join(incident.servers)}: {end}",
        )
    )
