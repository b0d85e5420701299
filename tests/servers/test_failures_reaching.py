"""The matrix: the way to the SSH server, its name and the connection."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from tests.harness.misbehave import BlackHole
from tests.harness.ports import free_port
from tests.harness.proxy import Proxy
from tests.servers.matrix import Case
from tests.servers.stand import QUICK, Names, command
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.servers.model import Server
    from tests.servers.stand import Stand

NAME = "jumpbox.test"
"""A name that only a case's own resolver knows (RFC 6761 §6.2)."""
NOWHERE = ("224.0.0.1", "ff02::1")
"""No packet leaves for these: the kernel refuses TCP to a multicast address as unreachable."""


def named(stand: Stand) -> tuple[Server, Names]:
    """Return a server whose SSH server has a name, and the fake resolver that is asked for it."""
    server = stand.moved(stand.server(timeout=QUICK), stand.sshd.port, host=NAME)
    return server, Names(stand.monkeypatch, NAME)


def failing(number: int) -> Callable[[], list[str]]:
    """Return a look-up that ends with an error of getaddrinfo(3)."""

    def look_up() -> list[str]:
        raise socket.gaierror(number, "the look-up failed")

    return look_up


async def name_unknown(stand: Stand) -> None:
    """The machine's own resolver; the remedy is the address."""
    server = stand.server()
    await stand.fails(with_ssh(server, host="no-such-host.invalid"))
    await stand.works(server)


async def name_without_address(stand: Stand) -> None:
    """A fake resolver: the name exists, and has no address."""
    server, names = named(stand)
    names.look_up = failing(socket.EAI_NODATA)
    await stand.fails(server)
    names.lead_to("127.0.0.1")
    await stand.works(server)


async def name_that_cannot_be(stand: Stand) -> None:
    """A label of more than 63 characters: no resolver is ever asked for it."""
    server = stand.server()
    await stand.fails(with_ssh(server, host="a" * 64 + ".test"))
    await stand.works(server)


async def resolver_not_reached(stand: Stand) -> None:
    """A fake resolver: no name server answers."""
    server, names = named(stand)
    names.look_up = failing(socket.EAI_AGAIN)
    await stand.fails(server)
    names.lead_to("127.0.0.1")
    await stand.works(server)


async def resolver_broken(stand: Stand) -> None:
    """A fake resolver: the name server answers that it cannot."""
    server, names = named(stand)
    names.look_up = failing(socket.EAI_FAIL)
    await stand.fails(server)
    names.lead_to("127.0.0.1")
    await stand.works(server)


async def resolver_hanging(stand: Stand) -> None:
    """A fake resolver that gives no answer; its thread is left alone and ends with the look-up."""
    server, names = named(stand)
    answered = threading.Event()
    stand.finally_(answered.set)

    def hang() -> list[str]:
        answered.wait()
        return []

    names.look_up = hang
    await stand.fails(server)
    names.lead_to("127.0.0.1")
    await stand.works(server)


async def ssh_server_stopped(stand: Stand) -> None:
    ssh = stand.own_sshd()
    server = stand.server(ssh)
    ssh.stop()
    await stand.fails(server)
    ssh.start()
    await stand.works(server)


async def wrong_ssh_port(stand: Stand) -> None:
    server = stand.server()
    await stand.fails(with_ssh(server, port=free_port()))
    await stand.works(server)


async def one_address_unreachable_the_other_refusing(stand: Stand) -> None:
    """A fake resolver gives the name two addresses, which fail for different reasons."""
    server, names = named(stand)
    names.lead_to(NOWHERE[0], "127.0.0.1")
    await stand.fails(with_ssh(server, port=free_port()))
    await stand.works(server)


async def black_hole(stand: Stand) -> None:
    """A fake whose backlog is full stands for a firewall that drops."""
    hole = stand.open(BlackHole())
    server = stand.moved(stand.server(timeout=QUICK), hole.port)
    await stand.fails(server)
    hole.stop()
    stand.open(Proxy((stand.sshd.host, stand.sshd.port), port=hole.port))
    await stand.works(server)


async def network_unreachable(stand: Stand) -> None:
    server = stand.server()
    await stand.fails(with_ssh(server, host=NOWHERE[0]))
    await stand.works(server)


async def only_ipv6_unreachable(stand: Stand) -> None:
    """A fake resolver gives the name one IPv6 address; the remedy is the IPv4 address."""
    server, names = named(stand)
    names.lead_to(NOWHERE[1])
    await stand.fails(server)
    names.lead_to("127.0.0.1")
    await stand.works(server)


async def direct_name_unknown(stand: Stand) -> None:
    failure = await stand.fails(stand.direct(host="no-such-host.invalid"))
    assert "database.host" in failure.remedies[0]
    await stand.works(stand.direct())


async def direct_database_stopped(stand: Stand) -> None:
    """A proxy that is started later stands for the database that is."""
    way = Proxy((stand.postgres.host, stand.postgres.port))
    server = stand.direct(port=way.port)
    failure = await stand.fails(server)
    assert command(failure, "systemctl start postgresql")
    stand.open(way)
    await stand.works(server)


async def direct_black_hole(stand: Stand) -> None:
    """A fake whose backlog is full stands for a firewall that drops."""
    hole = stand.open(BlackHole())
    server = stand.direct(port=hole.port, timeout=QUICK)
    await stand.fails(server)
    hole.stop()
    stand.open(Proxy((stand.postgres.host, stand.postgres.port), port=hole.port))
    await stand.works(server)


async def direct_unreachable(stand: Stand) -> None:
    await stand.fails(stand.direct(host=NOWHERE[0]))
    await stand.works(stand.direct())


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
async def test_what_keeps_the_ssh_server_from_being_reached_is_named(case: Case, stand: Stand) -> None:
    async with stand.of(case):
        await case.run(stand)
