"""Free memory, given back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GIVE_BACK_SECONDS = 60.0


async def keep_lean() -> None:
    """Give free memory back once a minute, until cancelled.

    The GNU C library keeps what was freed for itself while anything behind it is in use: a program that
    opens and closes connections for weeks would only ever grow (malloc_trim(3)).
    """
    trim = _malloc_trim()
    while trim is not None:
        await asyncio.sleep(GIVE_BACK_SECONDS)
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return the C library's own call; None where it has no such thing, as on musl and macOS."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
