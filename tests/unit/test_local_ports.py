"""A local port that was chosen is nobody else's, from that moment until it is served."""

from __future__ import annotations

import errno
import socket

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor import local_ports
from canary_tui.monitor.local_ports import LocalPorts, listening
from canary_tui.servers.model import Database, Engine, Listen, Server, SshServer


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
        monkeypatch.setitem(local_ports.FIRST_PORTS, "postgresql", free.getsockname()[1])


def test_two_that_choose_at_once_get_ports_of_their_own() -> None:
    ours, theirs = LocalPorts(), LocalPorts()
    mine, other = port_of(ours.choose(server(), set())), port_of(theirs.choose(server(), set()))
    assert mine != other
    for ports, port in ((ours, mine), (theirs, other)):
        with ports.take(port) as sock:
            assert sock.getsockname()[1] == port


def test_a_port_that_was_lost_to_somebody_quicker_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = local_ports.FIRST_PORTS["postgresql"]
    monkeypatch.setattr(local_ports, "_is_free", lambda _port: True)
    ports = LocalPorts()
    with listening(first):
        port = port_of(ports.choose(server(), set()))
    assert port > first
    ports.let_go(port)


def test_a_client_that_comes_before_it_is_served_is_not_refused() -> None:
    ports = LocalPorts()
    port = port_of(ports.choose(server(), set()))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client, ports.take(port) as served:
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
    def none_left(_port: int) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(local_ports, "_is_free", lambda _port: True)
    monkeypatch.setattr(local_ports, "listening", none_left)
    with pytest.raises(OSError, match="Too many"):
        LocalPorts().choose(server(), set())
