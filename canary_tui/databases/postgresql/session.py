"""One session with PostgreSQL: the first words on the link, the login, and as many queries as are asked."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from canary_tui.databases.link import DatabaseClient
from canary_tui.databases.postgresql import driver
from canary_tui.databases.postgresql.guard import Guard
from canary_tui.databases.postgresql.refusals import refused
from canary_tui.databases.postgresql.wire import offers_tls
from canary_tui.databases.session import Session
from canary_tui.databases.tls import context_for, why_unreadable
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.servers.model import Engine, TlsMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.databases.link import Link
    from canary_tui.databases.tls import TunnelContext
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret


class PostgreSQL(DatabaseClient):
    """Looks a second time where PostgreSQL says the same of two failures."""

    def session(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> PostgresSession:
        """See DatabaseClient.session."""
        return PostgresSession(link, server, password, trace, had_tls=had_tls)

    def unsure(self, failed: Failed, server: Server) -> bool:
        """See DatabaseClient.unsure.

        A server that lets us in only with TLS, and one that has no line for us in pg_hba.conf, say the same.
        """
        return failed.cause is Cause.TLS_REQUIRED and server.database.tls is TlsMode.DISABLE

    async def settle(self, link: Link, failed: Failed) -> Failed:
        """Ask whether the server does TLS, which it cannot want where it has none."""
        if await offers_tls(link):
            return failed
        return Failed(Cause.DATABASE_HOST_NOT_ALLOWED, detail=failed.detail, stage=failed.stage)


class PostgresSession(Session):
    """Logged in with asyncpg."""

    _connection: driver.Connection

    def __init__(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> None:
        super().__init__(link, server, password, trace, had_tls=had_tls)
        self._guard = Guard(trace, why_unreadable(server.database, password, encrypted=False))

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except driver.ERRORS as error:
            raise (
                self._guard.refused
                or self._refused()
                or driver.failure_of(error, self._trace, self._password)
            ) from None

    def _refused(self) -> Failed | None:
        """The failure that the server's last error amounts to, if it sent one."""
        said, self._guard.said = self._guard.said, None
        tls_possible = self._server.database.tls is TlsMode.DISABLE
        if said is None:
            return None
        failed = refused(said, self._trace.stage, self._password, tls_possible=tls_possible)
        if self._guard.let_in and ROWS[failed.cause].password_helps:
            # Ours was right: it is a pooler that the database behind it does not let in.
            return Failed(Cause.DATABASE_UNAVAILABLE, detail=failed.detail)
        return failed

    async def _log_in(self) -> None:
        database = self._server.database
        context: TunnelContext | None = None
        if database.tls is not TlsMode.DISABLE and await self._begin_tls():
            context = context_for(database, self._trace)
            context.inspect = self._guard.inspect
            self._guard.unreadable = why_unreadable(database, self._password, encrypted=True)
        else:
            self._link.inspect(self._guard.inspect)
        address = await self._link.local_address()
        self._connection = await driver.log_in(address, self._server, self._password, context)

    async def _begin_tls(self) -> bool:
        """Ask for TLS; False where the server has none and the login may go on without."""
        mode = self._server.database.tls
        offered = await offers_tls(self._link)
        if not offered and (mode.required or self._had_tls):
            self._trace.enter(Stage.TLS)
            cause = Cause.TLS_NOT_OFFERED if mode.required else Cause.TLS_DOWNGRADED
            raise Failed(cause, stage=Stage.TLS, detail="answered SSLRequest with 'N'")
        self._trace.enter(Stage.TLS if offered else Stage.LOGIN)
        return offered

    async def _ask(self, text: str) -> None:
        self._guard.expect_answer()
        # What failed before has left its transaction open.
        begin = "ROLLBACK; " if self._connection.is_in_transaction() else ""
        if driver.is_console(self._connection):
            asked = of_console(text)
        else:
            asked = begin + guarded(text, self._server.probe.timeout)
        await self._connection.execute(asked)
        self._guard.said = None

    async def _say_goodbye(self) -> None:
        await driver.say_goodbye(self._connection)

    async def _drop(self) -> None:
        await driver.drop(self._connection)


def guarded(query: str, limit: float) -> str:
    """Return ``query`` in a read-only transaction that limits a statement to ``limit`` seconds.

    One message of the simple protocol, one round trip. Nothing outlives the transaction: behind a pooler
    that shares sessions a plain SET would make somebody else's session read-only.
    """
    return (
        "BEGIN READ ONLY; SET LOCAL default_transaction_read_only = on; "
        f"SET LOCAL statement_timeout = {max(1, round(limit * 1000))};\n{query}\n; ROLLBACK"
    )


def of_console(query: str) -> str:
    """Return what PgBouncer's console is asked: it knows no transaction, and only SHOW changes nothing.

    Raises Failed for any other query than SHOW and the usual one.
    """
    plain = query.strip(" ;\n")
    if plain.lower() == Engine.POSTGRESQL.facts.plainest_query:
        return "SHOW VERSION"
    if re.fullmatch(r"show\s[^;]*", plain, re.IGNORECASE):
        return plain
    raise Failed(Cause.QUERY_DENIED, detail="PgBouncer's console is asked nothing but SHOW, which only reads")
