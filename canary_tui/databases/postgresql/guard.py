"""What a PostgreSQL server says, looked at message by message before the driver hears it.

asyncpg waits for as many bytes as a server announces, keeps every setting that it is told, computes as many
rounds of SCRAM as it is asked for, on the event loop, and sends the password in clear to whoever asks.
PostgreSQL 15 documentation §55.7 has the messages, RFC 5802 §5 what SCRAM's say.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from canary_tui.databases.postgresql.refusals import Refusal
from canary_tui.databases.postgresql.wire import (
    LONGEST_ERROR,
    early_failure,
    is_answer,
    is_text,
    not_postgresql,
    read_error,
)
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    from canary_tui.diagnosis.trace import Trace

HEADER = struct.Struct("!ci")
"""A message's type, and its length without that one byte."""
MOST_ROUNDS = 100_000
"""Rounds of SCRAM: they take 52 ms, in which the loop does nothing else. PostgreSQL's default is 4,096."""
BESIDE_ROWS = 256 * 1024
"""Bytes of an answer that are no rows: settings and notices, which the driver keeps or copies."""
WHOLE = b"RE"
"""The messages that are read here."""
NO_ERRORS = frozenset({"00", "01", "02", "03"})
"""Classes of SQLSTATE that asyncpg takes for no error, and cannot raise."""
OK, CLEARTEXT, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 10, 11, 12
"""What an authentication message (``R``) asks for."""
ROUNDS = re.compile(rb",i=0*(\d{1,20})")


class Guard:
    """Reads along with the driver, and ends the connection before it hears what would harm."""

    def __init__(self, trace: Trace, unreadable: str) -> None:
        self.unreadable = unreadable
        """Why the password may not be sent in clear; empty where it may be."""
        self.refused: Failed | None = None
        """Why the connection was ended here."""
        self.let_in = False
        """Whether the server has said that the login is through."""
        self.said: Refusal | None = None
        """The error that the server sent last."""
        self._trace = trace
        self._held = b""
        self._skip = 0
        self._began = False
        self._ready = False
        self._beside_rows = 0
        self._next_step = SASL

    def expect_answer(self) -> None:
        """Count anew what comes beside rows: another query is about to be asked."""
        self._beside_rows = 0

    def inspect(self, data: bytes) -> None:
        """Look at the next piece of what the server says.

        Raises ConnectionAbortedError, which asyncio takes for a connection that broke, and has the reason in
        ``refused`` then; the piece must not reach the driver.
        """
        if self.refused is None:
            try:
                self._read(data)
            except Failed as failed:
                self.refused = failed
        if self.refused is not None:
            raise ConnectionAbortedError("refused to hear more")

    def _read(self, data: bytes) -> None:
        at = min(self._skip, len(data))
        self._skip -= at
        if self._held:
            data, self._held = self._held + data, b""
        if not self._began and not self._first_words(data):
            self._held = data
            return
        while len(data) - at >= HEADER.size:
            kind, length = HEADER.unpack_from(data, at)
            if length < 4 or (length > LONGEST_ERROR and (kind == b"R" or not self._ready)):
                raise self._nonsense(f"announced a message {kind!r} of {length} bytes")
            after = at + 1 + length
            if kind in WHOLE and after > len(data) and length <= LONGEST_ERROR:
                break
            self._began = True
            if kind == b"R":
                self._authentication(data[at + HEADER.size : after])
            elif kind == b"E" and length <= LONGEST_ERROR:
                self._error(data[at + HEADER.size : after])
            elif kind == b"Z":
                self._ready = True
            elif self._ready and kind not in b"Dd":
                self._count(1 + length)
            at = after
        if at > len(data):
            self._skip = at - len(data)
        else:
            self._held = data[at:]

    def _first_words(self, data: bytes) -> bool:
        """Look at how the server begins; say whether its messages can be read now."""
        if not data:
            return False
        if not is_answer(data):
            raise not_postgresql(data)
        # Confirmed once it took place: a first word that is a refusal belongs to the stage before.
        self._trace.enter(Stage.LOGIN, tentative=True)
        if data[:1] == b"E" and is_text(data[1 : HEADER.size]):
            text, whole, _ = data[1:].partition(b"\0")
            self.said = Refusal("", "", text.decode(errors="replace"))
            if whole or len(text) > LONGEST_ERROR:
                raise early_failure(self.said)
            return False  # the rest comes, or the connection ends with these words
        return True

    def _error(self, payload: bytes) -> None:
        """Keep an error, and end the connection where the server does, or where asyncpg would stumble."""
        self.said = read_error(payload)
        if not self._ready or not _is_utf8(payload) or self.said.state[:2] in NO_ERRORS:
            raise ConnectionAbortedError("refused, with words that are kept")
        self._count(HEADER.size + len(payload))

    def _count(self, size: int) -> None:
        self._beside_rows += size
        if self._beside_rows > BESIDE_ROWS:
            raise self._nonsense(f"sent more than {BESIDE_ROWS // 1024} kB beside rows")

    def _authentication(self, body: bytes) -> None:
        step = int.from_bytes(body[:4], "big")
        if step == CLEARTEXT and self.unreadable:
            detail = f"asked for the password in clear {self.unreadable}"
            raise Failed(Cause.PASSWORD_NOT_SENT, detail=detail)
        if step in {SASL, SASL_CONTINUE, SASL_FINAL}:
            # One after the other, and once: each asks for as many rounds as the one before.
            if step != self._next_step:
                raise self._nonsense("sent SCRAM messages in another order than SCRAM has")
            self._next_step += 1
        if step == SASL_CONTINUE:
            _check_rounds(body)
        if step in {OK, SASL_FINAL}:
            self.let_in = True
            # A server lets its session begin in milliseconds; a pooler waits for a server of its own, and
            # PgBouncer holds back even the last word of a login that is through.
            silence = "let the user in, and then no session began: a pooler whose database does not answer?"
            self._trace.expect(Failed(Cause.DATABASE_UNAVAILABLE, detail=silence))
        if step == OK and self._next_step in {SASL_CONTINUE, SASL_FINAL}:
            raise self._nonsense("ended the login without the proof that it knows the password (RFC 5802 §3)")

    def _nonsense(self, detail: str) -> Failed:
        return Failed(Cause.QUERY_FAILED if self._ready else Cause.WRONG_PROTOCOL, detail=detail)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_rounds(message: bytes) -> None:
    """Refuse what would take too long to compute. Asyncpg takes the first number that looks like one."""
    rounds = max((int(found) for found in ROUNDS.findall(message)), default=0)
    if rounds > MOST_ROUNDS:
        detail = f"asks for {rounds} rounds of SCRAM; {MOST_ROUNDS} are computed at most"
        raise Failed(Cause.AUTH_METHOD_UNSUPPORTED, detail=detail)
