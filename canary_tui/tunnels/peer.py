"""Who is at the other end of a local connection: the uid, asked of the Linux kernel.

``/proc/net/tcp`` is slow and shows uid 0 for a client that closes at once; a ``SOCK_DIAG`` query for
exactly one socket (sock_diag(7)) is exact and takes microseconds. A unix socket's peer is told by
``SO_PEERCRED`` (unix(7)).
"""

from __future__ import annotations

import functools
import ipaddress
import pwd
import select
import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

SOCK_DIAG_BY_FAMILY = 20
NETLINK_SOCK_DIAG = 4
NLM_F_REQUEST = 1
TCP_ALL_STATES = 0xFFFFFFFF
HEADER = struct.Struct("=LHHLL")
REQUEST = struct.Struct("=BBBBL")
NO_COOKIE = struct.pack("=LL", 0xFFFFFFFF, 0xFFFFFFFF)
UID_OFFSET = HEADER.size + 64
"""Where ``inet_diag_msg`` keeps the uid; the inode follows."""


CREDENTIALS = struct.Struct("=iII")
"""``struct ucred``: process, user, group."""


def stranger(transport: asyncio.Transport, allowed: frozenset[int]) -> str:
    """Say who is at the other end where it is none of the ``allowed`` uids; empty when it is.

    Only Linux can tell: elsewhere nobody is a stranger.
    """
    if not sys.platform.startswith("linux"):
        return ""
    client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    if isinstance(server, tuple):
        if not client:
            return "a client that is gone already"
        uid, where = uid_of(client[:2], server[:2]), f"port {client[1]}"
        if uid is None:
            return f"a client ({where}) whose user the system does not know"
    else:
        pid, uid = _unix_peer(transport.get_extra_info("socket"))
        where = f"process {pid}"
    return "" if uid in allowed else f"a client of another user ({name_of(uid)}, uid {uid}, {where})"


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
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "no account"


def _unix_peer(sock: socket.socket) -> tuple[int, int]:
    """Return the process and the uid that connected to a unix socket."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, uid, _ = CREDENTIALS.unpack(data)
    return pid, uid


def uid_of(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """Return the uid that owns the TCP socket bound to ``client`` and connected to ``server``.

    None when the kernel does not know: the client is gone already, or has closed (inode 0).
    """
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    request = REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, TCP_ALL_STATES)
    request += struct.pack(">HH", client[1], server[1])
    request += _address(client[0]) + _address(server[0]) + struct.pack("=L", 0) + NO_COOKIE
    header = HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(0.2)
            netlink.sendto(header + request, (0, 0))
            answer = netlink.recv(4096)
    except OSError:
        return None
    if len(answer) < UID_OFFSET + 8 or HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
        return None
    uid, inode = struct.unpack_from("=LL", answer, UID_OFFSET)
    return int(uid) if inode else None


def _address(text: str) -> bytes:
    return ipaddress.ip_address(text.partition("%")[0]).packed.ljust(16, b"\0")
