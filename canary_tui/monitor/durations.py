"""Spans of time in words."""

from __future__ import annotations

UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def duration_words(seconds: float) -> str:
    """Return a span as its two largest units: ``8 s``, ``2 m 5 s``, ``3 h``, ``12 d 4 h``."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break  # 1 d 3 s says less than 1 d
    return " ".join(parts[:2]) or "0 s"
