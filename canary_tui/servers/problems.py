"""What is wrong with ``servers.yaml``, and where."""

from __future__ import annotations

import msgspec

from canary_tui.diagnosis.printable import Source


class Problem(msgspec.Struct, frozen=True):
    """One mistake or warning: where it stands, what was found and what is allowed."""

    file: str
    line: int
    """From 1; 0 when it is about the file as a whole."""
    path: str
    """Such as ``servers[1].ssh.port``; empty when it is about no field."""
    message: str

    def __post_init__(self) -> None:
        # Keys, tags and aliases of the file stand in the path and in the message.
        for field, text in (
            ("file", Source.PATH.text(self.file)),
            ("path", Source.SETTINGS.text(self.path)),
            ("message", Source.SETTINGS.text(self.message)),
        ):
            msgspec.structs.force_setattr(self, field, text)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class BadFile(Exception):
    """``servers.yaml``, or the entry that was asked for, cannot be used; ``problems`` has every reason."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))
