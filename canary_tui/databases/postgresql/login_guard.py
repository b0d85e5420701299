"""A PostgreSQL client's login, up to the first ReadyForQuery. Bytes only, no I/O.

PostgreSQL 17, "Message Flow" (55.2) and "Message Formats" (55.7); PostgreSQL 9.0 for protocol 2.
"""

from __future__ import annotations

import struct

from canary_tui.databases.client_refusal import TEXT_LIMIT, AtOnce
from canary_tui.databases.login_guard import CLEARTEXT, LoginGuard
from canary_tui.databases.postgresql.client_refusal import error_response
from canary_tui.databases.postgresql.wire import GSSENC, LONGEST_STARTUP, REQUESTS, SSL, STARTUP_HEADER
from canary_tui.diagnosis.printable import one_line

MESSAGE_HEADER = struct.Struct(">cI")
CODE = struct.Struct(">I")
AUTHENTICATED, CLEARTEXT_PASSWORD = 0, 3
"""What an authentication message says, or asks for."""
OLD_SALTS = {4: 2, 5: 4}
"""Bytes after the codes of crypt and MD5 in protocol 2, whose messages tell no length."""
INVALID_AUTHORIZATION = b"28000"
"""SQLSTATE: to connect again would not help, and drivers know that."""
OLD, NEWEST = 2, 9
"""Protocol versions that a startup message may ask for. libpq before 14 goes back to 2 when told to."""
ENCRYPTED = {SSL: b"S", GSSENC: b"G"}
"""The answer with which encryption begins, to the request for it."""
SPOKE_FIRST = "the database spoke before it was asked, which no PostgreSQL does"
MALFORMED = "the database sent an authentication message that no PostgreSQL sends"


class PostgresLoginGuard(LoginGuard):
    """Follows the client's startup and the server's answers.

    The server may say nothing but an error before it has the startup message: what it says earlier would be
    taken for the answer to something else (CVE-2021-23222).
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked: list[int] = []
        self._spoken = self._early = False
        self._version = 0

    def from_client(self, data: bytes) -> bytes:
        """Learn what the client asks for. It goes on at once: no password stands in a startup message."""
        if self.over:
            return data
        self._client += b"" if self._version else data
        while len(self._client) >= STARTUP_HEADER.size and not (self.over or self._version):
            self._startup_packet()
        self._count(0, data)
        return b"" if self.refused else data

    def _startup_packet(self) -> None:
        length, major, minor = STARTUP_HEADER.unpack_from(self._client)
        if major == REQUESTS and minor in ENCRYPTED and length == STARTUP_HEADER.size:
            self._asked.append(minor)
        elif OLD <= major <= NEWEST and STARTUP_HEADER.size <= length <= LONGEST_STARTUP:
            self._version = major
        else:
            self.over = True  # a CancelRequest, TLS without asking for it, or no PostgreSQL at all
            return
        self._client = self._client[length:]
        self._spoken = True
        if self._early:
            self.refused = SPOKE_FIRST

    def _next(self, unread: bytes, at: int) -> int:
        """Return how many bytes may go on; none when more is needed, or an end was found."""
        first = unread[at : at + 1]
        if self._passing:
            return self._pass(self._passing, len(unread) - at)
        if self._asked and first != b"E":
            self.over = first == ENCRYPTED[self._asked.pop(0)]
            return 1
        if not self._version and first != b"E":
            if self._spoken:
                self.refused = SPOKE_FIRST
                return 0
            self._early = True
            return len(unread) - at
        self._asked.clear()
        return self._old_message(unread, at) if self._version == OLD else self._message(unread, at)

    def _message(self, unread: bytes, at: int) -> int:
        room = len(unread) - at
        if room < MESSAGE_HEADER.size:
            return 0
        kind, length = MESSAGE_HEADER.unpack_from(unread, at)
        if kind == b"Z":
            self.over = True
        elif kind != b"R":
            return self._pass(1 + max(length, CODE.size), room)
        elif length < 2 * CODE.size:
            self.refused = MALFORMED
        elif room >= MESSAGE_HEADER.size + CODE.size:
            self._look_at(*CODE.unpack_from(unread, at + MESSAGE_HEADER.size))
            return 0 if self.refused else self._pass(1 + length, room)
        return 0

    def _old_message(self, unread: bytes, at: int) -> int:
        room = len(unread) - at
        if unread[at : at + 1] != b"R":
            self.over = True  # an error, the text of which ends the connection
        elif room > CODE.size:
            (code,) = CODE.unpack_from(unread, at + 1)
            self.over = code == AUTHENTICATED
            self._look_at(code)
            return 0 if self.refused else self._pass(1 + CODE.size + OLD_SALTS.get(code, 0), room)
        return 0

    def _look_at(self, code: int) -> None:
        if code == CLEARTEXT_PASSWORD:
            self.refused = CLEARTEXT.format("")

    def held_back(self) -> tuple[bytes, bytes]:
        """Take what has not gone on; what the client said has."""
        held, self._server = self._server, b""
        return b"", held

    def told(self, text: str) -> AtOnce:
        """Return the error."""
        return AtOnce(error_response(one_line(text, TEXT_LIMIT), INVALID_AUTHORIZATION))

    def left(self) -> AtOnce:
        """Return nothing: to close is enough."""
        return AtOnce(b"")
