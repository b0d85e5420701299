"""Free memory, given back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GIVE_BACK_SECONDS = 60.0


async def keep_lean(littered: Callable[[], bool]) -> None:
    """Give free memory back once a minute, until cancelled.

    The GNU C library keeps what was freed for itself while anything behind it is in use: a program that
    opens and closes connections for weeks would only ever grow (malloc_trim(3)). Python lets garbage that
    refers to itself pile up to a quarter of what lives; ``littered`` says whether there is some, as lost
    connections leave it behind, for looking at all objects takes a tenth of a second.
    """
    trim = _malloc_trim()
    while True:
        await asyncio.sleep(GIVE_BACK_SECONDS)
        if littered():
            gc.collect()
        if trim is not None:
            trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return the C library's own call; None where it has no such thing, as on musl and macOS."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
