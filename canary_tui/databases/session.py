"""The life of a session, the same for every engine that has a login: log in, run queries, close."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from canary_tui.databases.link import Link
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret


class Session(ABC):
    """Enters the stages; each engine fills in what happens in them. See DatabaseClient.session."""

    def __init__(
        self, link: Link, server: Server, password: Secret | None, trace: Trace, *, had_tls: bool
    ) -> None:
        self._link = link
        self._server = server
        self._password = password
        self._trace = trace
        self._had_tls = had_tls

    async def __aenter__(self) -> Self:
        with self._failures():
            self._trace.enter(Stage.DATABASE)
            await self._log_in()
            # Confirms a tentative login stage: the login took place.
            self._trace.enter(Stage.LOGIN)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._say_goodbye()
            elif isinstance(error, Failed):
                # The failure is known: the time taken to close changes neither it nor its stage's time.
                self._trace.expect(error)
                with self._trace.paused():
                    await self._say_goodbye()
        finally:
            await self._drop()

    async def query(self, text: str) -> None:
        """See DatabaseSession.query."""
        began = time.monotonic()
        try:
            with self._failures():
                self._trace.enter(Stage.QUERY)
                self._link.expect_answer()
                await self._ask(text)
        except Failed as failed:
            seconds = time.monotonic() - began
            if failed.cause is Cause.QUERY_TIMED_OUT and seconds < self._server.probe.timeout:
                # Ours is not over: a limit of the role, of a lock, of a transaction, of a pooler.
                failed.facts["ended_after"] = f"{seconds:.2g} s"
            raise

    @abstractmethod
    def _failures(self) -> AbstractContextManager[None]:
        """Turn errors raised inside into Failed."""

    @abstractmethod
    async def _log_in(self) -> None:
        """Go through ``database``, ``tls`` (only where used), ``login``; leave nothing open on failure."""

    @abstractmethod
    async def _ask(self, text: str) -> None:
        """Run a query and read its answer to the end."""

    @abstractmethod
    async def _say_goodbye(self) -> None:
        """Close the session properly if it is still open; an error in doing so is not reported."""

    @abstractmethod
    async def _drop(self) -> None:
        """Close what is still open, now."""
