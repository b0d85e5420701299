"""Reading along while a user's own client logs in, to cut it off before its password goes out readable.

Beyond the SSH server the bytes of a tunnel are in the clear unless client and database speak TLS. Whoever is
there may decline TLS and then ask for the password itself (AuthenticationCleartextPassword of PostgreSQL,
``mysql_clear_password``), or for the password encrypted with a key of their own. A guard is a small state
machine that knows the messages of a login and no others; what speaks another protocol passes as it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from canary_tui.databases.client_refusal import ClientRefusal

LOGIN_BYTES = 64 * 1024
"""How much either side may say before the login is done. A Kerberos ticket has up to 48 kB, others 2 kB."""
TOO_LONG = f"one side said more than {LOGIN_BYTES // 1024} kB before the login was done"
_NOT_SENT = (
    "and without TLS it can be read beyond the SSH server: not sent. "
    "Use TLS, or set `database.allow_cleartext: true`"
)
CLEARTEXT = f"the database asks for the password in clear{{}}, {_NOT_SENT}"
UNVERIFIED_KEY = f"the password would be encrypted with a key that nobody verified ({{}}), {_NOT_SENT}"


class LoginGuard(ABC):
    """One session's login. Bytes may be cut anywhere; those that are not yet understood are held back."""

    def __init__(self) -> None:
        self.over = False
        """Whether nothing more is looked at: TLS has begun, the login is done, or it is another protocol."""
        self.refused = ""
        """Why the session has to end here; empty: it need not."""
        self._client = self._server = b""
        """What has not been understood yet, from each side."""
        self._heard = [0, 0]
        self._passing = 0
        """Bytes of the server's that go on without a look: the rest of a message that asks for nothing."""

    @abstractmethod
    def from_client(self, data: bytes) -> bytes:
        """Take what the client sent and return what may go on."""

    def from_server(self, data: bytes) -> bytes:
        """Take what the server sent and return what may go on: what asks for nothing that is to be kept."""
        if self.over:
            return data
        self._count(1, data)
        unread, at = self._server + data, 0
        while at < len(unread) and not self.over and not self.refused:
            taken = self._next(unread, at)
            at += taken
            if not taken:
                break
        at = len(unread) if self.over else at
        self._server = unread[at:]
        return unread[:at]

    @abstractmethod
    def _next(self, unread: bytes, at: int) -> int:
        """Return how many of the server's bytes may go on; none when more is needed, or an end was found."""

    def held_back(self) -> tuple[bytes, bytes]:
        """Take what has not gone on, from the client and from the server: it is over, or one has left."""
        held = self._client, self._server
        self._client = self._server = b""
        return held

    @abstractmethod
    def told(self, text: str) -> ClientRefusal:
        """Return how the client is told, at this point of its login, why it is cut off."""

    @abstractmethod
    def left(self) -> ClientRefusal:
        """Return how the server is left, so that it holds nothing against the address it was reached from."""

    def _pass(self, size: int, room: int) -> int:
        taken = min(size, room)
        self._passing = size - taken
        return taken

    def _count(self, side: int, data: bytes) -> None:
        self._heard[side] += len(data)
        if self._heard[side] > LOGIN_BYTES and not (self.over or self.refused):
            self.refused = TOO_LONG
