"""One tunnel's life, state by state."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

import asyncssh
import msgspec
import pytest

from canary_tui.diagnosis.causes.retries import Retry
from canary_tui.diagnosis.stages import Cause, HostKeyOffer, Stage
from canary_tui.monitor import supervisor as supervisors
from canary_tui.monitor.events import ProbeFinished, TunnelChanged, TunnelState
from canary_tui.monitor.watcher import Watcher
from canary_tui.servers.model import Listen, SshServer
from canary_tui.tunnels import liveness, ssh_logins
from canary_tui.tunnels.dial import dial as real_dial
from tests.harness.ports import eventually
from tests.servers.gates import busy
from tests.servers.held_tunnel import held_tunnel
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from canary_tui.monitor.events import AnyEvent
    from canary_tui.servers.model import Server
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

S = TunnelState


class Wedged(asyncssh.SSHServer):
    """An SSH server that answers keepalives and opens no channel."""

    logins = 0

    def begin_auth(self, username: str) -> bool:
        """Let everybody in."""
        del username
        type(self).logins += 1
        return False

    async def connection_requested(self, *_: object) -> asyncssh.SSHTCPSession[bytes]:
        """Say neither yes nor no."""
        await asyncio.Event().wait()
        raise AssertionError


@contextlib.asynccontextmanager
async def wedged(world: World, server: Server) -> AsyncIterator[Server]:
    """The server's settings, behind an SSH server that is wedged."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Wedged, server_host_keys=[key]
    ) as listener:
        port = listener.get_port()
        kind, public = key.export_public_key().decode().split()[:2]
        world.tools.known_hosts.pin(
            HostKeyOffer(
                host="127.0.0.1", port=port, key_type=kind, fingerprint="", public_line=f"{kind} {public}"
            )
        )
        yield with_ssh(server, host="127.0.0.1", port=port)


async def test_every_step_of_a_life_is_told_with_its_reason(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    async with held_tunnel(world, world.server(postgres, sshd)) as at_work:
        await at_work.until(S.UP)
        sshd.kill_sessions()
        await eventually(lambda: at_work.supervisor.openings == 2)
    assert at_work.states == [S.OPENING, S.UP, S.LOST, S.OPENING, S.UP, S.CLOSED]
    lost = next(e for e in at_work.events if isinstance(e, TunnelChanged) and e.state is S.LOST)
    assert lost.reason


async def test_a_session_that_ends_at_once_is_told_as_a_failure_of_the_login(
    world: World, make_sshd: Callable[..., Sshd], postgres: Postgres
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: sshd changes its root for no other")
    server = world.server(postgres, make_sshd(["ChrootDirectory /nonexistent"]))
    async with held_tunnel(world, server, chance=0.9) as at_work:
        await at_work.until(S.WAITING)
        failure = at_work.supervisor.failure
    assert failure is not None
    assert (failure.stage, failure.cause) == (Stage.AUTH, Cause.SSH_CLOSED_AT_LOGIN)
    lost = next(e for e in at_work.events if isinstance(e, TunnelChanged) and e.state is S.LOST)
    assert lost.reason.startswith("let the user in and ended the connection at once: ")


async def test_a_tunnel_that_opens_no_channel_is_not_up(
    world: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "ANSWER_SECONDS", 0.5)
    world.key("orders")
    server = with_ssh_of_its_own(world, postgres)
    async with wedged(world, server) as behind, held_tunnel(world, behind) as at_work:
        await at_work.until(S.UP)
        at_work.supervisor.verify()
        await eventually(lambda: S.LOST in at_work.states)
        lost = next(e for e in at_work.events if isinstance(e, TunnelChanged) and e.state is S.LOST)
        assert "opened no channel within 0.5 s" in lost.reason
        await eventually(lambda: at_work.supervisor.openings == 2)
        at_work.supervisor.verify()
        assert at_work.supervisor.openings == 2, "a server that stays so is not logged in to all the time"


def with_ssh_of_its_own(world: World, postgres: Postgres) -> Server:
    server = world.server(postgres)
    return msgspec.structs.replace(server, ssh=SshServer(host="127.0.0.1", user="me", key="orders"))


async def test_a_tunnel_in_doubt_that_answers_is_kept(world: World, sshd: Sshd, postgres: Postgres) -> None:
    async with held_tunnel(world, world.server(postgres, sshd)) as at_work:
        await at_work.until(S.UP)
        ssh = at_work.supervisor._ssh
        assert ssh is not None
        for _ in range(3):
            at_work.supervisor.retry_now()
            assert ssh.liveness.verifying
            await eventually(lambda: not ssh.liveness.verifying)
        assert at_work.states == [S.OPENING, S.UP]
        route = at_work.supervisor.route()
        assert route is not None
        assert route.lost() == ""


async def test_a_wait_that_the_network_caused_does_not_lengthen_one_for_a_refused_key(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd, install=False)
    async with held_tunnel(world, server) as at_work:
        supervisor = at_work.supervisor
        for _ in range(10):
            supervisor._attempts.next_delay(Retry.NETWORK)
        assert supervisor._attempts.next_delay(Retry.REFUSED) == 60.0


async def test_a_taken_port_names_the_process_and_offers_a_free_one(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = with_ssh(world.server(postgres, sshd), local_port=port)
        world.write(server, with_ssh(world.server(postgres, sshd, name="next"), local_port=port + 1))
        async with held_tunnel(world, server) as at_work:
            await at_work.until(S.WAITING)
            failure = at_work.supervisor.failure
            assert failure is not None
            assert f"process {os.getpid()}" in failure.summary
            told = "\n".join(failure.remedies)
            assert f"local_port: {port + 1}`" not in told, "another server has that one"
            assert "`local_port: " in told
            other.close()
            await at_work.until(S.UP)
            assert at_work.port == port


async def test_a_local_end_that_can_never_be_bound_waits_for_a_person(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    folder = world.paths.runtime / ("x" * 120)  # a socket's path may have 107 bytes
    world.tools.paths = msgspec.structs.replace(world.paths, runtime=folder)
    async with held_tunnel(world, with_ssh(world.server(postgres, sshd), listen=Listen.SOCKET)) as at_work:
        await at_work.until(S.STOPPED)
        assert at_work.supervisor.failure is not None
        assert at_work.supervisor.failure.cause.value == "settings_invalid"
        assert "socket: " in at_work.supervisor.failure.detail


async def test_what_nobody_has_thought_of_does_not_end_the_tunnel(
    world: World, sshd: Sshd, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([RuntimeError("never seen before")])

    async def dial(*arguments: object, **named: object) -> object:
        for error in failures:
            raise error
        return await real_dial(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ssh_logins, "dial", dial)
    async with held_tunnel(world, world.server(postgres, sshd)) as at_work:
        await at_work.until(S.UP)
        assert S.WAITING in at_work.states


async def test_a_host_key_that_is_trusted_elsewhere_is_taken_up(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd)
    world.paths.known_hosts.unlink()
    async with held_tunnel(world, server) as at_work:
        await at_work.until(S.STOPPED)
        world.trust(sshd)  # as canary trust does, in another process
        await at_work.until(S.UP)


async def test_a_key_whose_mode_is_mended_is_taken_up(world: World, sshd: Sshd, postgres: Postgres) -> None:
    server = world.server(postgres, sshd)
    key = world.paths.keys / "orders"
    key.chmod(0o644)
    async with held_tunnel(world, server) as at_work:
        await at_work.until(S.STOPPED)
        assert at_work.supervisor.failure is not None
        assert at_work.supervisor.failure.cause.value == "key_permissions"
        key.chmod(0o600)
        await at_work.until(S.UP)


async def test_what_only_a_person_can_mend_is_not_tried_again(
    world: World, sshd: Sshd, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisors, "LOOK_SECONDS", 0.01)
    server = world.server(postgres, sshd)
    world.paths.known_hosts.unlink()
    async with held_tunnel(world, server) as at_work:
        await at_work.until(S.STOPPED)
        looked = 0

        def look() -> int:
            nonlocal looked
            looked += 1
            return looked

        await eventually(lambda: look() > 50)
        at_work.supervisor.woke()
        await eventually(lambda: look() > 100)
        assert at_work.states == [S.OPENING, S.STOPPED]


async def test_a_server_that_waits_for_its_turn_to_log_in_is_neither_up_nor_down(
    world: World, sshd: Sshd, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = asyncio.Queue[None]()
    settled = supervisors.Supervisor.settled

    async def looked(supervisor: supervisors.Supervisor, limit: float) -> None:
        del limit
        looks.put_nowait(None)
        await settled(supervisor, 0.01)

    monkeypatch.setattr(supervisors.Supervisor, "settled", looked)
    events: list[AnyEvent] = []
    server = world.server(postgres, sshd)
    others = contextlib.AsyncExitStack()
    await others.enter_async_context(busy(world.tools, sshd))
    watcher = Watcher(
        server,
        world.tools,
        events.append,
        probes=asyncio.Semaphore(1),
        chance=lambda: 0.5,
    )
    watching = asyncio.create_task(watcher.run())
    for _ in range(5):  # it has looked again and again, and still waits
        await asyncio.wait_for(looks.get(), 5)
    assert not [event for event in events if isinstance(event, ProbeFinished)]
    await others.aclose()
    await eventually(lambda: any(isinstance(event, ProbeFinished) for event in events))
    watching.cancel()
    await asyncio.wait({watching})
    assert [event.result.ok for event in events if isinstance(event, ProbeFinished)] == [True]
