"""Local ports: chosen once for a server, and held from that moment on, on both addresses of loopback.

``localhost`` is 127.0.0.1 to one program and ::1 to another, and whoever has the same number on ::1 gets the
passwords of the latter. What Linux does about a port that two want, in every order of binding and with every
option (tests/unit/test_local_ports.py): a socket that *listens* shares its number with nobody else's, on that
address or on the wildcard that covers it. So both are listened on as soon as they are bound.
"""

from __future__ import annotations

import errno
import socket
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.servers.model import Engine, Listen
from canary_tui.tunnels.listener import BACKLOG

if TYPE_CHECKING:
    from canary_tui.servers.model import Server

LOOPBACK = "127.0.0.1"
LOOPBACK6 = "::1"
NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""Why ::1 cannot be bound where the machine has none (ipv6(7)): not compiled in, switched off on ``lo``."""
FIRST_PORTS = {engine: engine.facts.first_local_port for engine in Engine}
PORT_TRIES = 1000
ANY_PORT_TRIES = 20
Sockets = tuple[socket.socket, ...]


class LocalPorts:
    """The listening sockets of ports that were chosen and are not served yet.

    A port that is free now may be another program's a moment later, while it is being written down: two
    copies that start together would choose the same.
    """

    def __init__(self) -> None:
        self._held: dict[int, Sockets] = {}

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
                self._held[port] = listening_on_both(port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                taken.add(port)  # somebody was quicker
            else:
                return chosen

    def take(self, port: int) -> Sockets:
        """Return sockets that listen on ``port``: 127.0.0.1 first, ::1 where that could be had as well.

        0: any port that is free on both. Raises OSError (EADDRINUSE …) without 127.0.0.1.
        """
        held = self._held.pop(port, None)
        if held is not None:
            return held
        return (listening(port),) if port else _any_port()

    def let_go(self, port: int | None) -> None:
        """Hold a port no more that nobody has taken."""
        for held in self._held.pop(port, ()) if port else ():
            held.close()


def listening(port: int, host: str = LOOPBACK) -> socket.socket:
    """Return a socket that listens on ``port`` of loopback (0: any). Raises OSError (EADDRINUSE …)."""
    # It sets SO_REUSEADDR: connections of the last run that wait in TIME_WAIT are no hindrance.
    family = socket.AF_INET6 if host == LOOPBACK6 else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def listening_on_both(port: int) -> Sockets:
    """Return sockets that listen on ``port`` of both addresses, or of 127.0.0.1 where there is no IPv6.

    Raises OSError, EADDRINUSE when either is taken.
    """
    ipv4 = listening(port)
    try:
        return ipv4, listening(ipv4.getsockname()[1], LOOPBACK6)
    except OSError as error:
        if error.errno in NO_IPV6:
            return (ipv4,)
        ipv4.close()
        raise


def _any_port() -> Sockets:
    for _ in range(ANY_PORT_TRIES):
        try:
            return listening_on_both(0)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return (listening(0),)


def with_local_port(server: Server, taken: set[int]) -> Server:
    """Return the server with a local port that is free now and that no other server has.

    One that has its port, listens on a socket or is reached directly needs none. Raises Failed
    (``local_port_taken``) when none is free.
    """
    ssh = server.ssh
    if ssh is None or ssh.local_port is not None or ssh.listen is Listen.SOCKET:
        return server
    first = FIRST_PORTS[server.engine]
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
        sockets = listening_on_both(port)
    except OSError:
        return False
    for sock in sockets:
        sock.close()
    return True
