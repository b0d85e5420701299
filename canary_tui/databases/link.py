"""What a probe needs from a database engine, and what an engine needs from the connection to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from canary_tui.diagnosis.stages import Failed
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret


class Link(Protocol):
    """One open connection to the database, whose first bytes are ours and the rest the driver's.

    The engine speaks the first words itself (does the server offer TLS?), so that one connection
    is enough and nothing is sent before it is known to be safe. Then the driver connects to
    ``local_address()`` and takes over the connection from that point.
    """

    async def send(self, data: bytes) -> None:
        """Send bytes to the database."""

    async def peek(self, count: int) -> bytes:
        """Wait for ``count`` bytes from the database and return them without consuming them.

        Returns fewer if the database closes the connection first.
        """

    async def receive(self, count: int) -> bytes:
        """Like ``peek``, but consume them."""

    def inspect(self, call: Callable[[bytes], None]) -> None:
        """Show each piece from the database to ``call`` before the driver sees it.

        An OSError that it raises ends the connection; the piece is not passed on.
        """

    async def local_address(self) -> tuple[str, int]:
        """Listen on loopback for exactly one connection, the driver's; return (host, port)."""

    def expect_answer(self) -> None:
        """Reset the limit on what the database may send: it applies to each query's answer."""


class DatabaseSession(Protocol):
    """A logged-in user, under the name ``canary-tui``; or, without a login, a port that answers."""

    async def query(self, text: str) -> None:
        """Run a query in the stage ``query`` and read its answer to the end, keeping nothing of it.

        It is read-only, and each statement is limited to the server's probe timeout. May be called again,
        even after a failure; if that failure ended the connection, the next call fails as well. Raises
        Failed, and never an exception of the driver's.
        """


class DatabaseClient(Protocol):
    """One engine: logs in over a link, runs queries, closes the session properly."""

    def session(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> AbstractAsyncContextManager[DatabaseSession]:
        """Return a session that goes through ``database``, ``tls`` (only where used), ``login`` when entered.

        ``had_tls``: this database has offered TLS before. If it offers none now, that is ``tls_downgraded``,
        raised before a user name or a password is sent, unless ``tls: disable`` is set.

        Leaving closes the session properly within the last stage, even after a Failed, and closes the
        connection. The caller finishes the trace, and enforces the timeout by cancelling: then nothing more
        is sent. Entering raises Failed, and never an exception of the driver's.
        """

    def unsure(self, failed: Failed, server: Server) -> bool:
        """Whether a failure may have another cause, which a second connection would reveal. It may not."""
        del failed, server
        return False

    async def settle(self, link: Link, failed: Failed) -> Failed:
        """Return the true failure, from what the server answers over a second connection. Raises Failed.

        Asked only where it is ``unsure``.
        """
        del link
        return failed
