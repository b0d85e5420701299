"""The first words of a server that should speak SSH, looked at before asyncssh reads them.

Asyncssh reports every wrong greeting as one error, or waits silence out.
"""

from __future__ import annotations

import asyncio
import socket

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.tunnels.failures import greeting_failure, words_of

GREETING_BYTES = 4096
QUIET_SECONDS = 1.0
"""After so long without a word we greet first: a web server or a database waits for its client."""
VERSION = "canary-tui"


async def greeted(sock: socket.socket) -> bool:
    """Look at the server's first bytes without taking them; asyncssh reads them again.

    Asyncssh reports every wrong greeting as one error, or waits silence out. Returns False when the
    server speaks SSH but only after its client. Raises Failed when it does not speak SSH.
    """
    try:
        async with asyncio.timeout(QUIET_SECONDS):
            greeting = await _peek_line(sock)
    except TimeoutError:
        return await _greet_first(sock)
    failed = greeting_failure(greeting)
    if failed is not None:
        raise failed
    return True


async def _greet_first(sock: socket.socket) -> bool:
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, f"SSH-2.0-{VERSION}\r\n".encode())
        greeting = await _peek_line(sock)
    except OSError as error:
        raise Failed(Cause.SSH_CLOSED_EARLY, detail=words_of(error)) from None
    if not greeting:
        detail = "it said nothing, and closed the connection when it was greeted as an SSH server"
        raise Failed(Cause.NOT_SSH, detail=detail)
    failed = greeting_failure(greeting)
    if failed is not None:
        raise failed
    return False


async def _peek_line(sock: socket.socket) -> bytes:
    """Return what the server has sent once the version line is whole, it closed, or it sent too much."""
    seen = b""
    while True:
        await _readable(sock)
        try:
            data = sock.recv(GREETING_BYTES, socket.MSG_PEEK)
        except OSError as error:
            raise Failed(Cause.SSH_CLOSED_EARLY, detail=words_of(error)) from None
        lines = data.split(b"\n")[:-1]
        if not data or len(data) == GREETING_BYTES or any(line.startswith(b"SSH-") for line in lines):
            return data
        if not _may_go_on(data):
            return data
        if data == seen:
            if await _ended(sock):
                return data
            # The socket stays readable while bytes lie unread, so the loop cannot tell of new ones.
            await asyncio.sleep(0.02)
        seen = data


def _may_go_on(data: bytes) -> bool:
    """Whether a version line may still follow: binary words, and some protocols' own, end the wait."""
    if b"\0" in data:
        return False
    others = (b"220", b"HTTP/", b"+OK", b"* OK", b"Exceeded", b"Not allowed")
    return b"\n" not in data or not data.startswith(others)


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


async def _ended(sock: socket.socket) -> bool:
    """Whether the other side has closed, with bytes of it still unread (Linux tells by TCP_INFO)."""
    if not hasattr(socket, "TCP_INFO"):
        return False
    close_wait = 8
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == close_wait
