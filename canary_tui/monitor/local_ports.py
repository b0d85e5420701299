"""Local ports: chosen once for a server, and held from that moment on."""

from __future__ import annotations

import errno
import socket
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.servers.model import Listen
from canary_tui.tunnels.listener import BACKLOG

if TYPE_CHECKING:
    from canary_tui.servers.model import Server

LOOPBACK = "127.0.0.1"
FIRST_PORTS = {"postgresql": 15432, "mysql": 13306}
PORT_TRIES = 1000


class LocalPorts:
    """The listening sockets of ports that were chosen and are not served yet.

    A port that is free now may be another program's a moment later, while it is being written down: two
    copies that start together would choose the same.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def choose(self, server: Server, taken: set[int]) -> Server:
        """Return the server with a local port of its own, which is held until it is listened on.

        Raises Failed (``local_port_taken``) when no port is free, OSError when none can be opened.
        """
        taken = set(taken)
        while True:
            chosen = with_local_port(server, taken)
            port = chosen.ssh.local_port if chosen.ssh else None
            if port is None or chosen is server:
                return server
            try:
                self._held[port] = listening(port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                taken.add(port)  # somebody was quicker
            else:
                return chosen

    def take(self, port: int) -> socket.socket:
        """Return a socket that listens on ``port`` (0: any). Raises OSError (EADDRINUSE …)."""
        return self._held.pop(port, None) or listening(port)

    def let_go(self, port: int | None) -> None:
        """Hold a port no more that nobody has taken."""
        held = self._held.pop(port, None) if port else None
        if held is not None:
            held.close()


def listening(port: int) -> socket.socket:
    """Return a socket that listens on ``port`` of loopback (0: any). Raises OSError (EADDRINUSE …)."""
    # It sets SO_REUSEADDR: connections of the last run that wait in TIME_WAIT are no hindrance.
    return socket.create_server((LOOPBACK, port), backlog=BACKLOG)


def with_local_port(server: Server, taken: set[int]) -> Server:
    """Return the server with a local port that is free now and that no other server has.

    One that has its port, listens on a socket or is reached directly needs none. Raises Failed
    (``local_port_taken``) when none is free.
    """
    ssh = server.ssh
    if ssh is None or ssh.local_port is not None or ssh.listen is Listen.SOCKET:
        return server
    first = FIRST_PORTS[server.engine.value]
    port = next_free_port(first, taken)
    if port is None:
        raise Failed(Cause.LOCAL_PORT_TAKEN, stage=Stage.SETTINGS, detail=f"no free port from {first} on")
    return msgspec.structs.replace(server, ssh=msgspec.structs.replace(ssh, local_port=port))


def next_free_port(first: int, taken: set[int]) -> int | None:
    """Return the first port from ``first`` on that is free now and is none of ``taken``."""
    candidates = (port for port in range(first, 65536) if port not in taken)
    return next((port for port in islice(candidates, PORT_TRIES) if _is_free(port)), None)


def _is_free(port: int) -> bool:
    try:
        listening(port).close()
    except OSError:
        return False
    return True
