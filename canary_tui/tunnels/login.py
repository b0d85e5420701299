"""The start of a session, passed on under a guard's eyes; the rest of it nobody looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from canary_tui.tunnels.ends import End


class ClientRefusal(Protocol):
    """How a client is told in its own protocol why it is not served."""

    over: bool
    """Whether nothing more is to be said."""

    def hear(self, data: bytes) -> bytes:
        """Take what the client sent (nothing, at first) and return what to send."""


class Guard(Protocol):
    """Reads along until a client is logged in. Bytes that it does not understand yet it holds back."""

    over: bool
    """Whether nothing more is to be looked at."""
    refused: str
    """Why the session has to end here; empty: it need not."""

    def from_client(self, data: bytes) -> bytes:
        """Take what the client sent and return what may go on."""

    def from_server(self, data: bytes) -> bytes:
        """Take what the server sent and return what may go on."""

    def held_back(self) -> tuple[bytes, bytes]:
        """Take what has not gone on, from the client and from the server: it is over, or one has left."""

    def told(self, text: str) -> ClientRefusal:
        """Return how the client is told, at this point of its login, why it is cut off."""

    def left(self) -> ClientRefusal:
        """Return how the server is left, so that it holds nothing against the address it was reached from."""


class CutOff(Exception):
    """A session ends before its password goes out. The text says why, the guard how the client is told."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(guard.refused)
        self.guard = guard


async def pass_login(guard: Guard, client: End, server: End) -> None:
    """Pass bytes both ways until the guard is over or one side has left. Raises CutOff.

    Neither end is joined meanwhile: each holds what comes in, and stops reading when that is too much.
    """
    server.wake_with(client)
    while not guard.over and not client.ended and not server.ended:
        said, answer = client.take_held(), server.take_held()
        if said:
            server.write(guard.from_client(said))
        if answer:
            client.write(guard.from_server(answer))
        if guard.refused:
            raise CutOff(guard)
        if not said and not answer:
            await client.news()
    said, answer = guard.held_back()
    server.write(said)
    client.write(answer)
