"""Free ports, who listens on them, and waiting for a condition with a limit."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

POLL = 0.01
"""Seconds between two looks at a condition."""

_FIRST_PORT = 10_000
_LISTEN = "0A"
_given: set[int] = set()


def wait_for(predicate: Callable[[], T], limit: float = 10.0, what: str = "") -> T:
    """Return the first true value of ``predicate``; raise ``TimeoutError`` after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit} s: {what or _name_of(predicate)}")
        time.sleep(POLL)
    return value


async def eventually(predicate: Callable[[], T], limit: float = 10.0, what: str = "") -> T:
    """The same as :func:`wait_for` for async tests: the event loop keeps running meanwhile."""
    deadline = time.monotonic() + limit
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit} s: {what or _name_of(predicate)}")
        await asyncio.sleep(POLL)
    return value


def free_port() -> int:
    """A TCP port that nobody uses, given out once in this process.

    It lies below the kernel's ephemeral range: while a server is stopped and started again, no outgoing
    connection can be given its port.
    """
    top = _first_ephemeral_port()
    while True:
        port = random.randrange(_FIRST_PORT, top)  # noqa: S311 - a port, not a secret
        if port not in _given and _can_bind(port):
            _given.add(port)
            return port


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def is_listening(port: int) -> bool:
    """Whether a TCP socket listens on ``port``, found without connecting: a connection would be counted."""
    suffix = f":{port:04X}"
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == _LISTEN and local.endswith(suffix):
                return True
    return False


def _first_ephemeral_port() -> int:
    setting = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(setting.read_text().split()[0]) if setting.exists() else 32_768
    return first if first > _FIRST_PORT + 1_000 else 65_000


def _can_bind(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("", port))
        except OSError:
            return False
    return True


def _name_of(predicate: Callable[[], object]) -> str:
    return getattr(predicate, "__qualname__", repr(predicate))
