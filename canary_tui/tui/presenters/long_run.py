"""What the history says of one server in words: uptime over all spans, percentiles over a chosen one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.presenters.words import ms_words, uptime_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary_tui.monitor.history.reader import Percentiles
    from canary_tui.monitor.uptime import Uptime

DAY = 86_400.0
SPANS: tuple[tuple[str, float], ...] = (("24 h", DAY), ("7 d", 7 * DAY), ("30 d", 30 * DAY))
"""What may be looked at, and how long it is, seconds."""


def uptime_line(uptimes: Sequence[Uptime | None]) -> Line:
    """Return the uptimes of ``SPANS``; what nobody watched is said to be unknown."""
    parts = [("uptime", Tone.MUTED)]
    for (words, _), uptime in zip(SPANS, uptimes, strict=True):
        parts += [(f"  {words} ", Tone.MUTED), (uptime_words(uptime, unknown="unknown"), Tone.PLAIN)]
    return line(*parts)


def latency_line(found: Percentiles | None, span: str) -> Line:
    """Return the percentiles of a span: ``span`` is one of the words of ``SPANS``."""
    if found is None:
        return line((f"latency {span}  ", Tone.MUTED), "unknown", (": no probe passed", Tone.MUTED))
    parts = [(f"latency {span}", Tone.MUTED)]
    for name, ms in (("p50", found.p50), ("p95", found.p95), ("p99", found.p99)):
        parts += [(f"  {name} ", Tone.MUTED), (ms_words(ms), Tone.PLAIN)]
    count = f"  of {found.count:,} probe{'' if found.count == 1 else 's'}"
    return line(*parts, (count, Tone.MUTED))
