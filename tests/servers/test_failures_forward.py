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
from tests.servers.failure_case import QUICK, Case
from tests.servers.probing import at
from tests.servers.world import offer_of, with_database, with_ssh

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from canary_tui.servers.model import Server
    from tests.servers.failure_case import FailureCase

NOWHERE = "224.0.0.1"
"""No packet leaves for it: the kernel refuses TCP to a multicast address as unreachable."""


def configured(name: str, *lines: str, mended: str = "") -> Case:
    """A case of an sshd whose settings forbid the forward; the remedy is one other line, or none."""

    async def run(case: FailureCase) -> None:
        ssh = case.own_sshd(*lines)
        server = case.server(ssh=ssh)
        await case.fails(server)
        ssh.options = [case.advice(mended)] if mended else []
        ssh.restart()
        await case.works(server)

    return Case(name, Cause.FORWARDING_NOT_PERMITTED, Stage.FORWARD, run)


def lined(name: str, options: str) -> Case:
    """A case of a key whose line does not let it reach the database; the remedy is the right line."""

    async def run(case: FailureCase) -> None:
        server = case.server(install=False)
        port = server.database.port
        case.sshd.authorize(f"{options.format(port=port)} {case.world.key('orders').line}")
        await case.fails(server)
        case.sshd.deauthorize()
        case.sshd.authorize(case.world.line(server))
        await case.works(server)

    return Case(name, Cause.FORWARDING_NOT_PERMITTED, Stage.FORWARD, run)


def reinstalled(case: FailureCase, server: Server) -> Server:
    """Install the line that fits the server as its settings are now."""
    case.sshd.deauthorize()
    case.sshd.authorize(case.world.line(server))
    return server


async def settings_changed_after_the_line(case: FailureCase) -> None:
    """The line fits 127.0.0.1, the settings now say localhost: the same machine, and not permitted."""
    server = with_database(case.server(), host="localhost")
    await case.fails(server)
    await case.works(reinstalled(case, server))


async def database_stopped(case: FailureCase) -> None:
    """A proxy that is started later stands for the database that is."""
    way = Proxy((case.shared_postgres.host, case.shared_postgres.port))
    server = case.server(port=way.port)
    await case.fails(server)
    case.open(way)
    await case.works(server)


async def wrong_database_port(case: FailureCase) -> None:
    await case.fails(case.server(port=free_port()))
    await case.works(reinstalled(case, case.server(install=False)))


async def name_unknown_there(case: FailureCase) -> None:
    await case.fails(case.server(host="no-such-host.invalid"))
    await case.works(reinstalled(case, case.server(install=False)))


async def black_hole_there(case: FailureCase) -> None:
    """A fake whose backlog is full: sshd itself would wait for 134 s."""
    hole = case.open(BlackHole())
    server = case.server(port=hole.port, timeout=QUICK)
    await case.fails(server)
    hole.stop()
    case.open(Proxy((case.shared_postgres.host, case.shared_postgres.port), port=hole.port))
    await case.works(server)


async def unreachable_there(case: FailureCase) -> None:
    await case.fails(case.server(host=NOWHERE))
    await case.works(reinstalled(case, case.server(install=False)))


def lost(stage: Stage, how: str) -> Case:
    """A case of an SSH connection that ends in a stage: killed at sshd, or reset by a proxy."""

    async def run(case: FailureCase) -> None:
        ssh = case.own_sshd()
        server = case.server(ssh=ssh)
        end: Callable[[], object] = ssh.kill_sessions
        if how == "cut":
            proxy = case.open(Proxy((ssh.host, ssh.port)))
            server, end = case.moved(server, proxy.port, ssh=ssh), proxy.cut
        # In a login of the probe's own the session may not have begun yet: that is a failure of the login.
        route = await _route(case, server) if stage is Stage.FORWARD else None
        await case.fails(server, at(stage, end), route=route)
        await case.works(server)

    return Case(f"{how}_at_{stage}", Cause.TUNNEL_LOST, stage, run)


async def reused_tunnel_gone(case: FailureCase) -> None:
    """A probe over a tunnel that has ended meanwhile; over a new one it works."""
    ssh = case.own_sshd()
    server = case.server(ssh=ssh)
    route = await _route(case, server)
    ssh.kill_sessions()
    await route.ssh.lost()
    await case.fails(server, route=route)
    route = await _route(case, server)
    await case.works(server, route=route)
    await route.ssh.close()


async def _route(case: FailureCase, server: Server) -> SshRoute:
    assert server.ssh is not None
    key = case.world.key(server.name).private
    ssh = await dial(server.ssh, key, case.world.tools.known_hosts, Trace(time.perf_counter))
    return SshRoute(ssh, server.database.host, server.database.port)


def answered(code: int, words: str) -> Callable[[FailureCase], Awaitable[None]]:
    """A case's run with an SSH server of asyncssh's as the fake: no sshd gives this answer on demand."""

    async def run(case: FailureCase) -> None:
        class Refusing(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return False

            def connection_requested(self, *_: object) -> bool:
                raise asyncssh.ChannelOpenError(code, words)

        host_key = asyncssh.generate_private_key("ssh-ed25519")
        server = case.server()
        async with await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Refusing, server_host_keys=[host_key]
        ) as fake:
            port = fake.get_port()
            public = " ".join(host_key.export_public_key().decode().split()[:2])
            case.trust(offer_of("127.0.0.1", port, public))
            failure = await case.fails(with_ssh(server, port=port))
            assert failure.detail == words
        await case.works(server)

    return run


async def defect_of_ours(case: FailureCase) -> None:
    """What nobody foresaw is one failure with its words, and no end of anything."""
    server = case.server()
    with case.monkeypatch.context() as patch:
        patch.setattr("canary_tui.monitor.probe.SshRoute.open", None)
        failure = await case.fails(server)
    assert "TypeError" in failure.detail
    await case.works(server)


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
async def test_what_lies_between_the_login_and_the_database_is_named(
    case: Case, failure_case: FailureCase
) -> None:
    await failure_case.run(case)
