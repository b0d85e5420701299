"""Log lines as JSON Lines or CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Stage
from canary_tui.monitor.records import iso_time, probe_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from canary_tui.diagnosis.stages import ProbeResult


def json_lines(results: Iterable[ProbeResult]) -> str:
    """Return one JSON object a line, as ``canary probe --json`` prints them."""
    encode = msgspec.json.Encoder().encode
    return "".join(encode(probe_json(result)).decode() + "\n" for result in results)


def csv_table(results: Iterable[ProbeResult]) -> str:
    """Return a table with one line a probe and one column a stage (milliseconds; empty: not run)."""
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
        writer.writerow([*head, result.total_ms, *said, *(times.get(stage, "") for stage in stages)])
    return out.getvalue()


def exported(results: Iterable[ProbeResult], file_name: str) -> str:
    """Return the text for a file of that name: CSV for ``.csv``, else JSON Lines."""
    return csv_table(results) if file_name.lower().endswith(".csv") else json_lines(results)
