"""The event loop that the monitor runs on."""

from __future__ import annotations

import asyncio
import asyncio.selector_events

from canary_tui.monitor.quiet import to_the_log

READ_BYTES = 64 * 1024
"""How much is asked for by each read: two of an SSH server's largest packets."""


def new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that reads in small pieces and keeps what libraries report off the screen."""
    # asyncio sets 256 KiB aside for each read and gives back what was not needed. Over hours of small
    # reads that tears the heap into pieces, and the process grows; there is no other way to say it.
    transport = getattr(asyncio.selector_events, "_SelectorTransport", None)
    if transport is not None:
        transport.max_size = READ_BYTES
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(to_the_log)
    return loop
