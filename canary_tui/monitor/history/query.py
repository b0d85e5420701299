"""Which lines of the log are asked for, from the screens and commands down to the SQL."""

from __future__ import annotations

import msgspec


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the log, which is given oldest line first.

    It is the newest lines before ``before`` (Unix time); with ``after`` alone, the first ones after it. A
    line's ``at`` is exact: as ``before`` or ``after`` of the next query it is where to go on, and no line is
    missed or met twice.
    """

    server: str = ""
    """Only lines of this server; empty: of all."""
    failures: bool = False
    """Only probes that failed."""
    text: str = ""
    """Only lines that hold each of these words, in the server's name, the line or the failure."""
    before: float | None = None
    after: float | None = None
    limit: int = 200
    """How many lines at most."""


NEWEST = LogQuery()
"""The newest lines of all servers."""
