"""Which process listens on a local port."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys

import pytest

from canary_tui.tunnels.holder import LOOPBACK6, holder_of, uid_on
from tests.harness.neighbours import Squatter
from tests.harness.ports import free_port, has_ipv6

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])  # noqa: S104 - who listens everywhere, too
def test_who_listens_is_named(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        holder = holder_of(server.getsockname()[1])
    assert holder is not None
    assert holder.pid == os.getpid()
    assert holder.program


def test_another_process_is_named() -> None:
    program = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1]); input()"
    with subprocess.Popen(
        [sys.executable, "-uc", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        holder = holder_of(int(other.stdout.readline()))
        other.communicate("\n")
    assert holder is not None
    assert holder.pid == other.pid
    assert holder.program.startswith("python")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
@pytest.mark.parametrize(("host", "holds"), [("::1", True), ("::", True), ("127.0.0.1", False)])
def test_who_listens_on_the_other_address_is_told_apart(host: str, holds: bool) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        holder = holder_of(port, LOOPBACK6)
        assert (holder is not None and holder.pid == os.getpid()) is holds
        assert uid_on(port, LOOPBACK6) == (os.geteuid() if holds else None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_users_uid_is_told() -> None:
    port = free_port()
    with Squatter("127.0.0.1", port, user="nobody"):
        assert uid_on(port) == pwd.getpwnam("nobody").pw_uid


def test_a_port_that_nobody_listens_on_has_no_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert holder_of(port) is None


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            assert holder_of(client.getsockname()[1]) is None
        server.accept()[0].close()


def test_a_listener_elsewhere_does_not_hold_the_port_here() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        assert holder_of(server.getsockname()[1]) is None
