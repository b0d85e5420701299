"""Telling a database client, in its own protocol, why it is not served. Bytes only, no I/O."""

from __future__ import annotations

from typing import Protocol

TEXT_LIMIT = 400
"""Characters. MySQL's clients keep 512 bytes of an error."""


class ClientRefusal(Protocol):
    """One client's conversation, up to the error that ends it."""

    over: bool
    """Whether nothing more is to be said."""

    def hear(self, data: bytes) -> bytes:
        """Take what the client sent (nothing, at first) and return what to send."""


class AtOnce:
    """Says the error at once: the client waits for it."""

    def __init__(self, error: bytes) -> None:
        self.over = False
        self._error = error

    def hear(self, data: bytes) -> bytes:
        """Return the error."""
        del data
        self.over = True
        return self._error
