"""The matrix: logged in, and no way from the SSH server to the database; the tunnel lost on the way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import asyncssh
import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.tunnels.dial import dial
from canary_tui.tunnels.route import SshRoute
from tests.harness.misbehave import BlackHole
from tests.harness.ports import free_port
from tests.harness.proxy import Proxy
from tests.servers.matrix import Case
from tests.servers.stand import QUICK, at, command, offer_of, with_database
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from canary_tui.servers.model import Server
    from tests.servers.stand import Stand

NOWHERE = "224.0.0.1"
"""No packet leaves for it: the kernel refuses TCP to a multicast address as unreachable."""


def configured(name: str, *lines: str, mended: str = "") -> Case:
    """A case of an sshd whose settings forbid the forward; the remedy is one other line, or none."""

    async def run(stand: Stand) -> None:
        ssh = stand.own_sshd(*lines)
        server = stand.server(ssh)
        failure = await stand.fails(server)
        ssh.options = [command(failure, mended)] if mended else []
        ssh.restart()
        await stand.works(server)

    return Case(name, Cause.FORWARDING_NOT_PERMITTED, Stage.FORWARD, run)


def lined(name: str, options: str) -> Case:
    """A case of a key whose line does not let it reach the database; the remedy is the right line."""

    async def run(stand: Stand) -> None:
        server = stand.server(install=False)
        port = server.database.port
        stand.sshd.authorize(f"{options.format(port=port)} {stand.world.key('orders').line}")
        await stand.fails(server)
        stand.sshd.deauthorize()
        stand.sshd.authorize(stand.line(server))
        await stand.works(server)

    return Case(name, Cause.FORWARDING_NOT_PERMITTED, Stage.FORWARD, run)


def reinstalled(stand: Stand, server: Server) -> Server:
    """Install the line that fits the server as its settings are now."""
    stand.sshd.deauthorize()
    stand.sshd.authorize(stand.line(server))
    return server


async def settings_changed_after_the_line(stand: Stand) -> None:
    """The line fits 127.0.0.1, the settings now say localhost: the same machine, and not permitted."""
    server = with_database(stand.server(), host="localhost")
    await stand.fails(server)
    await stand.works(reinstalled(stand, server))


async def database_stopped(stand: Stand) -> None:
    """A proxy that is started later stands for the database that is."""
    way = Proxy((stand.postgres.host, stand.postgres.port))
    server = stand.server(port=way.port)
    await stand.fails(server)
    stand.open(way)
    await stand.works(server)


async def wrong_database_port(stand: Stand) -> None:
    await stand.fails(stand.server(port=free_port()))
    await stand.works(reinstalled(stand, stand.server(install=False)))


async def name_unknown_there(stand: Stand) -> None:
    await stand.fails(stand.server(host="no-such-host.invalid"))
    await stand.works(reinstalled(stand, stand.server(install=False)))


async def black_hole_there(stand: Stand) -> None:
    """A fake whose backlog is full: sshd itself would wait for 134 s."""
    hole = stand.open(BlackHole())
    server = stand.server(port=hole.port, timeout=QUICK)
    await stand.fails(server)
    hole.stop()
    stand.open(Proxy((stand.postgres.host, stand.postgres.port), port=hole.port))
    await stand.works(server)


async def unreachable_there(stand: Stand) -> None:
    await stand.fails(stand.server(host=NOWHERE))
    await stand.works(reinstalled(stand, stand.server(install=False)))


def lost(stage: Stage, how: str) -> Case:
    """A case of an SSH connection that ends in a stage: killed at sshd, or reset by a proxy."""

    async def run(stand: Stand) -> None:
        ssh = stand.own_sshd()
        server = stand.server(ssh)
        if how == "killed":
            await stand.fails(server, at(stage, ssh.kill_sessions))
        else:
            proxy = stand.open(Proxy((ssh.host, ssh.port)))
            server = stand.moved(server, proxy.port, ssh=ssh)
            await stand.fails(server, at(stage, proxy.cut))
        await stand.works(server)

    return Case(f"{how}_at_{stage}", Cause.TUNNEL_LOST, stage, run)


async def reused_tunnel_gone(stand: Stand) -> None:
    """A probe over a tunnel that has ended meanwhile; over a new one it works."""
    ssh = stand.own_sshd()
    server = stand.server(ssh)
    route = await _route(stand, server)
    ssh.kill_sessions()
    await route.ssh.lost()
    await stand.fails(server, route=route)
    route = await _route(stand, server)
    await stand.works(server, route=route)
    await route.ssh.close()


async def _route(stand: Stand, server: Server) -> SshRoute:
    assert server.ssh is not None
    key = stand.world.key(server.name).private
    ssh = await dial(server.ssh, key, stand.world.tools.known_hosts, Trace(time.perf_counter))
    return SshRoute(ssh, server.database.host, server.database.port)


def answered(code: int, words: str) -> Callable[[Stand], Awaitable[None]]:
    """A case's run with an SSH server of asyncssh's as the fake: no sshd gives this answer on demand."""

    async def run(stand: Stand) -> None:
        class Refusing(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return False

            def connection_requested(self, *_: object) -> bool:
                raise asyncssh.ChannelOpenError(code, words)

        host_key = asyncssh.generate_private_key("ssh-ed25519")
        server = stand.server()
        async with await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Refusing, server_host_keys=[host_key]
        ) as fake:
            port = fake.get_port()
            public = " ".join(host_key.export_public_key().decode().split()[:2])
            stand.trust(offer_of("127.0.0.1", port, public))
            failure = await stand.fails(with_ssh(server, port=port))
            assert failure.detail == words
        await stand.works(server)

    return run


async def defect_of_ours(stand: Stand) -> None:
    """What nobody foresaw is one failure with its words, and no end of anything."""
    server = stand.server()
    with stand.monkeypatch.context() as patch:
        patch.setattr("canary_tui.monitor.probe.SshRoute.open", None)
        failure = await stand.fails(server)
    assert "TypeError" in failure.detail
    await stand.works(server)


CASES = (
    configured("forwarding_switched_off", "AllowTcpForwarding no", mended="AllowTcpForwarding yes"),
    configured("only_reverse_forwarding", "AllowTcpForwarding remote", mended="AllowTcpForwarding yes"),
    configured("all_forwarding_disabled", "DisableForwarding yes"),
    configured("another_permit_open", "PermitOpen 127.0.0.1:1", mended="PermitOpen "),
    configured("permit_open_none", "PermitOpen none", mended="PermitOpen "),
    lined("bare_restrict", "restrict"),
    lined("restrict_without_port_forwarding", 'restrict,permitopen="127.0.0.1:{port}"'),
    lined("no_port_forwarding", "no-port-forwarding"),
    lined("another_spelling_of_the_host", 'restrict,port-forwarding,permitopen="localhost:{port}"'),
    lined("another_port", 'restrict,port-forwarding,permitopen="127.0.0.1:1"'),
    Case(
        "server_without_forwards",
        Cause.FORWARDING_NOT_PERMITTED,
        Stage.FORWARD,
        answered(3, "unknown channel type"),
    ),
    Case(
        "answer_that_nobody_knows",
        Cause.FORWARD_REFUSED,
        Stage.FORWARD,
        answered(asyncssh.OPEN_RESOURCE_SHORTAGE, "no more channels today"),
    ),
    Case("words_that_nobody_knows", Cause.FORWARD_REFUSED, Stage.FORWARD, answered(2, "etwas Neues")),
    Case("defect_of_ours", Cause.INTERNAL_ERROR, Stage.AUTH, defect_of_ours),
    *(
        Case(run.__name__, cause, Stage.FORWARD, run)
        for cause, runs in {
            Cause.FORWARDING_NOT_PERMITTED: (settings_changed_after_the_line,),
            Cause.DATABASE_REFUSED: (database_stopped, wrong_database_port),
            Cause.DATABASE_NAME_NOT_FOUND: (name_unknown_there,),
            Cause.DATABASE_TIMED_OUT: (black_hole_there,),
            Cause.DATABASE_UNREACHABLE: (unreachable_there,),
            Cause.TUNNEL_LOST: (reused_tunnel_gone,),
        }.items()
        for run in runs
    ),
    *(lost(stage, "killed") for stage in (Stage.FORWARD, Stage.DATABASE, Stage.LOGIN, Stage.QUERY)),
    *(lost(stage, "cut") for stage in (Stage.FORWARD, Stage.QUERY)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_lies_between_the_login_and_the_database_is_named(case: Case, stand: Stand) -> None:
    async with stand.of(case):
        await case.run(stand)
