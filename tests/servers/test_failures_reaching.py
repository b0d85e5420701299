"""The matrix: the way to the SSH server, its name and the connection."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from tests.harness.misbehave import BlackHole
from tests.harness.ports import free_port
from tests.harness.proxy import Proxy
from tests.servers.failure_case import QUICK, Case
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.servers.model import Server
    from tests.servers.failure_case import FailureCase

NAME = "jumpbox.test"
"""A name that only a case's own resolver knows (RFC 6761 §6.2)."""
NOWHERE = ("224.0.0.1", "ff02::1")
"""No packet leaves for these: the kernel refuses TCP to a multicast address as unreachable."""


class Names:
    """An honest fake of this machine's resolver for one name; all others go to the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.name = name
        self.look_up: Callable[[], list[str]] = list
        """What looking the name up does: returns its addresses, raises, or hangs."""
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def lead_to(self, *addresses: str) -> None:
        """Have the name lead to addresses, in that order."""
        self.look_up = lambda: list(addresses)

    def _getaddrinfo(self, host: Any, port: Any, *rest: Any, **options: Any) -> list[Any]:
        hosts = self.look_up() if host == self.name else [host]
        return [info for one in hosts for info in self._real(one, port, *rest, **options)]


def named(case: FailureCase) -> tuple[Server, Names]:
    """Return a server whose SSH server has a name, and the fake resolver that is asked for it."""
    server = case.moved(case.server(timeout=QUICK), case.sshd.port, host=NAME)
    return server, Names(case.monkeypatch, NAME)


def failing(number: int) -> Callable[[], list[str]]:
    """Return a look-up that ends with an error of getaddrinfo(3)."""

    def look_up() -> list[str]:
        raise socket.gaierror(number, "the look-up failed")

    return look_up


async def name_unknown(case: FailureCase) -> None:
    """The machine's own resolver; the remedy is the address."""
    server = case.server()
    await case.fails(with_ssh(server, host="no-such-host.invalid"))
    await case.works(server)


async def name_without_address(case: FailureCase) -> None:
    """A fake resolver: the name exists, and has no address."""
    server, names = named(case)
    names.look_up = failing(socket.EAI_NODATA)
    await case.fails(server)
    names.lead_to("127.0.0.1")
    await case.works(server)


async def name_that_cannot_be(case: FailureCase) -> None:
    """A label of more than 63 characters: no resolver is ever asked for it."""
    server = case.server()
    await case.fails(with_ssh(server, host="a" * 64 + ".test"))
    await case.works(server)


async def resolver_not_reached(case: FailureCase) -> None:
    """A fake resolver: no name server answers."""
    server, names = named(case)
    names.look_up = failing(socket.EAI_AGAIN)
    await case.fails(server)
    names.lead_to("127.0.0.1")
    await case.works(server)


async def resolver_broken(case: FailureCase) -> None:
    """A fake resolver: the name server answers that it cannot."""
    server, names = named(case)
    names.look_up = failing(socket.EAI_FAIL)
    await case.fails(server)
    names.lead_to("127.0.0.1")
    await case.works(server)


async def resolver_hanging(case: FailureCase) -> None:
    """A fake resolver that gives no answer; its thread is left alone and ends with the look-up."""
    server, names = named(case)
    answered = threading.Event()
    case.undo(answered.set)

    def hang() -> list[str]:
        answered.wait()
        return []

    names.look_up = hang
    await case.fails(server)
    names.lead_to("127.0.0.1")
    await case.works(server)


async def ssh_server_stopped(case: FailureCase) -> None:
    ssh = case.own_sshd()
    server = case.server(ssh=ssh)
    ssh.stop()
    await case.fails(server)
    ssh.start()
    await case.works(server)


async def wrong_ssh_port(case: FailureCase) -> None:
    server = case.server()
    await case.fails(with_ssh(server, port=free_port()))
    await case.works(server)


async def one_address_unreachable_the_other_refusing(case: FailureCase) -> None:
    """A fake resolver gives the name two addresses, which fail for different reasons."""
    server, names = named(case)
    names.lead_to(NOWHERE[0], "127.0.0.1")
    await case.fails(with_ssh(server, port=free_port()))
    await case.works(server)


async def black_hole(case: FailureCase) -> None:
    """A fake whose backlog is full stands for a firewall that drops."""
    hole = case.open(BlackHole())
    server = case.moved(case.server(timeout=QUICK), hole.port)
    await case.fails(server)
    hole.stop()
    case.open(Proxy((case.sshd.host, case.sshd.port), port=hole.port))
    await case.works(server)


async def network_unreachable(case: FailureCase) -> None:
    server = case.server()
    await case.fails(with_ssh(server, host=NOWHERE[0]))
    await case.works(server)


async def only_ipv6_unreachable(case: FailureCase) -> None:
    """A fake resolver gives the name one IPv6 address; the remedy is the IPv4 address."""
    server, names = named(case)
    names.lead_to(NOWHERE[1])
    await case.fails(server)
    names.lead_to("127.0.0.1")
    await case.works(server)


async def direct_name_unknown(case: FailureCase) -> None:
    failure = await case.fails(case.server(direct=True, host="no-such-host.invalid"))
    assert "database.host" in failure.remedies[0]
    await case.works(case.server(direct=True))


async def direct_database_stopped(case: FailureCase) -> None:
    """A proxy that is started later stands for the database that is."""
    way = Proxy((case.shared_postgres.host, case.shared_postgres.port))
    server = case.server(direct=True, port=way.port)
    await case.fails(server)
    assert case.advice("systemctl start postgresql")
    case.open(way)
    await case.works(server)


async def direct_black_hole(case: FailureCase) -> None:
    """A fake whose backlog is full stands for a firewall that drops."""
    hole = case.open(BlackHole())
    server = case.server(direct=True, port=hole.port, timeout=QUICK)
    await case.fails(server)
    hole.stop()
    case.open(Proxy((case.shared_postgres.host, case.shared_postgres.port), port=hole.port))
    await case.works(server)


async def direct_unreachable(case: FailureCase) -> None:
    await case.fails(case.server(direct=True, host=NOWHERE[0]))
    await case.works(case.server(direct=True))


CASES = tuple(
    Case(run.__name__, cause, stage, run)
    for stage, cause, runs in (
        (
            Stage.RESOLVE,
            Cause.NAME_NOT_FOUND,
            (name_unknown, name_without_address, name_that_cannot_be, direct_name_unknown),
        ),
        (Stage.RESOLVE, Cause.RESOLVER_FAILED, (resolver_not_reached, resolver_broken)),
        (Stage.RESOLVE, Cause.RESOLVE_TIMED_OUT, (resolver_hanging,)),
        (
            Stage.CONNECT,
            Cause.CONNECTION_REFUSED,
            (
                ssh_server_stopped,
                wrong_ssh_port,
                one_address_unreachable_the_other_refusing,
                direct_database_stopped,
            ),
        ),
        (Stage.CONNECT, Cause.CONNECT_TIMED_OUT, (black_hole, direct_black_hole)),
        (
            Stage.CONNECT,
            Cause.NETWORK_UNREACHABLE,
            (network_unreachable, only_ipv6_unreachable, direct_unreachable),
        ),
    )
    for run in runs
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_keeps_the_ssh_server_from_being_reached_is_named(
    case: Case, failure_case: FailureCase
) -> None:
    await failure_case.run(case)
