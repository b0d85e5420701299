"""What SQL breaks and mends in a case of the matrix of failures."""

from __future__ import annotations

from canary_tui.servers.model import Engine
from tests.servers.failure_case import FailureCase


def sql(case: FailureCase, engine: Engine, broken: str, mended: str) -> None:
    """Break something by SQL, and mend it at the end, whatever the remedy did."""
    case.database(engine).execute(broken)
    case.undo(case.database(engine).execute, mended)
