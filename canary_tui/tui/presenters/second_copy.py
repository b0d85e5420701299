"""What a copy that does not monitor says, and what it does not offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.tui.presenters.lines import Line, Tone, line, width_of

if TYPE_CHECKING:
    from canary_tui.monitor.board import Snapshot
    from canary_tui.monitor.lock import Holder

ELSEWHERE = "Do it there, or with a canary command in a shell."
MARK = "view only"
"""Stands in every screen's title."""

NEEDS_MONITOR = frozenset(
    {"add", "edit", "delete", "undo", "save", "test", "again", "open_close", "retry", "probe"}
    | {"host_key", "password", "audit", "rotate", "try_keys", "give_up"}
)
"""Actions of the screens that only the process that monitors can do."""


def refusal(holder: Holder, now: float) -> str:
    """Return why a key does nothing here."""
    return f"{holder.words(now)}; this copy only shows. {ELSEWHERE}"


def taken_over(holder: Holder) -> str:
    """Return what is said when this copy monitors from now on."""
    return f"{holder.who} has ended: this copy monitors now."


def banner(snapshot: Snapshot, now: float, width: int) -> list[Line]:
    """Return who monitors, in one line of ``width`` cells, and why nothing can be read of that, if so."""
    holder = snapshot.monitored_by
    if holder is None:
        return []
    who = holder.words(now)
    ways = (
        f"{who}; this copy shows what it writes.",
        f"{who}; {MARK}.",
        f"{who}.",
        f"{holder.short_words(now)}.",
        f"{holder.who} monitors.",
    )
    lines = [_first_that_fits([line((words, Tone.WARN)) for words in ways], width)]
    if snapshot.unread:
        known = [
            line(("✕ ", Tone.BAD), f"Nothing is known{of}: {snapshot.unread}")
            for of in (" of the servers", "")
        ]
        lines.append(_first_that_fits(known, width))
    return lines


def _first_that_fits(ways: list[Line], width: int) -> Line:
    """Return the first that is no wider than ``width``, or else the last."""
    return next((words for words in ways if width_of(words) <= width), ways[-1])
