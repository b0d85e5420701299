"""One session with MySQL or MariaDB: the greeting, the login, and as many queries as are asked."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from canary_tui.databases.first_bytes import SSL_REQUEST
from canary_tui.databases.link import DatabaseClient
from canary_tui.databases.mysql import driver
from canary_tui.databases.mysql.refusals import refused
from canary_tui.databases.mysql.results import Results
from canary_tui.databases.mysql.wire import (
    HEADER,
    Greeting,
    Refusal,
    ServerRefused,
    announces_greeting,
    read_greeting,
    retreat,
)
from canary_tui.databases.session import Session
from canary_tui.databases.tls import context_for
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.servers.model import TlsMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.databases.link import Link
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret

PATIENCE = 0.8
"""The part of a probe's time after which a server that must speak first is asked who it is."""


class MySQL(DatabaseClient):
    """Takes each failure as it is: a second connection would count towards ``max_connect_errors``."""

    def session(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> MySqlSession:
        """See DatabaseClient.session."""
        return MySqlSession(link, server, password, trace, had_tls=had_tls)


class MySqlSession(Session):
    """Logged in with aiomysql."""

    _connection: driver.Connection
    _greeting: Greeting
    _mid_answer = False
    """Whether an answer was begun and not read to its end: nothing more can be said then."""

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except driver.ERRORS as error:
            raise driver.failure_of(error, self._trace, self._password) from None

    async def _log_in(self) -> None:
        database = self._server.database
        context = None if database.tls is TlsMode.DISABLE else context_for(database, self._trace)
        self._greeting = await self._hear_greeting(Stage.LOGIN if context is None else Stage.TLS)
        if context is not None and not self._greeting.offers_tls:
            await self._go_without_tls()
            context = None
        self._trace.enter(Stage.LOGIN if context is None else Stage.TLS)
        address = await self._link.local_address()
        self._connection = driver.Connection(address, self._server, self._password, context)
        try:
            await self._connection.log_in()
        except BaseException:
            await self._drop()
            raise

    async def _hear_greeting(self, following: Stage) -> Greeting:
        """Return the greeting, still unread for the driver. Its first byte begins the stage ``following``."""
        try:
            async with asyncio.timeout(PATIENCE * self._server.probe.timeout):
                if await self._link.peek(1):
                    self._trace.enter(following, tentative=True)
                said = await read_greeting(self._link)
        except TimeoutError:
            raise await _silent(self._link) from None
        if said is None:
            raise Failed(Cause.WRONG_PROTOCOL, detail="the first bytes are no MySQL greeting")
        if isinstance(said, Refusal):
            raise refused(said, Stage.DATABASE)
        return said

    async def _go_without_tls(self) -> None:
        """Return if the login may go on without TLS; raise Failed, having left the server well, if not."""
        mode = self._server.database.tls
        if not mode.required and not self._had_tls:
            return
        self._trace.enter(Stage.TLS)
        with contextlib.suppress(OSError, EOFError):
            async with asyncio.timeout(driver.GOODBYE):
                await retreat(self._link, self._greeting)
        cause = Cause.TLS_NOT_OFFERED if mode.required else Cause.TLS_DOWNGRADED
        raise Failed(cause, stage=Stage.TLS, detail=f"{self._greeting.version} offers no TLS")

    async def _ask(self, text: str) -> None:
        await self._connection.ask(guarded(text, self._server.probe.timeout, self._greeting))
        self._mid_answer = True
        results = Results()
        try:
            while not results.feed(await self._connection.read()):
                pass
        except ServerRefused:
            self._mid_answer = False  # an error ends the answer
            raise
        self._mid_answer = False

    async def _say_goodbye(self) -> None:
        if not self._mid_answer:
            await self._connection.say_goodbye()

    async def _drop(self) -> None:
        self._connection.drop()
        await asyncio.sleep(0)  # the transport's last turn of the loop


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
