"""MySQL and MariaDB through aiomysql, and aiomysql's errors as failures."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

import aiomysql

from canary_tui.databases.errors import STUMBLES, broken, lost, redacted, stumbled
from canary_tui.databases.first_bytes import SSL_REQUEST
from canary_tui.databases.mysql.refusals import cause_of
from canary_tui.databases.mysql.session import GOODBYE, Session, new_session
from canary_tui.databases.mysql.wire import (
    HEADER,
    Greeting,
    Refusal,
    announces_greeting,
    read_greeting,
    retreat,
)
from canary_tui.databases.tls import context_for
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.servers.model import TlsMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.databases.link import Link
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret

PATIENCE = 0.8
"""The part of a probe's time after which a server that must speak first is asked who it is."""
OLD_LOGIN = "scramble_old_password"
"""What aiomysql looks for in PyMySQL when a server wants the login that is no longer there."""
LOST_CODES = frozenset({2003, 2006, 2013})


class MySQL:
    """Logs in over a link with aiomysql, runs the probe's query, says good-bye."""

    async def run(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> None:
        """See DatabaseClient.run."""
        mode = server.database.tls
        context = None if mode is TlsMode.DISABLE else context_for(server.database, trace)
        try:
            trace.enter(Stage.DATABASE)
            following = Stage.LOGIN if context is None else Stage.TLS
            heard = partial(trace.enter, following, tentative=True)
            greeting = await _greeting(link, PATIENCE * server.probe.timeout, heard)
            if context is not None and not greeting.offers_tls:
                await _without_tls(link, greeting, mode, trace, had_tls=had_tls)
                context = None
            trace.enter(Stage.LOGIN if context is None else Stage.TLS)
            session = await new_session(link, server, password, context)
            await _session(session, guarded(server.probe.query, server.probe.timeout, greeting), trace)
        except aiomysql.MySQLError as error:
            raise refused(error, trace, password) from None
        except OSError as error:
            raise broken(error, trace) from None
        except EOFError as error:
            raise lost(trace, str(error)) from None
        except (*STUMBLES, aiomysql.Warning) as error:
            if OLD_LOGIN in str(error):
                raise Failed(Cause.AUTH_METHOD_UNSUPPORTED, detail="a login from before MySQL 4.1") from None
            raise stumbled(error, password) from None

    def unsure(self, failed: Failed, server: Server) -> bool:
        """See DatabaseClient.unsure: a second connection would count towards ``max_connect_errors``."""
        del failed, server
        return False

    async def settle(self, link: Link, failed: Failed) -> Failed:
        """See DatabaseClient.settle."""
        del link
        return failed


async def _greeting(link: Link, patience: float, heard: Callable[[], None]) -> Greeting:
    try:
        async with asyncio.timeout(patience):
            if await link.peek(1):
                heard()
            said = await read_greeting(link)
    except TimeoutError:
        raise await _silent(link) from None
    if said is None:
        raise Failed(Cause.WRONG_PROTOCOL, detail="the first bytes are no MySQL greeting")
    if isinstance(said, Refusal):
        cause = cause_of(said.code, said.text, Stage.DATABASE)
        raise Failed(cause, stage=Stage.DATABASE, detail=redacted(f"{said.text} ({said.code})"))
    return said


async def _silent(link: Link) -> Failed:
    """Ask a server that must speak first and does not whether it is PostgreSQL, which never does.

    This probe has failed already: its time is nearly over, and what a MySQL server would still say comes
    too late. The caller's limit ends the wait.
    """
    await link.send(SSL_REQUEST)
    answer = await link.peek(1)
    if answer in {b"S", b"N"}:
        return Failed(Cause.WRONG_PROTOCOL, detail="silent until asked in PostgreSQL's words, then answered")
    answer = await link.peek(HEADER)
    if len(answer) == HEADER and not announces_greeting(answer):
        return Failed(Cause.WRONG_PROTOCOL, detail=f"silent until spoken to, then answered {answer!r}")
    if answer:
        return Failed(Cause.DATABASE_NO_ANSWER, detail="greeted too late")
    return Failed(Cause.DATABASE_CLOSED_EARLY, detail="closed without a greeting")


async def _without_tls(link: Link, greeting: Greeting, mode: TlsMode, trace: Trace, *, had_tls: bool) -> None:
    if not mode.required and not had_tls:
        return
    trace.enter(Stage.TLS)
    with contextlib.suppress(OSError, EOFError):
        async with asyncio.timeout(GOODBYE):
            await retreat(link, greeting)
    cause = Cause.TLS_NOT_OFFERED if mode.required else Cause.TLS_DOWNGRADED
    raise Failed(cause, stage=Stage.TLS, detail=f"{greeting.version} offers no TLS")


async def _session(session: Session, statements: str, trace: Trace) -> None:
    try:
        await session.open()
        # Confirms a tentative login first: it took place.
        trace.enter(Stage.LOGIN)
        trace.enter(Stage.QUERY)
        await session.run_all(statements)
        await session.say_goodbye()
    finally:
        session.close()
        await asyncio.sleep(0)  # the transport's last turn of the loop


def guarded(query: str, limit: float, greeting: Greeting) -> str:
    """Return ``query`` after the settings that make the session read-only and limit it to ``limit`` seconds.

    Sent as one message, one round trip. Settings that this server's version does not know are left out.
    """
    settings = "SET SESSION autocommit = 1"
    if greeting.mariadb and greeting.number >= (10, 1, 1):
        settings += f", max_statement_time = {limit:.3f}"
    elif not greeting.mariadb and greeting.number >= (5, 7, 8):
        settings += f", max_execution_time = {max(1, round(limit * 1000))}"
    knows_read_only = greeting.number >= (5, 6, 5) or not greeting.number
    read_only = "SET SESSION TRANSACTION READ ONLY; " if knows_read_only else ""
    return f"{read_only}{settings};\n{query}"


def refused(error: Exception, trace: Trace, password: Secret | None) -> Failed:
    """Return the failure that an error of the server or of aiomysql stands for."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = " ".join(str(arg) for arg in error.args[1:]) if code else str(error)
    if code in LOST_CODES or isinstance(error, aiomysql.InterfaceError):
        return broken(error, trace)
    detail = redacted(f"{text} ({code})" if code else text, password)
    if isinstance(error, aiomysql.InternalError) and not code:  # packets that are numbered wrong
        return Failed(
            Cause.QUERY_FAILED if trace.stage is Stage.QUERY else Cause.WRONG_PROTOCOL, detail=detail
        )
    cause = cause_of(code, text, trace.stage)
    if cause is Cause.PASSWORD_REJECTED and password is None:
        return Failed(Cause.PASSWORD_MISSING, stage=Stage.LOGIN, detail=detail)
    return Failed(cause, detail=detail)
