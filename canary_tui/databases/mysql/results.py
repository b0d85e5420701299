"""The answer to a MySQL query, followed to its end, of which nothing is kept.

The driver would hold each packet, up to 16 MB and more, and each row of it once more.
MySQL 8 Reference, "MySQL Client/Server Protocol": COM_QUERY Response.
"""

from __future__ import annotations

from canary_tui.databases.mysql.wire import (
    ERROR,
    HEADER,
    LONGEST_PACKET,
    OK,
    SWITCH_AUTH,
    ServerRefused,
    server_error,
)
from canary_tui.diagnosis.stages import Cause, Failed

END = SWITCH_AUTH
"""The first byte of the packet after the last column, and after the last row."""
LOCAL_FILE, LONG_NUMBER = 0xFB, 0xFE
LONGEST_END = 9
"""Bytes from which on a packet that begins like an end is a row."""
MORE_RESULTS = 0x0008
HEAD = 512
"""Bytes of each packet that are looked at: enough for the longest error of a server."""


class Results:
    """Reads the answer to one query; ``feed`` says when it is complete."""

    def __init__(self) -> None:
        self._held = b""
        self._skip = 0
        self._continues = False
        self._columns = -1
        """How many definitions are still to come, but for the end after them."""
        self._in_rows = False

    def feed(self, data: bytes) -> bool:
        """Take the next piece and return whether it was the last.

        Raises ServerRefused where the answer ends in an error, Failed when the server asks for a file of
        ours or says what is no answer.
        """
        at = min(self._skip, len(data))
        self._skip -= at
        if self._held:
            data, self._held = self._held + data, b""
        while len(data) - at >= HEADER:
            length = int.from_bytes(data[at : at + 3], "little")
            start = at + HEADER
            if self._in_rows and length and start < len(data) and data[start] < LONG_NUMBER:
                self._continues = length == LONGEST_PACKET
                at = start + length  # a row, of which only the end matters
                continue
            head = data[start : start + min(length, HEAD)]
            if len(head) < min(length, HEAD):
                break
            if not self._continues and self._is_last(head, length):
                return True
            self._continues = length == LONGEST_PACKET
            at = start + length
        if at > len(data):
            self._skip = at - len(data)
        else:
            self._held = data[at:]
        return False

    def _is_last(self, head: bytes, length: int) -> bool:
        kind = head[0] if head else -1
        if kind == ERROR:
            raise ServerRefused(server_error(head))
        if self._columns >= 0:
            self._columns -= 1  # one definition each, and an end
            self._in_rows = self._columns < 0
            return False
        if not self._in_rows:
            return self._begins(kind, head)
        return kind == END and length < LONGEST_END and self._ends(head[3:5])

    def _begins(self, kind: int, head: bytes) -> bool:
        if kind == OK:
            after = _after_number(head, _after_number(head, 1))  # affected rows, last insert id
            return self._ends(head[after : after + 2])
        if kind == LOCAL_FILE:
            detail = "asked for a file of this machine (LOAD DATA LOCAL INFILE), and did not get it"
            raise Failed(Cause.QUERY_FAILED, detail=detail)
        if kind in {-1, END}:
            raise Failed(Cause.QUERY_FAILED, detail=f"answered with {head[:40]!r}, which is no result")
        self._columns = (
            int.from_bytes(head[1 : _after_number(head, 0)], "little") if kind > LOCAL_FILE else kind
        )
        return False

    def _ends(self, status: bytes) -> bool:
        self._in_rows = False
        return not int.from_bytes(status, "little") & MORE_RESULTS


def _after_number(head: bytes, at: int) -> int:
    """Return where a length-encoded integer that begins at ``at`` ends."""
    first = head[at] if at < len(head) else 0
    return at + {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(first, 1)
