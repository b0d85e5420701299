"""Any service behind a TCP port: the port answers, and what is said first is shown."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Self

from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    from canary_tui.databases.link import Link
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret

LISTEN_SECONDS = 0.25
"""How long a greeting, or the end of the connection, is waited for. Most services say nothing unasked."""
SHOWN_BYTES = 200
"""How much of a greeting is shown."""


class Tcp:
    """See DatabaseClient."""

    def session(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> TcpSession:
        """See DatabaseClient.session."""
        del server, password, had_tls
        return TcpSession(link, trace)

    def unsure(self, failed: Failed, server: Server) -> bool:
        """See DatabaseClient.unsure: a second connection would tell nothing new."""
        del failed, server
        return False

    async def settle(self, link: Link, failed: Failed) -> Failed:
        """See DatabaseClient.settle."""
        del link
        return failed


class TcpSession:
    """Listens for a moment, and hangs up without a word: its only stage is ``database``."""

    def __init__(self, link: Link, trace: Trace) -> None:
        self._link = link
        self._trace = trace

    async def __aenter__(self) -> Self:
        """Return when the port has answered; raise Failed where it closes the connection at once.

        It answers as soon as the connection stands: what is listened on is no time of the probe's, and
        silence is what most services do.
        """
        self._trace.enter(Stage.DATABASE)
        self._trace.settle()
        said = bytearray()
        self._link.inspect(said.extend)
        with self._trace.paused():
            closed = await _closed_within(self._link, LISTEN_SECONDS)
        words = _words(bytes(said))
        if closed:
            raise Failed(Cause.DATABASE_CLOSED_EARLY, detail=words)
        self._trace.note(words)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is said in any language, so no good-bye either."""

    async def query(self, text: str) -> None:
        """Ask nothing: nobody knows its language."""


async def _closed_within(link: Link, seconds: float) -> bool:
    """Wait for the end of the connection; the link ends one that sends more than it may."""
    try:
        async with asyncio.timeout(seconds):
            await link.peek(sys.maxsize)
    except TimeoutError:
        return False
    return True


def _words(said: bytes) -> str:
    """Return what was said, for a person; empty where nothing was."""
    if not said:
        return ""
    words = Source.DATABASE_ERROR.text(said[:SHOWN_BYTES])
    return f"it says: {words or 'nothing that can be shown'}"
