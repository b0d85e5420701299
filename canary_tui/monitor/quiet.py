"""What libraries report to the event loop beside the errors that they raise."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

log = logging.getLogger(__name__)


def to_the_log(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle a loop's exceptions: to the log at level debug, not to the screen.

    asyncpg reports garbage from a server to the loop as well as to its caller, whose probe names it.
    """
    log.debug("%s", context.get("message"), exc_info=context.get("exception"))
