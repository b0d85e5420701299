"""``canary log``."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

import click
import msgspec

from canary_tui.cli.common import Field, ServerName, load_fleet
from canary_tui.servers.model import parse_duration

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.monitor.board import LogLine
    from canary_tui.monitor.history.reader import HistoryReader
    from canary_tui.paths import Paths

PAGE = 1_000


@click.command("log")
@click.argument("name", required=False, type=ServerName())
@click.option(
    "--since",
    type=Field("time", parse_duration),
    default="1h",
    show_default=True,
    help="How far back, such as 90s, 30m, 2h or 3d.",
)
@click.option("--failures", is_flag=True, help="Only probes that failed.")
@click.option(
    "--json", "as_json", is_flag=True, help="Only probes, one JSON object a line (docs/reference.md)."
)
@click.pass_obj
def command(paths: Paths, name: str | None, since: float, failures: bool, as_json: bool) -> None:
    """Print what happened, oldest first: of all servers or of one, while the monitor runs or not."""
    from canary_tui.monitor.history.query import LogQuery
    from canary_tui.monitor.history.reader import HistoryReader
    from canary_tui.monitor.history.tables import history_file
    from canary_tui.monitor.json_records import json_line, probe_json

    reader = HistoryReader(history_file(paths))
    _check(paths, reader, name)
    printed = 0
    query = LogQuery(server=name or "", failures=failures, after=time.time() - since, limit=PAGE)
    while page := reader.lines(query):
        for line in page:
            if not as_json:
                click.echo(in_words(line))
            elif line.result is not None:
                click.echo(json_line(probe_json(line.result)))
        printed += len(page)
        query = msgspec.structs.replace(query, after=page[-1].at)
    if not printed:
        click.echo("The history has nothing of that; canary and canary watch keep it.", err=True)


def in_words(line: LogLine) -> str:
    """Return a line of the log for a person."""
    at = datetime.fromtimestamp(line.at).astimezone()
    said = line.text if line.result is None else _probe(line.result)
    return f"{at:%Y-%m-%d %H:%M:%S}  {line.server or '-':<16} {said}"


def _probe(result: ProbeResult) -> str:
    from canary_tui.diagnosis.catalogue import stage_title

    if result.failure is None:
        stages = "  ".join(f"{stage.stage} {stage.ms:.1f}" for stage in result.stages)
        return f"{click.style('✓', fg='green')} {result.total_ms:8.1f} ms  {stages}"
    words = f"{stage_title(result.failure.stage, direct=result.direct)}: {result.failure.summary}"
    return f"{click.style('✕', fg='red')} {words}"


def _check(paths: Paths, reader: HistoryReader, name: str | None) -> None:
    """A server that was removed has a past too; one that never was is a mistake."""
    if name is not None and name not in reader.servers() and load_fleet(paths).find(name) is None:
        raise click.UsageError(f"there is no server {name!r}, and the history knows of none")
