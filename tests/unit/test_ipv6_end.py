"""The local port on ::1: taken as soon as it can be had; what is wrong is told once, and its end."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor import ipv6_end as module
from canary_tui.monitor.ipv6_end import Ipv6End
from tests.harness.ports import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 15432
TAKEN = f"[::1]:{PORT} belongs to another program: connect to 127.0.0.1, localhost may lead there"
NO_MORE = f"[::1]:{PORT} cannot be opened (Too many open files): connect to 127.0.0.1, not to localhost"


@pytest.fixture
def told() -> list[str]:
    """What was told."""
    return []


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say how one try after the other ends: with an error number, or well (0)."""

    def ending(*numbers: int) -> None:
        left = iter(numbers)

        def listening(_port: int, _host: str) -> socket.socket:
            if number := next(left):
                raise OSError(number, os.strerror(number))
            return socket.socket()

        monkeypatch.setattr(module, "listening", listening)
        monkeypatch.setattr(module, "TRY_SECONDS", 0.0)
        monkeypatch.setattr(module, "_owner", lambda _: "another program")

    return ending


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0,), []),
        ((errno.EAFNOSUPPORT, errno.EAFNOSUPPORT, 0), []),
        ((errno.EADDRNOTAVAIL, 0), []),
        ((errno.EADDRINUSE, errno.EADDRINUSE, errno.EADDRINUSE, 0), [TAKEN, ""]),
        ((errno.EMFILE, errno.EMFILE, 0), [NO_MORE, ""]),
        ((errno.EADDRNOTAVAIL, errno.EADDRINUSE, 0), [TAKEN, ""]),
        ((errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EADDRINUSE, 0), [TAKEN, "", TAKEN, ""]),
    ],
    ids=["free", "no IPv6", "none on lo", "taken", "no room", "taken meanwhile", "taken, off and taken"],
)
async def test_what_is_told(
    told: list[str], tries: Callable[..., None], numbers: tuple[int, ...], said: list[str]
) -> None:
    served: list[socket.socket] = []
    tries(*numbers)
    ipv6 = Ipv6End(PORT, served.append, told.append)
    await eventually(lambda: served)
    await ipv6.close()
    for sock in served:
        sock.close()
    assert len(served) == 1
    assert told == said


async def test_who_is_closed_tries_no_more(told: list[str], tries: Callable[..., None]) -> None:
    tries(*[errno.EADDRINUSE] * 1_000_000)
    served: list[socket.socket] = []
    ipv6 = Ipv6End(PORT, served.append, told.append)
    await eventually(lambda: told)
    await ipv6.close()
    assert (told, served) == ([TAKEN], [])
