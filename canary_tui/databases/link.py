"""What a probe needs of a database engine, and what an engine needs of the way to it."""

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
    ``local_address()`` and is joined to the connection where it stands.
    """

    async def send(self, data: bytes) -> None:
        """Send bytes to the database."""

    async def peek(self, count: int) -> bytes:
        """Wait until ``count`` bytes from the database are there and return them, still unread.

        Fewer when the database closed the connection first.
        """

    async def receive(self, count: int) -> bytes:
        """Like ``peek``, and take them."""

    def inspect(self, call: Callable[[bytes], None]) -> None:
        """Show each piece from the database to ``call`` before the driver sees it.

        An OSError that it raises ends the connection; the piece is not passed on.
        """

    async def local_address(self) -> tuple[str, int]:
        """Start listening on loopback for exactly one connection, the driver's; (host, port)."""

    def expect_answer(self) -> None:
        """Count anew how much the database may send: each query's answer has that limit for itself."""


class DatabaseSession(Protocol):
    """A user who is logged in, under the name ``canary-tui``; or, without a login, a port that answers."""

    async def query(self, text: str) -> None:
        """Run a query in the stage ``query`` and read its answer to the end, keeping nothing of it.

        It is read-only, and each statement is limited to the time that the server's probe may take.
        May be called again; after a failure, too, but where that has ended the connection the next one
        fails as well. Raises Failed; nothing that a driver raises comes through.
        """


class DatabaseClient(Protocol):
    """One engine: logs in over a link, is asked, says good-bye properly."""

    def session(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> AbstractAsyncContextManager[DatabaseSession]:
        """Return a session that goes through ``database``, ``tls`` (only where used), ``login`` when entered.

        ``had_tls``: this database has been seen with TLS. One that offers none now is ``tls_downgraded``,
        before a user's name or a password is sent, unless ``tls: disable`` says that none is wanted.

        Leaving says good-bye in the last stage, also after a Failed, and closes the connection. The
        caller finishes the trace and sets the limit of time by cancelling: then nothing more is said.
        Entering raises Failed; nothing that a driver raises comes through.
        """

    def unsure(self, failed: Failed, server: Server) -> bool:
        """Whether a failure may have another cause, which a second connection would tell."""

    async def settle(self, link: Link, failed: Failed) -> Failed:
        """Return what a failure was, by what the server answers over a second connection. Raises Failed."""
