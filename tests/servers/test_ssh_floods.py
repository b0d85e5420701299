"""What an SSH server may send: one that sends more than any honest one does is cut off, and named."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.events import TunnelChanged, TunnelState
from canary_tui.tunnels import metered
from tests.harness.floods import Floods, endless
from tests.harness.hostile_ssh import PACKETS, HostileSsh
from tests.harness.ports import eventually
from tests.servers.held_tunnel import held_tunnel
from tests.servers.leftovers import nothing_left
from tests.servers.world import offer_of, with_ssh

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from asyncssh.packet import SSHPacket

    from canary_tui.servers.model import Server
    from tests.servers.failure_case import FailureCase

BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"
IGNORE = bytes.fromhex("0000000c 06 02 00000000 000000000000")
"""SSH_MSG_IGNORE without content, as it is before the key exchange (RFC 4253 §6)."""
LIMIT = 8.0


def attacked(failure_case: FailureCase, hostile: HostileSsh, *, timeout: float = LIMIT) -> Server:
    """A server behind a hostile SSH server, whose host key is trusted."""
    server = with_ssh(failure_case.server(timeout=timeout), port=hostile.port)
    failure_case.trust(offer_of(hostile.host, hostile.port, hostile.host_key))
    return server


AT_LOGIN = ("ignore", "ignore_30_kB", "debug", "unimplemented", "unknown", "banner")
ON_CHANNEL = (
    "ignore", "ignore_30_kB", "debug", "unimplemented", "unknown", "request", "request_with_reply",
    "keepalive", "hostkeys", "forwarded_tcpip", "x11", "agent", "session", "window", "empty_data",
    "channel_request", "rekey",
)  # fmt: skip


@pytest.mark.parametrize("attack", AT_LOGIN)
async def test_a_flood_during_the_login_is_cut_off_and_named(
    attack: str, failure_case: FailureCase, tmp_path: Path
) -> None:
    with HostileSsh(tmp_path, f"{attack}@auth") as hostile:
        server = attacked(failure_case, hostile)
        async with nothing_left():
            result = await failure_case.world.probe(server)
    failure = result.failure
    assert failure is not None
    assert (failure.stage, failure.cause) == (Stage.AUTH, Cause.SSH_CLOSED_AT_LOGIN), failure
    assert "cut off: it sent more than" in failure.detail
    assert "cut it off" in failure.summary
    assert result.total_ms < server.probe.timeout * 1000, "at once, and not when the time is over"


@pytest.mark.parametrize("attack", ON_CHANNEL)
async def test_a_flood_beside_a_channel_is_cut_off_and_named(
    attack: str, failure_case: FailureCase, tmp_path: Path
) -> None:
    with HostileSsh(tmp_path, f"{attack}@channel") as hostile:
        server = attacked(failure_case, hostile)
        async with nothing_left():
            result = await failure_case.world.probe(server)
    failure = result.failure
    assert failure is not None
    assert failure.cause is Cause.TUNNEL_LOST, failure
    assert "cut off: it sent more than" in failure.detail
    assert result.total_ms < server.probe.timeout * 1000


async def test_a_flood_before_the_key_exchange_is_cut_off_and_named(failure_case: FailureCase) -> None:
    with Floods((BANNER,), endless(IGNORE)) as fake:
        async with nothing_left():
            result = await failure_case.world.probe(
                with_ssh(failure_case.server(timeout=LIMIT), port=fake.port)
            )
    failure = result.failure
    assert failure is not None
    assert (failure.stage, failure.cause) == (Stage.HANDSHAKE, Cause.SSH_CLOSED_EARLY), failure
    assert "cut off: it sent more than" in failure.detail


async def test_a_standing_tunnel_that_is_flooded_is_lost_and_backs_off(
    failure_case: FailureCase, tmp_path: Path
) -> None:
    with HostileSsh(tmp_path, "ignore@later") as hostile:
        server = attacked(failure_case, hostile)
        async with nothing_left(), held_tunnel(failure_case.world, server, chance=1.0) as tunnel:
            await tunnel.until(TunnelState.UP)
            lost = await eventually(
                lambda: [
                    e for e in tunnel.events if isinstance(e, TunnelChanged) and e.state is TunnelState.LOST
                ]
            )
            assert "cut off: it sent more than" in lost[0].reason
            await eventually(lambda: tunnel.supervisor.openings == 2)
    assert "up" in tunnel.states


async def test_others_have_their_turn_while_content_comes_without_end(
    failure_case: FailureCase, tmp_path: Path
) -> None:
    """One byte a packet is content, and so is not cut off; but it leaves the event loop to others."""
    with HostileSsh(tmp_path, "content@channel") as hostile:
        server = attacked(failure_case, hostile)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        beside = asyncio.create_task(others())
        result = await failure_case.world.probe(server)
        beside.cancel()
        assert result.failure is not None
        assert turns > 50


async def test_a_server_that_takes_single_bytes_is_cut_off(failure_case: FailureCase, tmp_path: Path) -> None:
    """A client that writes 64 kB would have the event loop for a second."""
    with HostileSsh(tmp_path, "tiny@channel") as hostile:
        server = attacked(failure_case, hostile)
        async with nothing_left():
            failure = (await failure_case.world.probe(server)).failure
    assert failure is not None
    assert (failure.cause, failure.detail) == (
        Cause.TUNNEL_LOST,
        "cut off: it takes only 1 bytes in a packet",
    )


@pytest.mark.parametrize("kind", ["forwarded_tcpip", "x11", "agent", "session"])
async def test_a_channel_that_a_server_opens_is_refused(kind: str, failure_case: FailureCase) -> None:
    """One packet: the server is answered with a failure, and the connection stands."""
    refused: asyncio.Queue[int] = asyncio.Queue()

    class Opener(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self.connection = conn
            real = conn.process_packet

            def process(pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
                if pkttype in {MSG_CHANNEL_OPEN_FAILURE, MSG_CHANNEL_OPEN_CONFIRMATION}:
                    refused.put_nowait(pkttype)
                    return True
                return real(pkttype, pktid, packet)

            conn.process_packet = process  # type: ignore[method-assign]

        def begin_auth(self, username: str) -> bool:
            return False

        def auth_completed(self) -> None:
            self.connection.send_packet(*PACKETS[kind])

        def connection_requested(self, *_: object) -> bool:
            return True

    key = asyncssh.generate_private_key("ssh-ed25519")
    async with await asyncssh.listen("127.0.0.1", 0, server_factory=Opener, server_host_keys=[key]) as fake:
        server = with_ssh(failure_case.server(), port=fake.get_port())
        public = " ".join(key.export_public_key().decode().split()[:2])
        failure_case.trust(offer_of("127.0.0.1", fake.get_port(), public))
        await failure_case.works(server)
        assert await asyncio.wait_for(refused.get(), LIMIT) == MSG_CHANNEL_OPEN_FAILURE


async def test_an_honest_server_is_not_cut_off(failure_case: FailureCase) -> None:
    """Its keepalives, new keys, and the channels of many clients are far below the limits."""
    ssh = failure_case.own_sshd("ClientAliveInterval 1", "RekeyLimit 1M")
    server = failure_case.server(ssh=ssh)
    for _ in range(3):
        await failure_case.works(server)


@pytest.mark.parametrize("idle", [0, 1, 3600])
def test_the_allowance_is_used_up_by_what_no_honest_server_sends(idle: float) -> None:
    seconds = iter([0.0, *(float(n) for n in range(600)), 600.0 + idle, 600.0 + idle])
    allowance = metered.Allowance(lambda: next(seconds))
    used_up = []
    for _ in range(600):
        allowance.take(metered.PACKETS_PER_SECOND)
        used_up.append(allowance.used_up)
    assert not any(used_up), "for ever"
    allowance.take(metered.PACKETS_AT_ONCE)
    assert not allowance.used_up or idle < 3600
    allowance.take(metered.PACKETS_PER_SECOND + 1)
    assert allowance.used_up, "what is not used does not add up"


def test_what_we_ask_for_may_be_answered() -> None:
    allowance = metered.Allowance(lambda: 0.0)
    allowance.take(metered.PACKETS_AT_ONCE)
    for _ in range(10_000):
        allowance.add(metered.ANSWERS)
        allowance.take(metered.ANSWERS)
    assert not allowance.used_up
