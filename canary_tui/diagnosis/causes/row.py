"""What a cause is: one row with its stage, its words, its remedies and when to retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Cause, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.diagnosis.causes.retries import RetryPolicy


class Line(msgspec.Struct, frozen=True):
    """One sentence, shown only for a failure that has all of its tags.

    A tag is an engine (``postgresql``, ``mysql``, ``tcp``), a route (``tunnel``, ``direct``), an SSH server's
    software (``openssh``, ``dropbear``), a stage (``login``), a word that must be known (``has:pid``) or one
    that must not (``lacks:pid``).
    """

    text: str
    tags: frozenset[str] = frozenset()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One cause. Fields without a default are required; the defaults are what holds for most causes."""

    cause: Cause
    stage: Stage | None
    """Where it usually occurs; None: anywhere."""
    retry: RetryPolicy
    title: str
    """Two to four words, for a cell of a list."""
    summary: tuple[Line, ...]
    """The first that fits is shown; the last if none does."""
    remedies: tuple[Line, ...]
    """All that fit are shown, likeliest first."""
    look_at: tuple[Line, ...] = ()
    """The setting to look at, for whoever runs the other side. The first that fits is shown; if none does,
    the one for the stage (``stage_words.py``)."""
    silence: tuple[Stage, ...] = ()
    """The stages at which a time-out is given this cause."""
    closed: tuple[Stage, ...] = ()
    """The stages at which a closed connection is given this cause."""
    doubts_tunnel: bool = False
    """A probe fails like this when its tunnel only looks open."""
    no_room: bool = False
    """The SSH server has too many logins at once: it says so, or closes before it sends its version."""
    refuses_key: bool = False
    """The SSH server looked at our key and rejected it. (Only one is offered: with ``MaxAuthTries 1`` even
    that was one too many.)"""
    unsafe: bool = False
    """Nothing was sent because it was not safe. A client of the tunnel would send it, so none is started."""
    password_helps: bool = False
    """Entering another password may help."""

    def lines(self) -> Iterator[Line]:
        """Every sentence of this cause."""
        yield from self.summary
        yield from self.remedies
        yield from self.look_at


def say(*lines: Line | str) -> tuple[Line, ...]:
    """Return sentences in their order; a plain string is for every server."""
    return tuple(text if isinstance(text, Line) else Line(text) for text in lines)


def when(tags: str, text: str) -> Line:
    """Return a sentence for failures that have all of ``tags`` (separated by spaces)."""
    return Line(text, frozenset(tags.split()))


def postgresql(text: str) -> Line:
    """Return a sentence for PostgreSQL."""
    return when("postgresql", text)


def mysql(text: str) -> Line:
    """Return a sentence for MySQL and MariaDB."""
    return when("mysql", text)


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
