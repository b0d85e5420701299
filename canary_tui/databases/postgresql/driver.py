"""asyncpg: how it is called, what it keeps, and what its errors mean. Nothing else here knows it.

tests/servers/test_drivers.py holds what is taken for granted of its inside.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pgproto.pgproto import BufferError as TooShort

from canary_tui.databases.errors import STUMBLES, broken, lost, redacted, stumbled
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    import ssl

    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret

    Connection = asyncpg.Connection[asyncpg.Record]

GOODBYE = 0.5
"""Seconds that a server has to close the session after we said good-bye."""
OWN_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError, TooShort, *STUMBLES)
"""What asyncpg raises by itself, without a word of the server's."""
ERRORS = (OSError, asyncpg.PostgresError, asyncpg.PostgresWarning, *OWN_ERRORS)


async def log_in(
    address: tuple[str, int], server: Server, password: Secret | None, context: ssl.SSLContext | None
) -> Connection:
    """Log in at ``address``. Raises one of ``ERRORS``.

    Everything that asyncpg would otherwise take from PG* variables, ~/.pgpass and ~/.postgresql is given.
    """
    connection: Connection = await asyncpg.connect(
        host=address[0],
        port=address[1],
        user=server.user,
        password=password.reveal() if password else "",
        database=server.database.name or server.user,
        ssl=context or False,
        # TLS begins with the first byte: the server has answered our SSLRequest already.
        direct_tls=context is not None,
        target_session_attrs=SessionAttribute.any,
        krbsrvname="postgres",
        gsslib="gssapi",
        statement_cache_size=0,
        # Every pooler knows this one. PgBouncer refuses the login for those that a query sets.
        server_settings={"application_name": "canary-tui"},
    )
    return connection


def is_console(connection: Connection) -> bool:
    """Whether this is PgBouncer's own console, which says so in its version: ``1.18.0/bouncer``."""
    return str(connection.get_settings().server_version).endswith("/bouncer")


async def say_goodbye(connection: Connection) -> None:
    """End a session in order, in ``GOODBYE`` seconds at most; how it ends changes no answer of it."""
    try:
        if connection.is_in_transaction():
            # A pooler drops its own session with the database when its client leaves in a transaction.
            await connection.execute("ROLLBACK", timeout=GOODBYE)
        await connection.close(timeout=GOODBYE)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # TimeoutError is an OSError
        return


async def drop(connection: Connection) -> None:
    """Close a session now, in whatever state it is."""
    if not connection.is_closed():
        connection.terminate()
        # asyncpg was about to cancel the statement over a connection of its own; terminate() has
        # called that task off, and it needs one turn of the loop to be gone.
        await asyncio.sleep(0)


def failure_of(error: Exception, trace: Trace, password: Secret | None) -> Failed:
    """Return the failure that one of ``ERRORS`` stands for where the server sent no error."""
    if isinstance(error, (OSError, asyncpg.PostgresError, asyncpg.PostgresWarning)):
        return broken(error, trace)
    return _misunderstood(error, trace, password)


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
