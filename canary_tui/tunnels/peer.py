"""Who is at the other end of a local connection: the uid, asked of the Linux kernel.

``/proc/net/tcp`` is slow and shows uid 0 for a client that closes at once; a ``SOCK_DIAG`` query for
exactly one socket (sock_diag(7)) is exact and takes microseconds. A unix socket's peer is told by
``SO_PEERCRED`` (unix(7)).
"""

from __future__ import annotations

import functools
import pwd
import select
import socket
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple, Self

from canary_tui.diagnosis.printable import Source
from canary_tui.tunnels.open_files import NO_ROOM

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

SOCK_DIAG_BY_FAMILY = 20
NETLINK_SOCK_DIAG = 4
NLM_F_REQUEST = 1
TCP_ALL_STATES = 0xFFFFFFFF
HEADER = struct.Struct("=LHHLL")
REQUEST = struct.Struct("=BBBBL")
PORTS = struct.Struct(">HH")
NO_DEVICE_NO_COOKIE = struct.pack("=LLL", 0, 0xFFFFFFFF, 0xFFFFFFFF)
UID_OFFSET = HEADER.size + 64
"""Where ``inet_diag_msg`` keeps the uid; the inode follows."""
ANSWER_SECONDS = 0.2
CREDENTIALS = struct.Struct("=iII")
"""``struct ucred``: process, user, group."""
LINUX = sys.platform.startswith("linux")


class Peer(NamedTuple):
    """Who connected. ``uid`` is None when the system does not know: the client is gone already."""

    uid: int | None
    where: str
    """``port 50123``, or ``process 812`` at a unix socket."""

    @property
    def words(self) -> str:
        """Say who it is, as one whom nobody let in."""
        if self.uid is None:
            return f"a client ({self.where}) whose user the system does not know"
        return f"a client of another user ({name_of(self.uid)}, uid {self.uid}, {self.where})"


class Peers:
    """Tells who connected to a listening socket of ``family``.

    ``with Peers(family) as peers``: one socket to the kernel serves as many questions as there are at
    once; opening it takes three times as long as one question (5 µs). Entering raises OSError when nothing
    more can be opened.
    """

    def __init__(self, family: int) -> None:
        self._family = family
        self._netlink: socket.socket | None = None

    def __enter__(self) -> Self:
        if LINUX and self._family != socket.AF_UNIX:
            try:
                self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
                self._netlink.settimeout(ANSWER_SECONDS)
                self._netlink.connect((0, 0))
            except OSError as error:
                self._close()
                if error.errno in NO_ROOM:
                    raise
                # A sandbox without AF_NETLINK: nobody is known, and so nobody is let in.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def stranger(
        self, connection: socket.socket, client: tuple[str, int], allowed: frozenset[int]
    ) -> Peer | None:
        """Return who is at the other end where it is none of the ``allowed`` uids; None when it is.

        ``client`` is the other end's address. Only Linux can tell: elsewhere nobody is a stranger.
        """
        if not LINUX:
            return None
        if self._family == socket.AF_UNIX:
            data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
            pid, uid, _ = CREDENTIALS.unpack(data)
            return None if uid in allowed else Peer(uid, f"process {pid}")
        owner = self.uid_of(client, connection.getsockname())
        return None if owner in allowed else Peer(owner, f"port {client[1]}")

    def uid_of(self, client: tuple[str, int], server: tuple[str, int]) -> int | None:
        """Return the uid that owns the TCP socket bound to ``client`` and connected to ``server``.

        None when the kernel does not know: the client is gone already, or has closed (inode 0).
        """
        if self._netlink is None:
            return None
        request = REQUEST.pack(self._family, socket.IPPROTO_TCP, 0, 0, TCP_ALL_STATES)
        request += PORTS.pack(client[1], server[1]) + self._packed(client[0]) + self._packed(server[0])
        request += NO_DEVICE_NO_COOKIE
        header = HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
        try:
            self._netlink.send(header + request)
            answer = self._netlink.recv(4096)
        except OSError:
            self._close()  # an answer that comes late would be taken for the next one's
            return None
        if len(answer) < UID_OFFSET + 8 or HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
            return None
        uid, inode = struct.unpack_from("=LL", answer, UID_OFFSET)
        return int(uid) if inode else None

    def _packed(self, address: str) -> bytes:
        return socket.inet_pton(self._family, address.partition("%")[0]).ljust(16, b"\0")


def has_left(transport: asyncio.Transport) -> bool:
    """Whether the other end has closed, though what it sent is still unread (poll(2), Linux)."""
    sock = transport.get_extra_info("socket")
    if not hasattr(select, "POLLRDHUP") or sock is None or sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


@functools.lru_cache(256)  # asked again and again, the answer may have to come from a directory server
def name_of(uid: int) -> str:
    """Return the account's name; a uid without one is said to have none."""
    try:
        return Source.PROGRAM.text(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return "no account"
