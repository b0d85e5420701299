"""Incidents as lines: what broke, when, for how long, whom it hit, what ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.monitor.durations import duration_words
from canary_tui.tui.presenters.lines import Line, Tone, clip, fill, line, wrap
from canary_tui.tui.presenters.words import cause_words, day_words, stage_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary_tui.monitor.incidents import Incident

NONE_KNOWN = (
    line("No incident is known."),
    line(("What breaks from now on is listed here: when, for how long, and what ended it.", Tone.MUTED)),
)
SERVERS_WIDTH = 30
"""Cells that the servers' names take at most, so that the end is still seen."""


def length(incident: Incident, now: float) -> str:
    """Return how long an incident took, or has taken until now: ``2 m 5 s``."""
    return duration_words((now if incident.ended is None else incident.ended) - incident.started)


def incident_line(incident: Incident, now: float) -> Line:
    """Return one line of the list: sign, start, duration, stage and cause, servers, end."""
    open_still = incident.ended is None
    tone = Tone.BAD if open_still else Tone.PLAIN
    return line(
        ("✕ " if open_still else "✓ ", Tone.BAD if open_still else Tone.MUTED),
        (day_words(incident.started), Tone.MUTED),
        "  ",
        fill(length(incident, now), 10, right=True),
        "  ",
        (f"{stage_words(incident.stage, direct=incident.direct)} · {cause_words(incident.cause)}", tone),
        "  ",
        (clip(", ".join(incident.servers), SERVERS_WIDTH), Tone.STRONG),
        "  ",
        ("open" if open_still else incident.ended_by, Tone.BAD if open_still else Tone.MUTED),
    )


def incident_lines(incident: Incident, now: float, width: int) -> list[Line]:
    """Return everything about the incident under the cursor, wrapped."""
    said = [line((text, Tone.PLAIN)) for text in wrap(f"{incident.place}: {incident.summary}", width)]
    span = length(incident, now)
    end = f"open for {span}" if incident.ended is None else f"took {span}; {incident.ended_by}"
    who = f"{', '.join(incident.servers)}: {end}"
    return said + [line((text, Tone.MUTED)) for text in wrap(who, width)]


def counted(incidents: Sequence[Incident]) -> Line:
    """Return the title's summary: ``12 incidents  ✕ 1 open``."""
    going_on = sum(incident.ended is None for incident in incidents)
    count = f"{len(incidents)} incident{'' if len(incidents) == 1 else 's'}"
    return line((count, Tone.MUTED), (f"  ✕ {going_on} open" if going_on else "", Tone.BAD))
