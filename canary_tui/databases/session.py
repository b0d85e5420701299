"""The life of a session, the same with every engine that has a login: log in, be asked, say good-bye."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from canary_tui.diagnosis.stages import Failed, Stage

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from canary_tui.databases.link import Link
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret


class Session(ABC):
    """Enters the stages; an engine says what is done in each. See DatabaseClient.session."""

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
            # Confirms a tentative login: it took place.
            self._trace.enter(Stage.LOGIN)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._say_goodbye()
            elif isinstance(error, Failed):
                # The failure is known: how long the good-bye takes changes neither it nor its stage's time.
                self._trace.expect(error)
                with self._trace.paused():
                    await self._say_goodbye()
        finally:
            await self._drop()

    async def query(self, text: str) -> None:
        """See DatabaseSession.query."""
        with self._failures():
            self._trace.enter(Stage.QUERY)
            self._link.expect_answer()
            await self._ask(text)

    @abstractmethod
    def _failures(self) -> AbstractContextManager[None]:
        """Turn what goes wrong within into Failed."""

    @abstractmethod
    async def _log_in(self) -> None:
        """Go through ``database``, ``tls`` (only where used), ``login``; leave nothing open on failing."""

    @abstractmethod
    async def _ask(self, text: str) -> None:
        """Run a query and read its answer to the end."""

    @abstractmethod
    async def _say_goodbye(self) -> None:
        """End the session in order where it still stands; how that goes is nobody's failure."""

    @abstractmethod
    async def _drop(self) -> None:
        """Close what is still open, now."""
