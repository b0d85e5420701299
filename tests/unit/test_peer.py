"""Who is at the other end of a local connection."""

from __future__ import annotations

import os
import pwd
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from canary_tui.tunnels.peer import has_left, name_of, stranger, uid_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tell")


class Transport:
    """What asyncio tells of a connection that came in."""

    def __init__(self, peername: object, sockname: object, sock: object = None) -> None:
        self._extra = {"peername": peername, "sockname": sockname, "socket": sock}

    def get_extra_info(self, name: str) -> Any:
        """Return one fact."""
        return self._extra[name]


def transport(peername: object, sockname: object, sock: object = None) -> asyncio.Transport:
    return cast("asyncio.Transport", Transport(peername, sockname, sock))


@contextmanager
def connected(host: str = "127.0.0.1") -> Iterator[tuple[Any, Any]]:
    """The addresses of both ends of a connection on this machine, and the client's socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"{host} is no address of this machine")
        listener.listen()
        with socket.socket(family) as client:
            client.connect(listener.getsockname())
            accepted, address = listener.accept()
            with accepted:
                yield address, accepted.getsockname()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_our_own_connection_is_ours(host: str) -> None:
    with connected(host) as (client, server):
        assert uid_of(client[:2], server[:2]) == os.getuid()
        assert stranger(transport(client, server), frozenset({os.getuid()})) == ""


def test_another_users_connection_is_named() -> None:
    with connected() as (client, server):
        words = stranger(transport(client, server), frozenset({os.getuid() + 1}))
    me = pwd.getpwuid(os.getuid()).pw_name
    assert words == f"a client of another user ({me}, uid {os.getuid()}, port {client[1]})"


def test_a_connection_that_the_kernel_does_not_know_is_nobodys() -> None:
    with connected() as (client, server):
        pass
    assert uid_of(client, ("127.0.0.1", 1)) is None
    assert "does not know" in stranger(transport(client, ("127.0.0.1", 1)), frozenset({os.getuid()}))
    assert server


def test_a_client_that_has_closed_is_not_taken_for_root() -> None:
    """/proc/net/tcp would show uid 0 for it."""
    with connected() as (client, server):
        pass
    assert uid_of(client, server) is None


def test_a_client_that_is_gone_before_it_is_asked_about_is_a_stranger() -> None:
    assert stranger(transport(None, ("127.0.0.1", 1)), frozenset({os.getuid()})) != ""


def test_who_comes_through_a_unix_socket_is_known_too() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = transport("", "/run/canary/orders", ours)
        assert stranger(peer, frozenset({os.getuid()})) == ""
        assert f"uid {os.getuid()}, process {os.getpid()})" in stranger(peer, frozenset())


def test_an_account_that_was_removed_has_no_name() -> None:
    assert name_of(2**31 - 7) == "no account"


def test_a_client_that_has_left_is_seen_though_it_said_something() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"user")
        assert not has_left(transport("", "", ours))
        theirs.close()
        assert has_left(transport("", "", ours))
    assert not has_left(transport("", "", ours)), "nothing is known of a socket that is closed"
