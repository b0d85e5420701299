"""Telling a database client, in its own protocol, why it is not served. Bytes only, no I/O.

PostgreSQL 17, "Message Formats"; MySQL 8 Reference, "ERR_Packet".
"""

from __future__ import annotations

import struct
from typing import Protocol

from canary_tui.databases.mysql_wire import ERROR, packet
from canary_tui.diagnosis.printable import one_line
from canary_tui.servers.model import Engine

TEXT_LIMIT = 400
"""Characters. MySQL's clients keep 512 bytes of an error."""
CONNECTION_FAILURE = b"08006"
"""SQLSTATE: drivers and pools take it for a connection that broke, and not for a wrong password."""
UNKNOWN_ERROR = 1105
"""MySQL's ER_UNKNOWN_ERROR: of those that a server may send, the only one that says nothing by itself."""

STARTUP_HEADER = struct.Struct(">IHH")
LONGEST_STARTUP = 10_000
"""Bytes: PostgreSQL's own limit (MAX_STARTUP_PACKET_LENGTH)."""
REQUESTS, CANCEL, SSL, GSSENC = 1234, 5678, 5679, 5680
"""The "protocol versions" 1234.n, which are no versions but requests."""


class Refusal(Protocol):
    """One client's conversation, up to the error that ends it."""

    over: bool
    """Whether nothing more is to be said."""

    def hear(self, data: bytes) -> bytes:
        """Take what the client sent (nothing, at first) and return what to send."""


def refusal_for(engine: Engine, text: str) -> Refusal:
    """Return how a client of ``engine`` is told ``text``, which is shown on one line."""
    line = one_line(text, TEXT_LIMIT)
    # In MySQL the server speaks first: the error stands in place of the greeting.
    return PostgresRefusal(line) if engine is Engine.POSTGRESQL else AtOnce(error_packet(line, 0))


class PostgresRefusal:
    """Waits for the startup message and answers it with an error.

    Encryption is declined on the way: a client that insists on it says only that, but one that does not
    would distrust an error in the place of TLS (CVE-2024-10977) and not show it.
    """

    def __init__(self, text: str) -> None:
        self.over = False
        self._text = text
        self._heard = b""

    def hear(self, data: bytes) -> bytes:
        """Answer each whole message."""
        self._heard += data
        answer = b""
        while not self.over and len(self._heard) >= STARTUP_HEADER.size:
            length, major, minor = STARTUP_HEADER.unpack_from(self._heard)
            if not STARTUP_HEADER.size <= length <= LONGEST_STARTUP:
                self.over = True  # it does not speak PostgreSQL, or begins with TLS at once
            elif len(self._heard) < length:
                break
            else:
                self._heard = self._heard[length:]
                answer += self._answer(major, minor)
        return answer

    def _answer(self, major: int, minor: int) -> bytes:
        if major == REQUESTS and minor in {SSL, GSSENC}:
            return b"N"
        self.over = True
        if major == REQUESTS:
            return b""  # nobody waits for the answer to a CancelRequest
        return error_response(self._text)


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


def error_packet(text: str, sequence: int, state: bytes = b"") -> bytes:
    """Return MySQL's ERR_Packet. ``state``: ``#`` and an SQLSTATE, for a client that has sent its login."""
    return packet(struct.pack("<BH", ERROR, UNKNOWN_ERROR) + state + text.encode(errors="replace"), sequence)


def error_response(text: str, state: bytes = CONNECTION_FAILURE) -> bytes:
    """Return PostgreSQL's ErrorResponse: fatal."""
    fields = (b"SFATAL", b"VFATAL", b"C" + state, b"M" + text.encode(errors="replace"))
    body = b"".join(field + b"\0" for field in fields) + b"\0"
    return b"E" + struct.pack(">I", len(body) + 4) + body
