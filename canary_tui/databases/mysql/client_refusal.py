"""Telling a MySQL client why it is not served. MySQL 8 Reference, "ERR_Packet"."""

from __future__ import annotations

import struct

from canary_tui.databases.mysql.wire import ERROR, packet

UNKNOWN_ERROR = 1105
"""ER_UNKNOWN_ERROR: of those that a server may send, the only one that says nothing by itself."""


def error_packet(text: str, sequence: int, state: bytes = b"") -> bytes:
    """Return an ERR_Packet. ``state``: ``#`` and an SQLSTATE, for a client that has sent its login."""
    return packet(struct.pack("<BH", ERROR, UNKNOWN_ERROR) + state + text.encode(errors="replace"), sequence)
