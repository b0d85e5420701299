"""Keys, typed faster than the screen."""

from __future__ import annotations

import asyncio
from typing import Any

from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from tests.screens.conftest import until


def key(name: str) -> events.Key:
    """Return what the terminal's driver makes of a key."""
    if len(name) > 1:
        return events.Key(name, None)
    return events.Key(name if name.isalnum() else _character_to_key(name), name)


async def typed(pilot: Pilot[Any], *keys: str, gap: float | None = None) -> None:
    """Type keys, all at once or ``gap`` seconds apart, and wait until they have been carried out."""
    driver = pilot.app._driver
    assert driver is not None
    for name in keys:
        event = key(name)
        event.set_sender(pilot.app)
        driver.send_message(event)
        if gap is not None:
            await asyncio.sleep(gap)
    gate = getattr(pilot.app, "keys")  # noqa: B009 - of whichever application
    await asyncio.sleep(0.01)
    await until(pilot, lambda: gate.idle or pilot.app._exit)
