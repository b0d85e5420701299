"""The few files that the screens write: what a person exports, and the choice of theme."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from canary_tui.diagnosis.printable import filtered
from canary_tui.paths import expanded, private_folder


class Choices(msgspec.Struct, frozen=True):
    """What the application remembers from one run to the next (``ui.json``)."""

    theme: str = ""


def read_choices(folder: Path) -> Choices:
    """Return what was remembered; the defaults when there is nothing, or nothing that can be read."""
    try:
        return msgspec.json.decode((folder / "ui.json").read_bytes(), type=Choices)
    except (OSError, msgspec.DecodeError):
        return Choices()


def write_choices(folder: Path, choices: Choices) -> None:
    """Remember ``choices``. Raises OSError."""
    private_folder(folder)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".ui-")
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(choices))
    Path(name).replace(folder / "ui.json")


def write_new(path: str, text: str) -> Path:
    """Write ``text`` to a file that is not there yet, mode 0600, and return its path.

    Raises FileExistsError rather than overwrite anything, and other OSErrors.
    """
    target = expanded(path)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(filtered(text))
    return target
