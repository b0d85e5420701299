"""A local port that was chosen is nobody else's, from that moment until it is served: on both addresses."""

from __future__ import annotations

import errno
import os
import socket
import sys

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor import local_ports
from canary_tui.monitor.local_ports import LOOPBACK, LOOPBACK6, LocalPorts, listening, listening_on_both
from canary_tui.servers.model import Database, Engine, Listen, Server, SshServer
from tests.harness.neighbours import Squatter
from tests.harness.ports import free_port, has_ipv6

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
as_root_on_linux = pytest.mark.skipif(
    os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="only root can be another user"
)


def server(name: str = "orders", port: int | None = None) -> Server:
    """Return a server with a tunnel."""
    return Server(
        name=name,
        engine=Engine.POSTGRESQL,
        database=Database(host="10.0.0.1", port=5432),
        ssh=SshServer(host="jump", port=22, user="me", local_port=port),
    )


def port_of(chosen: Server) -> int:
    """Return the local port."""
    assert chosen.ssh is not None
    assert chosen.ssh.local_port is not None
    return chosen.ssh.local_port


@pytest.fixture(autouse=True)
def _from_a_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setitem(local_ports.FIRST_PORTS, Engine.POSTGRESQL, free.getsockname()[1])


def test_two_that_choose_at_once_get_ports_of_their_own() -> None:
    ours, theirs = LocalPorts(), LocalPorts()
    mine, other = port_of(ours.choose(server(), set())), port_of(theirs.choose(server(), set()))
    assert mine != other
    for ports, port in ((ours, mine), (theirs, other)):
        for sock in ports.take(port):
            with sock:
                assert sock.getsockname()[1] == port


def test_a_port_that_was_lost_to_somebody_quicker_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = local_ports.FIRST_PORTS[Engine.POSTGRESQL]
    monkeypatch.setattr(local_ports, "_is_free", lambda _port: True)
    ports = LocalPorts()
    with listening(first):
        port = port_of(ports.choose(server(), set()))
    assert port > first
    ports.let_go(port)


def test_a_client_that_comes_before_it_is_served_is_not_refused() -> None:
    ports = LocalPorts()
    port = port_of(ports.choose(server(), set()))
    for sock in ports.take(port):
        with socket.create_connection(sock.getsockname()[:2], timeout=5) as client, sock as served:
            served.settimeout(5)
            accepted, address = served.accept()
            accepted.close()
            assert address == client.getsockname()


def test_a_port_that_is_let_go_is_free_again() -> None:
    ports = LocalPorts()
    port = port_of(ports.choose(server(), set()))
    with pytest.raises(OSError, match="in use") as refused:
        listening(port)
    assert refused.value.errno == errno.EADDRINUSE
    ports.let_go(port)
    ports.let_go(port)
    ports.let_go(None)
    listening(port).close()


def test_a_server_that_has_its_port_keeps_it_and_nothing_is_held() -> None:
    ports = LocalPorts()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settled = server(port=port)
    assert ports.choose(settled, set()) is settled
    listening(port).close()


def test_a_server_that_listens_on_a_socket_is_given_no_port() -> None:
    one = server()
    assert one.ssh is not None
    by_socket = msgspec.structs.replace(one, ssh=msgspec.structs.replace(one.ssh, listen=Listen.SOCKET))
    assert LocalPorts().choose(by_socket, set()) is by_socket


def test_without_a_free_port_it_is_said() -> None:
    with pytest.raises(Failed) as failed:
        LocalPorts().choose(server(), set(range(1, 65536)))
    assert failed.value.cause is Cause.LOCAL_PORT_TAKEN


def test_when_nothing_can_be_opened_it_does_not_go_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_port: int, _host: str = "") -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(local_ports, "_is_free", lambda _port: True)
    monkeypatch.setattr(local_ports, "listening", none_left)
    with pytest.raises(OSError, match="Too many"):
        LocalPorts().choose(server(), set())


@needs_ipv6
def test_both_addresses_are_listened_on_by_one_number() -> None:
    ports = LocalPorts()
    for asked in (0, port_of(ports.choose(server(), set()))):
        sockets = ports.take(asked)
        assert [sock.getsockname()[0] for sock in sockets] == [LOOPBACK, LOOPBACK6]
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        for sock in sockets:
            sock.close()


@needs_ipv6
@pytest.mark.parametrize("host", [LOOPBACK, LOOPBACK6])
def test_a_number_that_somebody_has_on_either_address_is_not_chosen(host: str) -> None:
    first = local_ports.FIRST_PORTS[Engine.POSTGRESQL]
    ports = LocalPorts()
    with listening(first, host):
        port = port_of(ports.choose(server(), set()))
        assert port > first
    ports.let_go(port)


@needs_ipv6
def test_a_number_that_is_taken_on_one_address_is_given_back_on_the_other() -> None:
    port = free_port()
    with listening(port, LOOPBACK6), pytest.raises(OSError, match="in use"):
        listening_on_both(port)
    listening(port).close()


@needs_ipv6
def test_where_the_others_have_every_number_on_the_other_address_one_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = OSError(errno.EADDRINUSE, "Address already in use")

    def only_ipv4(port: int, host: str = LOOPBACK) -> socket.socket:
        if host == LOOPBACK6:
            raise taken
        return listening(port, host)

    monkeypatch.setattr(local_ports, "listening", only_ipv4)
    (sock,) = LocalPorts().take(0)
    sock.close()


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_machine_without_ipv6_has_the_other_address(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_ipv6(port: int, host: str = LOOPBACK) -> socket.socket:
        if host == LOOPBACK6:
            raise OSError(number, os.strerror(number))
        return listening(port, host)

    monkeypatch.setattr(local_ports, "listening", no_ipv6)
    ports = LocalPorts()
    port = port_of(ports.choose(server(), set()))
    (sock,) = ports.take(port)
    assert sock.getsockname() == (LOOPBACK, port)
    sock.close()


# What the kernel does about a port that another user wants as well


@needs_ipv6
@as_root_on_linux
@pytest.mark.parametrize("options", ["", "reuseaddr", "reuseport", "reuseaddr reuseport"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::1", "::"])  # noqa: S104
def test_nobody_gets_a_part_of_a_port_that_we_listen_on(host: str, options: str) -> None:
    dual = ["dual"] if ":" in host else []
    ipv4, ipv6 = listening_on_both(free_port())
    port = ipv4.getsockname()[1]
    with ipv4, ipv6:
        with Squatter(host, port, *options.split(), *dual, user="nobody") as squatter:
            assert squatter.said == f"error {errno.EADDRINUSE}"
        for sock in (ipv4, ipv6):
            with socket.create_connection(sock.getsockname()[:2], timeout=5) as client:
                accepted, address = sock.accept()
                accepted.close()
                assert address[:2] == client.getsockname()[:2]


@needs_ipv6
@as_root_on_linux
@pytest.mark.parametrize("options", ["", "reuseaddr", "reuseport", "reuseaddr reuseport"])
@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("127.0.0.1", {LOOPBACK}),
        ("0.0.0.0", {LOOPBACK}),  # noqa: S104
        ("::ffff:127.0.0.1", {LOOPBACK}),
        ("::1", {LOOPBACK6}),
        ("::", {LOOPBACK, LOOPBACK6}),
    ],
)
def test_a_port_that_another_user_listens_on_is_not_shared_with_him(
    host: str, taken: set[str], options: str
) -> None:
    port = free_port()
    dual = ["dual"] if ":" in host else []
    with Squatter(host, port, *options.split(), *dual, user="nobody") as squatter:
        assert squatter.said == "ready"
        for address in (LOOPBACK, LOOPBACK6):
            if address not in taken:
                listening(port, address).close()
                continue
            with pytest.raises(OSError, match="in use") as refused:
                listening(port, address)
            assert refused.value.errno == errno.EADDRINUSE


@needs_ipv6
@as_root_on_linux
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])  # noqa: S104
def test_who_has_bound_a_port_before_us_cannot_listen_on_it_after_us(host: str) -> None:
    """With SO_REUSEADDR two may bind it; the first that listens has it."""
    port = free_port()
    with Squatter(host, port, "bound", "reuseaddr", "dual", user="nobody") as squatter:
        assert squatter.said == "ready"
        ipv4, ipv6 = listening_on_both(port)
        with ipv4, ipv6:
            squatter.go_on()
            assert squatter.line() == f"error {errno.EADDRINUSE}"
