"""Whether this machine's network changed: another address, another way out (Linux: proc(5))."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTES = Path("/proc/net/route")
ADDRESSES = Path("/proc/net/if_inet6")
GLOBAL = "00"
"""The scope of an IPv6 address that leads out; containers come and go with addresses of their link."""


def ways_out() -> frozenset[tuple[str, ...]]:
    """Return the IPv4 routes and the global IPv6 addresses; nothing where the system does not tell."""
    routes = {(f[0], f[1], f[2], f[7]) for f in _lines(ROUTES)[1:] if len(f) > 7}
    addresses = {(f[0], f[5]) for f in _lines(ADDRESSES) if len(f) > 5 and f[3] == GLOBAL}
    return frozenset(routes | addresses)


class NetworkMeter:
    """Tells whether the network changed between two looks. ``ways`` gives how it is."""

    def __init__(self, ways: Callable[[], frozenset[tuple[str, ...]]] = ways_out) -> None:
        self._ways = ways
        self._seen = ways()

    def look(self) -> bool:
        """Return whether there is a way out that was not there when it was looked last."""
        now = self._ways()
        new, self._seen = bool(now - self._seen), now
        return new


def _lines(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text("ascii").splitlines()]
    except OSError:
        return []
