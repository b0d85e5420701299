"""Any service behind a TCP port: checks that the port answers, and shows what the service says first."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Self

from canary_tui.databases.link import DatabaseClient
from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    from canary_tui.databases.link import Link
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret

LISTEN_SECONDS = 0.25
"""How long to wait for a greeting, or the end of the connection. Most services say nothing unasked."""
SHOWN_BYTES = 200
"""How much of a greeting is shown."""


class Tcp(DatabaseClient):
    """Takes each failure as it is: a second connection would reveal nothing new."""

    def session(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> TcpSession:
        """See DatabaseClient.session."""
        del server, password, had_tls
        return TcpSession(link, trace)


class TcpSession:
    """Listens for a moment and hangs up without sending anything: its only stage is ``database``."""

    def __init__(self, link: Link, trace: Trace) -> None:
        self._link = link
        self._trace = trace

    async def __aenter__(self) -> Self:
        """Return once the port has answered; raise Failed if it closes the connection at once.

        An open connection is an answer. The time spent listening does not count as the probe's, since most
        services stay silent.
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
        """Send nothing: the protocol is unknown, so there is no proper way to close."""

    async def query(self, text: str) -> None:
        """Send nothing: the protocol is unknown."""


async def _closed_within(link: Link, seconds: float) -> bool:
    """Wait for the end of the connection; the link ends one that sends more than it may."""
    try:
        async with asyncio.timeout(seconds):
            await link.peek(sys.maxsize)
    except TimeoutError:
        return False
    return True


def _words(said: bytes) -> str:
    """Return what the service said, as text for a person; empty if it said nothing."""
    if not said:
        return ""
    words = Source.DATABASE_ERROR.text(said[:SHOWN_BYTES])
    return f"it says: {words or 'nothing that can be shown'}"
