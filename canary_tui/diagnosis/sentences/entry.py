"""What the catalogue holds for one cause: a title, summaries and remedies, each for certain servers only."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Line(msgspec.Struct, frozen=True):
    """One sentence, and the tags that a failure must have for it to be said.

    A tag is an engine (``postgresql``, ``mysql``), a route (``tunnel``, ``direct``), a stage
    (``login``), a word that must be known (``has:pid``) or one that must not (``lacks:pid``).
    """

    text: str
    tags: frozenset[str] = frozenset()


class Entry(msgspec.Struct, frozen=True):
    """One cause. The first fitting summary is said, and every fitting remedy, likeliest first."""

    title: str
    """Two to four words, for a cell of a list."""
    summaries: tuple[Line, ...]
    remedies: tuple[Line, ...]

    def lines(self) -> Iterator[Line]:
        """Every sentence of this cause."""
        yield from self.summaries
        yield from self.remedies


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


def entry(title: str, summary: str | tuple[Line | str, ...], *remedies: Line | str) -> Entry:
    """Return a cause's entry; a plain string is said for every server."""
    summaries = (summary,) if isinstance(summary, str) else summary
    return Entry(title, tuple(map(_line, summaries)), tuple(map(_line, remedies)))


def _line(text: Line | str) -> Line:
    return text if isinstance(text, Line) else Line(text)
