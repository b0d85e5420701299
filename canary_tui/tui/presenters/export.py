"""Log lines as JSON Lines or CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from canary_tui.diagnosis.printable import one_line
from canary_tui.diagnosis.stages import Stage
from canary_tui.monitor.json_records import iso_time, json_line, probe_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from canary_tui.diagnosis.stages import ProbeResult


def json_lines(results: Iterable[ProbeResult]) -> str:
    """Return one JSON object a line, as ``canary probe --json`` prints them."""
    return "".join(json_line(probe_json(result)) + "\n" for result in results)


def csv_table(results: Iterable[ProbeResult]) -> str:
    """Return a table with one line a probe and one column a stage (milliseconds; empty: not run).

    A spreadsheet takes what begins with ``=``, ``+``, ``-`` or ``@`` for a formula: an apostrophe is put
    before it.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    stages = list(Stage)
    writer.writerow(
        [
            "started_at",
            "server",
            "ok",
            "route",
            "total_ms",
            "stage",
            "cause",
            "summary",
            *(f"{s}_ms" for s in stages),
        ]
    )
    for result in results:
        failure = result.failure
        times = {stage.stage: stage.ms for stage in result.stages}
        said = [failure.stage.value, failure.cause.value, failure.summary] if failure else ["", "", ""]
        head = [iso_time(result.started_at), result.server, str(result.ok).lower(), result.route.value]
        writer.writerow(
            [
                *map(_text, head),
                result.total_ms,
                *map(_text, said),
                *(times.get(stage, "") for stage in stages),
            ]
        )
    return out.getvalue()


def _text(cell: str) -> str:
    line = one_line(cell)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def exported(results: Iterable[ProbeResult], file_name: str) -> str:
    """Return the text for a file of that name: CSV for ``.csv``, else JSON Lines."""
    return csv_table(results) if file_name.lower().endswith(".csv") else json_lines(results)
