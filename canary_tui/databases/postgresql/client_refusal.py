"""Telling a PostgreSQL client why it is not served. PostgreSQL 17, "Message Formats"."""

from __future__ import annotations

import struct

from canary_tui.databases.postgresql.wire import GSSENC, LONGEST_STARTUP, REQUESTS, SSL, STARTUP_HEADER

CONNECTION_FAILURE = b"08006"
"""SQLSTATE: drivers and pools take it for a connection that broke, and not for a wrong password."""


class PostgresRefusal:
    """Waits for the startup message and answers it with an error.

    Encryption is declined on the way: a client that insists on it says only that, but one that does not
    would distrust an error instead of TLS (CVE-2024-10977) and not show it.
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


def error_response(text: str, state: bytes = CONNECTION_FAILURE) -> bytes:
    """Return PostgreSQL's ErrorResponse: fatal."""
    fields = (b"SFATAL", b"VFATAL", b"C" + state, b"M" + text.encode(errors="replace"))
    body = b"".join(field + b"\0" for field in fields) + b"\0"
    return b"E" + struct.pack(">I", len(body) + 4) + body
