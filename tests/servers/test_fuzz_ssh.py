"""Whatever comes from the SSH side, a probe ends within its limit with a failure that has a name."""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from typing import TYPE_CHECKING

import asyncssh
from hypothesis import example, given
from hypothesis import strategies as st

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.tunnels import greeting
from tests.harness.hostile_ssh import PACKETS
from tests.harness.misbehave import Says
from tests.harness.proxy import Proxy
from tests.servers.fuzzing import MINUTES, few
from tests.servers.leftovers import nothing_left
from tests.servers.probing import GRACE
from tests.servers.world import offer_of, with_probe, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.servers.model import Server
    from tests.harness.misbehave import Then
    from tests.harness.sshd import Sshd
    from tests.servers.failure_case import FailureCase

BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"
LIMIT = 0.4
"""Seconds for a whole probe: what falls silent is waited for so long."""
WHOLE = 4_500
"""Bytes that an SSH server sends for one probe, and a few more."""
SSH_STAGES = {
    Stage.HANDSHAKE, Stage.HOST_KEY, Stage.AUTH, Stage.FORWARD, Stage.DATABASE, Stage.LOGIN, Stage.QUERY,
}  # fmt: skip

endings = st.sampled_from(["close", "reset", "silence"])


def packet(kind: int, payload: bytes) -> bytes:
    """Return a whole packet as it is before the key exchange (RFC 4253 §6): random where it counts."""
    body = bytes([kind]) + payload
    padding = 8 - (len(body) + 5) % 8 + 8
    return struct.pack(">IB", len(body) + padding + 1, padding) + body + bytes(padding)


packets = st.lists(
    st.builds(packet, st.sampled_from([1, 2, 3, 4, 20, 21, 30, 31, 50, 98, 255]), st.binary(max_size=80)),
    min_size=1,
    max_size=3,
).map(b"".join)


messages = st.tuples(st.integers(1, 127), st.binary(max_size=60)) | st.sampled_from([*PACKETS.values()])
"""Numbers and contents of messages: arbitrary ones, and ones that make sense."""


async def named(failure_case: FailureCase, server: Server) -> ProbeResult:
    """Probe, and see that it ends in time, in a named failure or well."""
    result = await failure_case.world.probe(server)
    assert result.total_ms <= (server.probe.timeout + GRACE) * 1000
    if result.failure is not None:
        assert result.failure.cause is not Cause.INTERNAL_ERROR, result.failure.detail
        assert result.failure.stage in SSH_STAGES
    return result


def hasty(server: Server) -> Server:
    return with_probe(server, timeout=LIMIT)


@MINUTES
def test_arbitrary_first_words_are_named(failure_case: FailureCase, times: int) -> None:
    failure_case.monkeypatch.setattr(greeting, "QUIET_SECONDS", LIMIT / 4)  # long before the probe's limit
    with Says(b"") as fake:
        server = with_ssh(hasty(failure_case.server()), port=fake.port)

        @few(20, times)
        @given(words=st.binary(max_size=60) | st.text(max_size=60).map(str.encode), then=endings)
        @example(words=b"SSH-2.0-\r\n", then="close")
        @example(words=b"SSH-2.0-\xff\xfe\r\n", then="close")
        @example(words=b"\n" * 5000, then="silence")
        def fuzz(words: bytes, then: Then) -> None:
            fake.data, fake.then = words, then
            asyncio.run(meet())

        async def meet() -> None:
            async with nothing_left():
                result = await named(failure_case, server)
                assert not result.ok

        fuzz()


@MINUTES
def test_arbitrary_words_after_the_version_are_named(failure_case: FailureCase, times: int) -> None:
    with Says(b"") as fake:
        server = with_ssh(hasty(failure_case.server()), port=fake.port)

        @few(35, times)
        @given(words=packets | st.binary(max_size=300), then=endings)
        @example(words=b"\xff" * 40_000, then="silence")
        def fuzz(words: bytes, then: Then) -> None:
            fake.data, fake.then = BANNER + words, then
            asyncio.run(meet())

        async def meet() -> None:
            async with nothing_left():
                result = await named(failure_case, server)
                assert not result.ok

        fuzz()


@MINUTES
def test_a_real_server_whose_words_are_damaged_or_cut_off_is_named(
    failure_case: FailureCase, times: int
) -> None:
    """Anywhere from its first byte to the query's answer."""
    with Damaging(failure_case.sshd) as proxy:
        server = failure_case.moved(hasty(failure_case.server()), proxy.port)

        @few(45, times)
        @given(at=st.integers(0, WHOLE), how=st.sampled_from(["flip", "flip", "close", "reset", "silence"]))
        def fuzz(at: int, how: str) -> None:
            proxy.at, proxy.how = at, how
            asyncio.run(meet())

        async def meet() -> None:
            async with nothing_left([failure_case.sshd]):
                await named(failure_case, server)

        fuzz()


@MINUTES
def test_arbitrary_messages_of_an_encrypted_connection_are_named(
    failure_case: FailureCase, times: int
) -> None:
    """A fake of asyncssh's server side: it says too much at the login, at the forward or beside a channel.

    Once or again and again, what makes sense and what does not.
    """
    server = hasty(failure_case.server())
    key = asyncssh.generate_private_key("ssh-ed25519")
    public = " ".join(key.export_public_key().decode().split()[:2])

    @few(45, times)
    @given(
        said=st.lists(st.tuples(messages, st.sampled_from([1, 1, 2, 300])), min_size=1, max_size=4),
        stage=st.sampled_from([Stage.AUTH, Stage.FORWARD, Stage.DATABASE]),
    )
    def fuzz(said: list[tuple[tuple[int, bytes], int]], stage: Stage) -> None:
        asyncio.run(meet(said, stage))

    async def meet(said: list[tuple[tuple[int, bytes], int]], stage: Stage) -> None:
        async with (
            nothing_left(),
            await asyncssh.listen(
                "127.0.0.1", 0, server_factory=partial(Talker, said, stage), server_host_keys=[key]
            ) as fake,
        ):
            port = fake.get_port()
            failure_case.world.paths.known_hosts.unlink(missing_ok=True)
            failure_case.trust(offer_of("127.0.0.1", port, public))
            result = await named(failure_case, with_ssh(server, port=port))
            assert not result.ok

    fuzz()


class Talker(asyncssh.SSHServer):
    """Says messages, each so many times, at the login, at the forward or beside a channel."""

    def __init__(self, said: list[tuple[tuple[int, bytes], int]], stage: Stage) -> None:
        self.said = said
        self.stage = stage

    def talk(self) -> None:
        for (kind, payload), count in self.said:
            for _ in range(count):
                self.connection.send_packet(kind, payload)

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn

    def begin_auth(self, username: str) -> bool:
        if self.stage is Stage.AUTH:
            self.talk()
        return False

    def connection_requested(self, *_: object) -> bool | Talking:
        if self.stage is Stage.DATABASE:
            return Talking(self.talk)
        self.talk()
        return False


class Talking(asyncssh.SSHTCPSession[bytes]):
    """A channel to no database, which begins to talk when it is open."""

    def __init__(self, talk: Callable[[], None]) -> None:
        self.session_started = talk  # type: ignore[method-assign]


class Damaging(Proxy):
    """A proxy that turns byte ``at`` of what the server says, or ends there: ``flip close reset silence``."""

    def __init__(self, sshd: Sshd) -> None:
        super().__init__((sshd.host, sshd.port))
        self.at = 0
        self.how = "flip"

    async def _pump_down(self, upstream: socket.socket, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        left = self.at
        while data := await loop.sock_recv(upstream, 65_536):
            if left >= len(data):
                left -= len(data)
            elif left >= 0:
                damaged = bytes([data[left] ^ 0xFF]) + data[left + 1 :] if self.how == "flip" else b""
                data, left = data[:left] + damaged, -1
            await loop.sock_sendall(client, data)
            if left < 0 and self.how == "reset":
                raise ConnectionResetError
            if left < 0 and self.how == "close":
                client.shutdown(socket.SHUT_WR)
            if left < 0 and self.how != "flip":
                break
        while await loop.sock_recv(upstream, 65_536):
            continue  # until the client has had enough
