"""What a cause is: one row with the stage it belongs to, its words, its remedies and when to try again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Cause, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.diagnosis.causes.retries import RetryPolicy


class Line(msgspec.Struct, frozen=True):
    """One sentence, and the tags that a failure must have for it to be said.

    A tag is an engine (``postgresql``, ``mysql``, ``tcp``), a route (``tunnel``, ``direct``), an SSH server's
    software (``openssh``, ``dropbear``), a stage (``login``), a word that must be known (``has:pid``) or one
    that must not (``lacks:pid``).
    """

    text: str
    tags: frozenset[str] = frozenset()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One cause. What has no default must be said of each; the defaults are what holds for most of them."""

    cause: Cause
    stage: Stage | None
    """Where it usually happens; None: anywhere."""
    retry: RetryPolicy
    title: str
    """Two to four words, for a cell of a list."""
    summary: tuple[Line, ...]
    """The first that fits is said; the last where none does."""
    remedies: tuple[Line, ...]
    """All that fit are said, likeliest first."""
    look_at: tuple[Line, ...] = ()
    """The setting to look at, for who runs the other side. The first that fits is said; where none does, what
    the catalogue knows of the stage."""
    silence: tuple[Stage, ...] = ()
    """The stages at which it is the name for silence until the time is over."""
    closed: tuple[Stage, ...] = ()
    """The stages at which it is the name for a connection that was closed."""
    doubts_tunnel: bool = False
    """A tunnel that only looks open does this to a probe."""
    no_room: bool = False
    """The SSH server has too many logins at a time: it says so, or closes before its version."""
    refuses_key: bool = False
    """The SSH server looked at our key and did not take it. (One is offered: with ``MaxAuthTries 1`` that was
    the one too many.)"""
    unsafe: bool = False
    """Nothing was sent because it was not safe. A client of the tunnel would send it, so it gets none."""
    password_helps: bool = False
    """Another password, given by hand, may help."""

    def lines(self) -> Iterator[Line]:
        """Every sentence of this cause."""
        yield from self.summary
        yield from self.remedies
        yield from self.look_at


def say(*lines: Line | str) -> tuple[Line, ...]:
    """Return sentences in their order; a plain string is said of every server."""
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
    """Return a sentence for OpenSSH, and for an SSH server that is not known to be another one."""
    return when("openssh", text)


def dropbear(text: str) -> Line:
    """Return a sentence for dropbear."""
    return when("dropbear", text)
