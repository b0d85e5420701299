"""The gate before an SSH server's logins, closed by others, and who waits at it."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from canary_tui.monitor.tools import Tools
    from tests.harness.sshd import Sshd


@asynccontextmanager
async def busy(tools: Tools, ssh: Sshd) -> AsyncIterator[None]:
    """As many logins as are let in are under way."""
    gate = tools.logins.gate(ssh.host, ssh.port)
    async with AsyncExitStack() as logins:
        for _ in range(gate.width):
            await logins.enter_async_context(gate.login())
        yield


def waiting(tools: Tools, ssh: Sshd) -> int:
    """How many wait for their turn."""
    return sum(map(len, tools.logins.gate(ssh.host, ssh.port)._waiting))
