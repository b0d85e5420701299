"""Errors as words and exit status."""

from __future__ import annotations

from canary_tui.diagnosis.catalogue import title
from canary_tui.diagnosis.printable import Source, one_line
from canary_tui.diagnosis.stages import Failed
from canary_tui.servers.file import BadFile, NotSaved
from canary_tui.servers.secrets import KeyringUnavailable


def in_words(error: Exception) -> tuple[str | None, int]:
    """Return what to print for an error and the exit status; None for one that is a defect."""
    if isinstance(error, BadFile):
        return str(error), 2
    if isinstance(error, Failed):
        return f"{title(error.cause)}: {error.detail}" if error.detail else title(error.cause), 1
    if isinstance(error, KeyringUnavailable):
        return str(error), 1
    if isinstance(error, NotSaved):
        return str(error), 2
    if isinstance(error, OSError):
        place = f"{Source.PATH.text(str(error.filename))}: " if error.filename else ""
        return f"{place}{one_line(error.strerror or str(error))}", 2
    return None, 1
