"""Errors as words and exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.defects import first_of, told
from canary_tui.diagnosis.catalogue import title
from canary_tui.diagnosis.printable import system_words
from canary_tui.diagnosis.stages import Failed
from canary_tui.servers.file import BadFile, NotSaved
from canary_tui.servers.system_keyring import KeyringUnavailable

if TYPE_CHECKING:
    from pathlib import Path


def in_words(error: BaseException, state: Path | None = None) -> tuple[str, int]:
    """Return what to print for an error, and the exit status.

    One that nobody has thought of is a defect; its details are kept in the folder ``state``.
    """
    error = first_of(error)
    if isinstance(error, Failed):
        return f"{title(error.cause)}: {error.detail}" if error.detail else title(error.cause), 1
    if isinstance(error, KeyringUnavailable):
        return str(error), 1
    if isinstance(error, BadFile | NotSaved):
        return str(error), 2
    if isinstance(error, OSError) and error.strerror:
        return system_words(error), 2
    if isinstance(error, MemoryError):
        return "no memory is left", 1
    return told(error, state), 1
