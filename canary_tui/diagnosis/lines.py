"""A sentence that a failure is told with, and whom it is for."""

from __future__ import annotations

from enum import Enum
from typing import overload

import msgspec


class Line(msgspec.Struct, frozen=True):
    """One sentence, shown only for a failure that has all of its tags.

    A tag is a route (``tunnel``, ``direct``), an SSH server's software (``openssh``, ``dropbear``), a stage
    (``login``), a word that must be known (``has:pid``) or one that must not (``lacks:pid``). What is for one
    engine alone stands with that engine (``diagnosis/engines``).
    """

    text: str
    tags: frozenset[str] = frozenset()


class Slot(Enum):
    """A place in a cause's remedies for what the server's engine says itself (``EngineWords``)."""

    OWN = "own"
    """What it says of this cause alone."""
    LOG = "log"
    CERTIFICATE = "certificate"


@overload
def say(*pieces: Line | str) -> tuple[Line, ...]: ...


@overload
def say(*pieces: Line | str | Slot) -> tuple[Line | Slot, ...]: ...


def say(*pieces: Line | str | Slot) -> tuple[Line | Slot, ...]:
    """Return sentences in their order; a plain string is for every server."""
    return tuple(Line(piece) if isinstance(piece, str) else piece for piece in pieces)


def when(tags: str, text: str) -> Line:
    """Return a sentence for failures that have all of ``tags`` (separated by spaces)."""
    return Line(text, frozenset(tags.split()))


def tunnel(text: str) -> Line:
    """Return a sentence for a server behind an SSH server."""
    return when("tunnel", text)


def direct(text: str) -> Line:
    """Return a sentence for a server without a tunnel."""
    return when("direct", text)


def openssh(text: str) -> Line:
    """Return a sentence for OpenSSH, and for an SSH server whose software is not known."""
    return when("openssh", text)


def dropbear(text: str) -> Line:
    """Return a sentence for dropbear."""
    return when("dropbear", text)
