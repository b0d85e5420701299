"""The first words of a PostgreSQL connection: whether TLS is offered, early errors, and what is none of it.

PostgreSQL 15 documentation §55.2 and §55.7: SSLRequest, ErrorResponse, StartupMessage's answers.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

from canary_tui.databases.first_bytes import MYSQL_GREETS, SSL_REQUEST
from canary_tui.databases.postgresql.refusals import Refusal, cause_of
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    from canary_tui.databases.link import Link

STARTUP_HEADER = struct.Struct(">IHH")
LONGEST_STARTUP = 10_000
"""Bytes: PostgreSQL's own limit (MAX_STARTUP_PACKET_LENGTH)."""
REQUESTS, CANCEL, SSL, GSSENC = 1234, 5678, 5679, 5680
"""The "protocol versions" 1234.n, which are no versions but requests."""
LONGEST_ERROR = 30_000
"""Bytes of a message that may come before the login is done; libpq's own limit for one."""
EARLY = frozenset({Cause.DATABASE_TOO_MANY_CONNECTIONS, Cause.DATABASE_STARTING, Cause.DATABASE_UNAVAILABLE})
"""What an error may say before the server knows who is there."""


async def offers_tls(link: Link) -> bool:
    """Ask whether the server does TLS.

    We ask, not asyncpg: its ``prefer`` goes on without TLS after *any* failure, over a second connection,
    and it keeps a server's reason for refusing from us. Raises Failed where the answer is no answer.
    """
    await link.send(SSL_REQUEST)
    answer = await link.receive(1)
    if answer in {b"S", b"N"} and not await _says_more(link):
        return answer == b"S"
    if not answer:
        raise Failed(Cause.DATABASE_CLOSED_EARLY, detail="closed without an answer to SSLRequest")
    if answer == b"E":
        raise await _early_error(link)
    raise Failed(Cause.WRONG_PROTOCOL, detail=f"answered SSLRequest with {answer!r}")


async def _says_more(link: Link) -> bool:
    """Whether more came with the answer (``SSH-2.0-…``), though the next word is ours: CVE-2021-23222."""
    try:
        async with asyncio.timeout(0):
            return bool(await link.peek(1))
    except TimeoutError:
        return False


async def _early_error(link: Link) -> Failed:
    """Read an error that came instead of the TLS answer: a pooler or a postmaster that is full.

    Anybody on the way could have written it (CVE-2024-10977), so it decides no more than why this
    connection ends here, and nothing about logins.
    """
    head = await link.receive(4)
    if head == MYSQL_GREETS:
        return not_postgresql(b"E" + head)
    length = int.from_bytes(head, "big")
    if len(head) == 4 and 4 < length < LONGEST_ERROR:
        return early_failure(read_error(await link.receive(length - 4)))
    if not is_text(head):
        return Failed(Cause.WRONG_PROTOCOL, detail=f"answered SSLRequest with an error of {length} bytes")
    text = head
    while (byte := await link.receive(1)) not in {b"", b"\0"} and len(text) < LONGEST_ERROR:
        text += byte
    return early_failure(Refusal("", "", text.decode(errors="replace")))


def is_text(head: bytes) -> bool:
    """Whether the four bytes after an ``E`` are no length.

    Then it is an error in the form of protocol 2, used when no process could be started: text up to a zero.
    """
    return len(head) == 4 and all(b" " <= head[at : at + 1] <= b"~" for at in range(4))


def early_failure(said: Refusal) -> Failed:
    """Return what an error that came instead of a login amounts to."""
    cause = cause_of(Refusal(said.state, "", said.text), Stage.DATABASE, tls_possible=False)
    return Failed(cause if cause in EARLY else Cause.LOGIN_REFUSED, detail=said.words())


def read_error(payload: bytes) -> Refusal:
    """Return what an ErrorResponse says (PostgreSQL 15 documentation §55.8), in whatever encoding it is."""
    parts = payload.decode(errors="replace").split("\0")
    fields = {part[0]: part[1:] for part in parts if part}
    more = [f" {name}: {fields[key]}" for key, name in (("D", "DETAIL"), ("H", "HINT")) if key in fields]
    return Refusal(fields.get("C", ""), fields.get("R", ""), fields.get("M", "") + "".join(more))


def is_answer(first: bytes) -> bool:
    """Whether bytes can be the start of what PostgreSQL answers to a login.

    Authentication, error, notice or NegotiateProtocolVersion, and the length of that message (PostgreSQL 15
    documentation §55.7). An error may be a text of protocol 2.
    """
    if first[:1] not in {b"R", b"E", b"N", b"v"} or first[1:5] == MYSQL_GREETS:
        return False
    return len(first) < 5 or first[:1] == b"E" or 4 < int.from_bytes(first[1:5], "big") < LONGEST_ERROR


def not_postgresql(first: bytes) -> Failed:
    return Failed(Cause.WRONG_PROTOCOL, stage=Stage.DATABASE, detail=f"answered with {first[:40]!r}")
