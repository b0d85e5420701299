"""The first words of a server that should speak SSH, looked at before asyncssh reads them.

Asyncssh reports every wrong greeting as one error, or waits silence out.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.tunnels.failures import FULL, greeting_failure, is_foreign, words_of

if TYPE_CHECKING:
    from canary_tui.diagnosis.trace import Trace

GREETING_BYTES = 8192
"""Bytes that may come up to the end of the version line."""
GREETING_LINES = 64
"""Lines that may come before it. OpenSSH's client takes 1024 of 8 kB; honest servers send a few, or none."""
QUIET_SECONDS = 1.0
"""After so long without a word we greet first: a web server or a database waits for its client. And so long
we wait for a version when something else was answered to that."""
VERSION = "canary-tui"
_GREETING = f"SSH-2.0-{VERSION}"


async def greeted(sock: socket.socket, trace: Trace) -> bool:
    """Look at the server's first bytes without taking them; asyncssh reads them again.

    Returns False when the server speaks SSH but only after its client. Raises Failed when it does not speak
    SSH. One that goes on and on without a version (a tarpit: a line every few seconds, for days) ends with
    the caller's time; the trace is told what that is then called.
    """
    asked = False
    try:
        said, over = await _listen(sock, trace, b"", asked=False)
        if not over:
            asked = True
            await asyncio.get_running_loop().sock_sendall(sock, f"{_GREETING}\r\n".encode())
            said, _ = await _listen(sock, trace, said, asked=True)
        # Asyncssh waits for the first byte, and not for more than there is now.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    except OSError as error:
        raise Failed(Cause.SSH_CLOSED_EARLY, detail=words_of(error)) from None
    if asked and not said:
        detail = "it said nothing, and closed the connection when it was greeted as an SSH server"
        raise Failed(Cause.NOT_SSH, detail=detail)
    failed = greeting_failure(said, _GREETING if asked else "")
    if failed is not None:
        raise failed
    return not asked


async def _listen(sock: socket.socket, trace: Trace, said: bytes, *, asked: bool) -> tuple[bytes, bool]:
    """Listen until what has come can be judged, the server closes, or falls silent.

    Returns all that it has said, and False where it fell silent. It may be silent for ever where it has begun
    its version, or has said nothing although we have spoken (``asked``): the caller's time ends that.
    """
    while True:
        patient = _begins_version(said) or (asked and not said)
        try:
            async with asyncio.timeout(None if patient else QUIET_SECONDS):
                await _readable(sock)
        except TimeoutError:
            return said, False
        before, said = said, sock.recv(GREETING_BYTES, socket.MSG_PEEK)
        if len(said) <= len(before) or _can_be_judged(said):
            return said, True
        trace.expect(_unfinished(said))
        # What was seen lies there still: the socket is to be readable when there is more, or the end.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(said) + 1)


def _can_be_judged(said: bytes) -> bool:
    """Whether no more is needed: the version line is whole, or none will come, or it is too much."""
    lines = said.split(b"\n")
    whole = lines[:-1]
    if any(line.startswith(b"SSH-") for line in whole):
        return True
    if len(said) >= GREETING_BYTES or len(lines) > GREETING_LINES:
        return True
    full = bool(whole) and any(words in said.lower() for words in FULL)
    return full or is_foreign(said)


def _begins_version(said: bytes) -> bool:
    """Whether the line that is not whole yet may become a version."""
    line = said.rpartition(b"\n")[2]
    return bool(line) and (line.startswith(b"SSH-") or b"SSH-".startswith(line))


def _unfinished(said: bytes) -> Failed | None:
    """Return what it is called when nothing more comes."""
    if not _begins_version(said):
        return greeting_failure(said)
    words = Source.SSH_GREETING.text(said)
    return Failed(Cause.SSH_NO_ANSWER, detail=f"it began its version and did not end it: '{words}'")


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
