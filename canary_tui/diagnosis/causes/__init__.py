"""Every cause, each with one row that says everything about it.

The tables by stage are built from the rows; nothing about a cause is written down twice. While a cause has
no row, or two, importing this package fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from canary_tui.diagnosis.causes import (
    database,
    forward,
    login,
    query,
    reaching,
    settings,
    ssh,
    ssh_login,
    tls,
)
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.stages import Cause, Stage

_ROWS = (
    *settings.ROWS,
    *reaching.ROWS,
    *ssh.ROWS,
    *ssh_login.ROWS,
    *forward.ROWS,
    *database.ROWS,
    *tls.ROWS,
    *login.ROWS,
    *query.ROWS,
)


def by_cause(rows: Sequence[Row]) -> dict[Cause, Row]:
    """Return the row of each cause. Raises ValueError if one has none, or two."""
    found = [row.cause for row in rows]
    if wrong := [cause.value for cause in Cause if found.count(cause) != 1]:
        raise ValueError(f"not one row in diagnosis/causes: {', '.join(wrong)}")
    return {row.cause: row for row in rows}


ROWS: dict[Cause, Row] = by_cause(_ROWS)
"""The row of each cause, in the order of the manual."""

CAUSES_BY_STAGE: dict[Stage, tuple[Cause, ...]] = {
    stage: tuple(row.cause for row in _ROWS if row.stage is stage) for stage in Stage
}
"""The causes that usually occur at a stage, in the order of the manual."""

TIMEOUT_CAUSES: dict[Stage, Cause] = {stage: row.cause for row in _ROWS for stage in row.silence}
"""The cause of silence at a stage."""

CLOSED_CAUSES: dict[Stage, Cause] = {stage: row.cause for row in _ROWS for stage in row.closed}
"""The cause of a connection that is closed at a stage."""
