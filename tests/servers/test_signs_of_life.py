"""What counts as a sign of life of an SSH server: any data, and not the answer to a keepalive alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import asyncssh
import pytest
from asyncssh.constants import MSG_UNIMPLEMENTED
from asyncssh.packet import UInt32

from canary_tui.monitor.events import TunnelState
from canary_tui.tunnels import dial
from tests.harness.ports import eventually
from tests.servers.held_tunnel import held_tunnel
from tests.servers.world import offer_of, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.dropbear import Dropbear
    from tests.harness.sshd import Sshd
    from tests.servers.failure_case import FailureCase


INTERVAL = 0.8


class Deaf(asyncssh.SSHServer):
    """Lets everybody in and everything through, and answers no keepalive."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        def unanswered(*_: object) -> None:
            if self._answer == "unimplemented":
                conn.send_packet(MSG_UNIMPLEMENTED, UInt32(0))

        conn._process_keepalive_at_openssh_dot_com_global_request = unanswered  # type: ignore[assignment,method-assign]

    def begin_auth(self, username: str) -> bool:
        del username
        return False

    def connection_requested(self, *_: object) -> bool:
        return True


@pytest.fixture
def quick_keepalives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four seconds are long for a test; how many are missed stays."""
    monkeypatch.setitem(dial.FIXED_OPTIONS, "keepalive_interval", INTERVAL)


@pytest.mark.usefixtures("quick_keepalives")
@pytest.mark.parametrize("answer", ["nothing", "unimplemented"])
async def test_a_tunnel_that_is_used_stands_though_no_keepalive_is_answered(
    failure_case: FailureCase, answer: str
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    public = " ".join(key.export_public_key().decode().split()[:2])
    server = failure_case.server()
    async with await asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: Deaf(answer), server_host_keys=[key]
    ) as listener:
        failure_case.trust(offer_of("127.0.0.1", listener.get_port(), public))
        async with held_tunnel(failure_case.world, with_ssh(server, port=listener.get_port())) as at_work:
            await at_work.until(TunnelState.UP)
            client = await asyncpg.connect(
                host="127.0.0.1",
                port=at_work.port,
                user=failure_case.shared_postgres.user,
                password=failure_case.shared_postgres.password,
                database=failure_case.shared_postgres.database,
                ssl=False,
            )
            for _ in range(3):
                await asyncio.sleep(2.2 * INTERVAL)  # two keepalives, of which three may be missed in a row
                assert await client.fetchval("select 1") == 1
            assert TunnelState.LOST not in at_work.states
            client.terminate()
            # Idle, nothing tells it from a dead one.
            await eventually(lambda: TunnelState.LOST in at_work.states, 20)


@pytest.mark.usefixtures("quick_keepalives")
async def test_an_sshd_that_stands_still_is_noticed_all_the_same(
    failure_case: FailureCase, make_sshd: Callable[..., Sshd]
) -> None:
    ssh = make_sshd()
    server = failure_case.world.server(failure_case.shared_postgres, ssh)
    async with held_tunnel(failure_case.world, server) as at_work:
        await at_work.until(TunnelState.UP)
        ssh.suspend()
        try:
            await eventually(lambda: TunnelState.LOST in at_work.states, 20)
        finally:
            ssh.resume()


@pytest.mark.usefixtures("quick_keepalives")
async def test_a_dropbear_that_refuses_each_keepalive_is_alive(
    failure_case: FailureCase, make_dropbear: Callable[..., Dropbear]
) -> None:
    """Any answer is one: the tunnel stands, used or not."""
    ssh = make_dropbear()
    server = failure_case.world.server(failure_case.shared_postgres, ssh, install=False)
    ssh.authorize(failure_case.world.key("orders").line)
    async with held_tunnel(failure_case.world, server) as at_work:
        await at_work.until(TunnelState.UP)
        await asyncio.sleep(5 * INTERVAL)  # three misses in a row would end it
        assert TunnelState.LOST not in at_work.states
        ssh.suspend()
        try:
            await eventually(lambda: TunnelState.LOST in at_work.states, 20)
        finally:
            ssh.resume()
