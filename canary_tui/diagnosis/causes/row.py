"""What a cause is: one row with its stage, its words, its remedies and when to retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.lines import Line, Slot
from canary_tui.diagnosis.stages import Cause, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.diagnosis.causes.retries import RetryPolicy


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
    remedies: tuple[Line | Slot, ...]
    """All that fit are shown, likeliest first; what the server's engine says itself stands at its slots."""
    look_at: tuple[Line, ...] = ()
    """The setting to look at, for whoever runs the other side. The first that fits is shown; if none does,
    the one for the stage (``stage_words.py``)."""
    engine: str = ""
    """The only engine that fails like this, so that the row's sentences may be for it alone. Empty: any."""
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
        """Every sentence of this cause that is not an engine's."""
        yield from self.summary
        yield from (line for line in self.remedies if isinstance(line, Line))
        yield from self.look_at
