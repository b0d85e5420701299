"""How many may log in to one SSH server at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Failed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FIRST_WIDTH = 2
WIDEST = 4
"""Logins at a time. One takes 24 ms of a jumpbox, four at a time 16 ms each; more gain little, and with
sshd's ``MaxStartups 10:30:100`` they would be turned away at random, or take the room of other people."""
LONGEST_RUN = 512
"""Good logins after which a gate grows again that has halved again and again."""


class Gate:
    """The logins to one SSH server: so many at a time, the others wait for their turn.

    It learns from how they end. After a run of good ones it doubles, up to ``WIDEST``; when the server says
    that it is busy it halves, down to one at a time, and takes a run four times as long to grow again. Each
    login has to have a limit of its own, or those that wait would wait for ever.
    """

    def __init__(self) -> None:
        self.width = FIRST_WIDTH
        """How many may log in at a time."""
        self._inside = 0
        self._waiting: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())
        self._good = 0
        self._run = FIRST_WIDTH
        self._halved = 0

    @asynccontextmanager
    async def login(self, *, patient: bool = False) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the time of one login.

        Those that are ``patient`` (tunnels that come back by themselves) let all others go first.
        """
        await self._enter(self._waiting[patient])
        halved = self._halved
        try:
            yield
        except Failed as failed:
            # What is said to several at once is said once.
            if ROWS[failed.cause].no_room and not failed.facts.get("excess") and halved == self._halved:
                self._halve()
            raise
        else:
            self._count_good()
        finally:
            self._inside -= 1
            self._admit()

    async def _enter(self, queue: deque[asyncio.Future[None]]) -> None:
        if self._inside < self.width:
            self._inside += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                queue.remove(turn)
            else:  # it was our turn in that very moment
                self._inside -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        for queue in self._waiting:
            for turn in list(queue):
                if self._inside >= self.width:
                    return
                if not turn.done():
                    queue.remove(turn)
                    self._inside += 1
                    turn.set_result(None)

    def _count_good(self) -> None:
        self._good += 1
        if self._good >= self._run and self.width < WIDEST:
            self.width *= 2
            self._good = 0

    def _halve(self) -> None:
        self.width = max(1, self.width // 2)
        self._halved += 1
        self._good = 0
        self._run = min(LONGEST_RUN, self._run * 4)


class LoginGates:
    """One gate for each SSH host and port. For one event loop at a time."""

    def __init__(self) -> None:
        self._gates = defaultdict[tuple[str, int], Gate](Gate)

    def of(self, host: str, port: int) -> Gate:
        """Return the gate of an SSH server, whoever logs in there and however its name is spelled."""
        return self._gates[host.lower(), port]
