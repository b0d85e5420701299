"""Who is at the other end of a local connection."""

from __future__ import annotations

import errno
import os
import pwd
import resource
import socket
import struct
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from canary_tui.tunnels import peer as module
from canary_tui.tunnels.peer import Peer, Peers, has_left, name_of
from tests.harness.ports import has_ipv6

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tell")
ME = frozenset({os.geteuid()})
NOBODY: frozenset[int] = frozenset()


class Transport:
    """What asyncio tells of a connection that came in."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def get_extra_info(self, name: str) -> Any:
        """Return one fact."""
        return {"socket": self._sock}[name]


@contextmanager
def connected(host: str = "127.0.0.1") -> Iterator[tuple[socket.socket, socket.socket, Any]]:
    """Both ends of a connection on this machine, ours that was accepted first, and the other's address."""
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
                yield accepted, client, address


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1"])
def test_our_own_connection_is_ours(host: str) -> None:
    with connected(host) as (accepted, _, address), Peers(accepted.family) as peers:
        assert peers.uid_of(address, accepted.getsockname()) == os.geteuid()
        assert peers.stranger(accepted, address, ME) is None


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_a_client_that_writes_ipv4_as_ipv6_is_known_too() -> None:
    """As Java does."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET6) as client:
        client.connect((f"::ffff:{listener.getsockname()[0]}", listener.getsockname()[1]))
        accepted, address = listener.accept()
        with accepted, Peers(socket.AF_INET) as peers:
            assert peers.stranger(accepted, address, ME) is None
            assert peers.stranger(accepted, address, NOBODY) is not None


def test_another_users_connection_is_named() -> None:
    with connected() as (accepted, _, address), Peers(accepted.family) as peers:
        stranger = peers.stranger(accepted, address, NOBODY)
    assert stranger == Peer(os.geteuid(), f"port {address[1]}")
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert stranger.words == f"a client of another user ({me}, uid {os.geteuid()}, port {address[1]})"


def test_many_are_told_apart_by_one_socket_to_the_kernel() -> None:
    with (
        connected() as (first, _, one),
        connected("127.0.0.2") as (second, other, two),
        Peers(socket.AF_INET) as peers,
    ):
        assert peers.uid_of(one, first.getsockname()) == os.geteuid()
        other.close()
        assert peers.uid_of(two, second.getsockname()) is None
        assert peers.uid_of(one, first.getsockname()) == os.geteuid()


@pytest.mark.parametrize("said", [b"", b"hello"])
def test_a_client_that_has_closed_is_not_taken_for_root(said: bytes) -> None:
    """/proc/net/tcp would show uid 0 for it."""
    with connected() as (accepted, client, address), Peers(accepted.family) as peers:
        client.sendall(said)
        client.close()
        stranger = peers.stranger(accepted, address, ME | {0})
    assert stranger == Peer(None, f"port {address[1]}")
    assert "does not know" in stranger.words


def test_a_client_that_has_reset_its_connection_is_nobody() -> None:
    with connected() as (accepted, client, address), Peers(accepted.family) as peers:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        client.close()
        assert peers.stranger(accepted, address, ME | {0}) == Peer(None, f"port {address[1]}")


def test_a_connection_that_the_kernel_does_not_know_is_nobodys() -> None:
    with connected() as (_, _, address), Peers(socket.AF_INET) as peers:
        assert peers.uid_of(address, ("127.0.0.1", 1)) is None


def test_where_the_kernel_may_not_be_asked_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NETLINK_SOCK_DIAG", 9999)  # as in a sandbox without AF_NETLINK
    with connected() as (accepted, _, address), Peers(accepted.family) as peers:
        assert peers.stranger(accepted, address, ME) == Peer(None, f"port {address[1]}")


def test_without_a_descriptor_left_it_is_said_before_anybody_is_accepted() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.dup(0)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
    try:
        with pytest.raises(OSError, match="open files") as full, Peers(socket.AF_INET):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert full.value.errno == errno.EMFILE


def test_who_comes_through_a_unix_socket_is_known_too() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Peers(socket.AF_UNIX) as peers:
        assert peers.stranger(ours, cast("Any", ""), ME) is None
        assert peers.stranger(ours, cast("Any", ""), NOBODY) == Peer(os.geteuid(), f"process {os.getpid()}")


def test_an_account_that_was_removed_has_no_name() -> None:
    assert name_of(2**31 - 7) == "no account"


def test_a_client_that_has_left_is_seen_though_it_said_something() -> None:
    ours, theirs = socket.socketpair()
    seen = cast("asyncio.Transport", Transport(ours))
    with ours, theirs:
        theirs.sendall(b"user")
        assert not has_left(seen)
        theirs.close()
        assert has_left(seen)
    assert not has_left(seen), "nothing is known of a socket that is closed"
