"""PostgreSQL through asyncpg, and asyncpg's errors as failures."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pgproto.pgproto import BufferError as TooShort

from canary_tui.databases.errors import STUMBLES, broken, lost, redacted, stumbled
from canary_tui.databases.postgresql.guard import Guard
from canary_tui.databases.postgresql.refusals import Refusal, cause_of
from canary_tui.databases.postgresql.wire import offers_tls
from canary_tui.databases.tls import context_for, why_unreadable
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.servers.model import TlsMode

if TYPE_CHECKING:
    from canary_tui.databases.link import Link
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret

    Connection = asyncpg.Connection[asyncpg.Record]

OWN_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError, TooShort, *STUMBLES)
"""What asyncpg raises by itself, without a word of the server's."""
GOODBYE = 0.5
"""Seconds that a server has to close the session after we said good-bye."""


class PostgreSQL:
    """Logs in over a link with asyncpg, runs the probe's query, says good-bye."""

    async def run(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> None:
        """See DatabaseClient.run."""
        mode = server.database.tls
        guard: Guard | None = None
        offered: bool | None = None
        try:
            trace.enter(Stage.DATABASE)
            if mode is not TlsMode.DISABLE:
                offered = await offers_tls(link)
                if not offered:
                    _without_tls(mode, trace, had_tls=had_tls)
                trace.enter(Stage.TLS if offered else Stage.LOGIN)
            context = context_for(server.database, trace) if offered else None
            guard = Guard(trace, why_unreadable(server.database, password, encrypted=context is not None))
            if context is None:
                link.inspect(guard.inspect)
            else:
                context.inspect = guard.inspect
            await _session(link, server, password, context, trace)
        except (OSError, asyncpg.PostgresError, *OWN_ERRORS) as error:
            if guard is not None and guard.refused is not None:
                raise guard.refused from None
            raise _translated(error, trace, password, tls_possible=offered is None) from None

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


def _without_tls(mode: TlsMode, trace: Trace, *, had_tls: bool) -> None:
    if mode.required or had_tls:
        trace.enter(Stage.TLS)
        cause = Cause.TLS_NOT_OFFERED if mode.required else Cause.TLS_DOWNGRADED
        raise Failed(cause, stage=Stage.TLS, detail="answered SSLRequest with 'N'")


async def _session(
    link: Link, server: Server, password: Secret | None, context: ssl.SSLContext | None, trace: Trace
) -> None:
    connection = await _log_in(link, server, password, context)
    try:
        # Confirms a tentative login first: it took place.
        trace.enter(Stage.LOGIN)
        trace.enter(Stage.QUERY)
        await connection.execute(guarded(server.probe.query, server.probe.timeout))
        await _say_goodbye(connection)
    finally:
        if not connection.is_closed():
            connection.terminate()
            # asyncpg was about to cancel the statement over a connection of its own; terminate() has
            # called that task off, and it needs one turn of the loop to be gone.
            await asyncio.sleep(0)


async def _log_in(
    link: Link, server: Server, password: Secret | None, context: ssl.SSLContext | None
) -> Connection:
    host, port = await link.local_address()
    user = server.user
    # Everything that asyncpg would otherwise take from PG* variables, ~/.pgpass and ~/.postgresql is given.
    connection: Connection = await asyncpg.connect(
        host=host,
        port=port,
        user=user,
        password=password.reveal() if password else "",
        database=server.database.name or user,
        ssl=context or False,
        # TLS begins with the first byte: the server has answered our SSLRequest already.
        direct_tls=context is not None,
        target_session_attrs=SessionAttribute.any,
        krbsrvname="postgres",
        gsslib="gssapi",
        statement_cache_size=0,
        # Every pooler knows this one. PgBouncer refuses the login for those that `guarded` sets.
        server_settings={"application_name": "canary-tui"},
    )
    return connection


def guarded(query: str, limit: float) -> str:
    """Return ``query`` in a read-only transaction that limits a statement to ``limit`` seconds.

    One message of the simple protocol, one round trip. Nothing outlives the transaction: behind a pooler
    that shares sessions a plain SET would make somebody else's session read-only.
    """
    return (
        "BEGIN READ ONLY; SET LOCAL default_transaction_read_only = on; "
        f"SET LOCAL statement_timeout = {max(1, round(limit * 1000))};\n{query}\n; ROLLBACK"
    )


async def _say_goodbye(connection: Connection) -> None:
    try:
        await connection.close(timeout=GOODBYE)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # TimeoutError is an OSError
        return  # The probe has its answer; how the session ends does not change it.


def _translated(error: Exception, trace: Trace, password: Secret | None, *, tls_possible: bool) -> Failed:
    """Return the failure that an error of the server's, of the connection or of asyncpg stands for."""
    if isinstance(error, asyncpg.PostgresConnectionError):
        return _disconnected(error, trace, password)
    if isinstance(error, asyncpg.PostgresError):
        return refused(error, trace.stage, password, tls_possible=tls_possible)
    return broken(error, trace) if isinstance(error, OSError) else _misunderstood(error, trace, password)


def refused(
    error: asyncpg.PostgresError, stage: Stage, password: Secret | None, *, tls_possible: bool
) -> Failed:
    """Return the failure that an error of the server stands for.

    ``tls_possible``: the connection is not encrypted and the server was not asked whether it could be.
    """
    detail = redacted(str(error), password) or type(error).__name__
    routine = getattr(error, "server_source_function", None) or ""
    cause = cause_of(Refusal(error.sqlstate or "", routine, detail), stage, tls_possible=tls_possible)
    if cause is Cause.PASSWORD_REJECTED and password is None:
        return Failed(Cause.PASSWORD_MISSING, stage=Stage.LOGIN, detail=detail)
    return Failed(cause, detail=detail)


def _disconnected(error: asyncpg.PostgresError, trace: Trace, password: Secret | None) -> Failed:
    """A connection that ended, with the server's last words where asyncpg kept them.

    SQLSTATE class 08 is asyncpg's own word for that, and PgBouncer's for all that it refuses.
    """
    last_words = error.__cause__
    if isinstance(last_words, asyncpg.PostgresError):
        return refused(last_words, trace.stage, password, tls_possible=False)
    if isinstance(error, asyncpg.ConnectionDoesNotExistError):
        return broken(error, trace)
    return refused(error, trace.stage, password, tls_possible=False)


def _misunderstood(error: Exception, trace: Trace, password: Secret | None) -> Failed:
    """An error of asyncpg's own: a login method that it cannot do, an end, or words that make no sense."""
    text = redacted(str(error), password)
    if "authentication method" in text.lower() or "asyncpg[gssauth]" in text:
        return Failed(Cause.AUTH_METHOD_UNSUPPORTED, detail=text)
    if "server_version" in text:
        return Failed(
            Cause.WRONG_PROTOCOL, stage=Stage.LOGIN, detail="said no version at the end of the login"
        )
    if "server signature" in text:
        detail = "its proof that it knows the password is wrong (RFC 5802 §3)"
        return Failed(Cause.WRONG_PROTOCOL, stage=Stage.LOGIN, detail=detail)
    if isinstance(error, asyncpg.InterfaceError) and "closed" in text:
        return lost(trace, text)
    return stumbled(error, password)
