"""Reading along while a user's own client logs in, to cut it off before its password goes out readable.

Beyond the SSH server the bytes of a tunnel are in the clear unless client and database speak TLS. Whoever is
there may decline TLS and then ask for the password itself (AuthenticationCleartextPassword of PostgreSQL,
``mysql_clear_password``), or for the password encrypted with a key of their own. A guard is a small state
machine that knows the messages of a login and no others; what speaks another protocol passes as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from canary_tui.servers.model import Engine

if TYPE_CHECKING:
    from canary_tui.databases.refusal import Refusal
    from canary_tui.servers.model import Database

LOGIN_BYTES = 64 * 1024
"""How much either side may say before the login is done. A Kerberos ticket has up to 48 kB, others 2 kB."""
TOO_LONG = f"one side said more than {LOGIN_BYTES // 1024} kB before the login was done"
_NOT_SENT = (
    "and without TLS it can be read beyond the SSH server: not sent. "
    "Use TLS, or set `database.allow_cleartext: true`"
)
CLEARTEXT = f"the database asks for the password in clear{{}}, {_NOT_SENT}"
UNVERIFIED_KEY = f"the password would be encrypted with a key that nobody verified ({{}}), {_NOT_SENT}"


class LoginGuard(Protocol):
    """One session's login. Bytes may be cut anywhere; those that are not yet understood are held back."""

    over: bool
    """Whether nothing more is looked at: TLS has begun, the login is done, or it is another protocol."""
    refused: str
    """Why the session has to end here; empty: it need not."""

    def from_client(self, data: bytes) -> bytes:
        """Take what the client sent and return what may go on."""

    def from_server(self, data: bytes) -> bytes:
        """Take what the server sent and return what may go on."""

    def held_back(self) -> tuple[bytes, bytes]:
        """Take what has not gone on, from the client and from the server: it is over, or one has left."""

    def told(self, text: str) -> Refusal:
        """Return how the client is told, at this point of its login, why it is cut off."""

    def left(self) -> Refusal:
        """Return how the server is left, so that it holds nothing against the address it was reached from."""


def login_guard(engine: Engine, database: Database) -> LoginGuard | None:
    """Return the guard of one session; None where the user wrote that passwords may go in clear."""
    from canary_tui.databases.mysql_login_guard import MySqlLoginGuard
    from canary_tui.databases.postgresql_login_guard import PostgresLoginGuard

    if database.allow_cleartext:
        return None
    return PostgresLoginGuard() if engine is Engine.POSTGRESQL else MySqlLoginGuard()
