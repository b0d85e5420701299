"""The local port's number on ::1: taken as soon as it can be had, and said while somebody else has it."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

from canary_tui.monitor.local_ports import LOOPBACK6, NO_IPV6, listening
from canary_tui.tunnels import holder
from canary_tui.tunnels.peer import name_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

TRY_SECONDS = 5.0
"""How often ::1 is tried again that somebody else has, or that the machine did not have."""


class Ipv6End:
    """Serves ``port`` on ::1 beside 127.0.0.1.

    ``serve`` is given the socket that listens; it is closed by whoever serves it. ``tell`` is told what is
    wrong, once, and an empty text when it is over. A machine without IPv6 is nothing to tell.
    """

    def __init__(
        self, port: int, serve: Callable[[socket.socket], object], tell: Callable[[str], None]
    ) -> None:
        self._port = port
        self._serve = serve
        self._tell = tell
        self._trouble = ""
        self._trying: asyncio.Task[None] | None = None
        error = self._try()
        if error is not None:
            self._trying = asyncio.get_running_loop().create_task(self._keep_trying(error), name="::1")

    async def close(self) -> None:
        """Try no more."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.wait({self._trying})

    def _try(self) -> OSError | None:
        try:
            sock = listening(self._port, LOOPBACK6)
        except OSError as error:
            return error
        self._serve(sock)
        return None

    async def _keep_trying(self, error: OSError | None) -> None:
        while error is not None:
            if error.errno in NO_IPV6:
                self._say("")
            elif not self._trouble:
                self._say(await asyncio.to_thread(_in_words, self._port, error))
            await asyncio.sleep(TRY_SECONDS)
            error = self._try()
        self._say("")

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._tell(trouble)


def _in_words(port: int, error: OSError) -> str:
    place = f"[{LOOPBACK6}]:{port}"
    if error.errno != errno.EADDRINUSE:
        return f"{place} cannot be opened ({error.strerror}): connect to 127.0.0.1, not to localhost"
    return f"{place} belongs to {_owner(port)}: connect to 127.0.0.1, localhost may lead there"


def _owner(port: int) -> str:
    process = holder.holder_of(port, holder.LOOPBACK6)
    program = f"{process.program}, pid {process.pid}" if process else ""
    uid = holder.uid_on(port, holder.LOOPBACK6)
    if uid is None or uid == os.geteuid():
        return f"another program ({program})" if program else "another program"
    return f"a program of another user ({name_of(uid)}, uid {uid}{f', {program}' if program else ''})"
