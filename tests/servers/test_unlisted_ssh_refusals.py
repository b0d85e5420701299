"""What no table has, said by an SSH server: refused channels, disconnects and logins that are made up."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_DISCONNECT,
    MSG_USERAUTH_FAILURE,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_CONNECT_FAILED,
    OPEN_UNKNOWN_CHANNEL_TYPE,
)
from asyncssh.packet import Boolean, String, UInt32
from hypothesis import example, given
from hypothesis import strategies as st

from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.backoff import retry_of_probe
from tests.harness.misbehave import Says
from tests.servers.fuzzing import MINUTES, WORDS, few
from tests.servers.leftovers import nothing_left
from tests.servers.test_fuzz_ssh import BANNER, packet
from tests.servers.world import offer_of, with_probe, with_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from canary_tui.diagnosis.stages import Failure
    from canary_tui.servers.model import Server
    from tests.servers.failure_case import FailureCase

LIMIT = 4.0
"""Seconds for a probe. None of these answers is waited for."""
MEANT = {OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_CONNECT_FAILED, OPEN_UNKNOWN_CHANNEL_TYPE}

codes = st.integers(0, 2**32 - 1) | st.integers(0, 20)
methods = st.lists(
    st.sampled_from([b"publickey", b"password", b"keyboard-interactive", b"gssapi-with-mic", b"none"])
    | st.binary(max_size=12),
    max_size=4,
).map(b",".join)


class Refusing(asyncssh.SSHServer):
    """Lets everybody in, and says at one point what an example has."""

    def __init__(self, stage: Stage | None = None, act: Callable[[Any], None] = lambda _: None) -> None:
        self._stage = stage
        self._act = act

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        del username
        if self._stage is Stage.AUTH:
            self._act(self._connection)
        return self._stage is Stage.AUTH

    def public_key_auth_supported(self) -> bool:
        return True

    def connection_requested(self, *_: object) -> bool:
        if self._stage is Stage.FORWARD:
            self._act(self._connection)
        return False


KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = " ".join(KEY.export_public_key().decode().split()[:2])


@asynccontextmanager
async def listening(
    case: FailureCase, server: Server, factory: Callable[[], Refusing]
) -> AsyncIterator[Server]:
    """The server's settings, behind such an SSH server."""
    async with (
        nothing_left(),
        await asyncssh.listen("127.0.0.1", 0, server_factory=factory, server_host_keys=[KEY]) as fake,
    ):
        port = fake.get_port()
        case.world.paths.known_hosts.unlink(missing_ok=True)
        case.trust(offer_of("127.0.0.1", port, PUBLIC))
        yield with_ssh(server, port=port)


async def told(case: FailureCase, server: Server, factory: Callable[[], Refusing]) -> Failure:
    """Probe, and see the refusal told; a tunnel to there backs off."""
    async with listening(case, server, factory) as there:
        result = await case.world.probe(there)
    failure = result.failure
    assert failure is not None
    assert failure.cause is not Cause.INTERNAL_ERROR, failure.detail
    assert result.total_ms < LIMIT * 1000, "nothing was waited for"
    assert failure.detail
    assert ROWS[failure.cause].retry.tunnel is not None
    return failure


@MINUTES
def test_a_made_up_refusal_of_a_channel_is_told_with_its_words(failure_case: FailureCase, times: int) -> None:
    server = with_probe(failure_case.server(), timeout=LIMIT)

    @few(25, times)
    @given(code=codes, said=WORDS)
    @example(code=OPEN_CONNECT_FAILED, said="für Sie nicht".encode("cp1252"))
    def refuse(code: int, said: bytes) -> None:
        class Peer(Refusing):
            def connection_requested(self, *_: object) -> bool:
                raise asyncssh.ChannelOpenError(code, said)  # type: ignore[arg-type]  # bytes are sent as such

        failure = asyncio.run(told(failure_case, server, Peer))
        assert failure.stage is Stage.FORWARD
        assert Source.SSH_ERROR.text(said) in failure.detail
        if code not in MEANT:
            assert failure.cause is Cause.FORWARD_REFUSED
        if failure.cause is Cause.FORWARD_REFUSED:
            assert retry_of_probe(failure.cause) is not None

    refuse()


@pytest.mark.parametrize(
    ("code", "said", "cause"),
    [
        (2, b"Name does not resolve", Cause.DATABASE_NAME_NOT_FOUND),
        (2, b"dial tcp: lookup db on 10.0.0.2:53: no such host", Cause.DATABASE_NAME_NOT_FOUND),
        (2, b"java.net.ConnectException: Connection timed out", Cause.DATABASE_TIMED_OUT),
        (
            2,
            "Keine Verbindung möglich (10061)".encode("cp1252"),
            Cause.DATABASE_REFUSED,
        ),
        (2, "Нет маршрута".encode("cp1251"), Cause.FORWARD_REFUSED),
        (4, b"no more channels", Cause.FORWARD_REFUSED),
        (0xFE000000, b"quota of the project", Cause.FORWARD_REFUSED),
    ],
)
async def test_what_servers_of_other_systems_say_of_a_channel(
    failure_case: FailureCase, code: int, said: bytes, cause: Cause
) -> None:
    class Peer(Refusing):
        def connection_requested(self, *_: object) -> bool:
            raise asyncssh.ChannelOpenError(code, said)  # type: ignore[arg-type]  # bytes are sent as such

    failure = await told(failure_case, with_probe(failure_case.server(), timeout=LIMIT), Peer)
    assert failure.cause is cause
    assert failure.detail == Source.SSH_ERROR.text(said)


TAG = b"\xffde-\xc3\x84"
"""A language tag that is no ASCII (RFC 5646 allows nothing else)."""


async def test_a_language_tag_of_no_language_takes_no_words_from_a_refused_channel(
    failure_case: FailureCase,
) -> None:
    class Peer(Refusing):
        def connection_requested(self, *_: object) -> bool:
            raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "Connection refused", TAG)  # type: ignore[arg-type]

    failure = await told(failure_case, with_probe(failure_case.server(), timeout=LIMIT), Peer)
    assert (failure.cause, failure.detail) == (Cause.DATABASE_REFUSED, "Connection refused")


@pytest.mark.parametrize("stage", [Stage.AUTH, Stage.FORWARD])
async def test_a_language_tag_of_no_language_takes_no_words_from_a_disconnect(
    failure_case: FailureCase, stage: Stage
) -> None:
    def leave(connection: Any) -> None:
        code = UInt32(asyncssh.DISC_BY_APPLICATION)
        connection.send_packet(MSG_DISCONNECT, code, String("idle for too long"), String(TAG))

    server = with_probe(failure_case.server(), timeout=LIMIT)
    failure = await told(failure_case, server, lambda: Refusing(stage, leave))
    assert (failure.stage, failure.detail) == (stage, "idle for too long")


@MINUTES
def test_a_made_up_disconnect_is_told_with_its_words(failure_case: FailureCase, times: int) -> None:
    server = with_probe(failure_case.server(), timeout=LIMIT)

    @few(25, times)
    @given(code=codes, said=WORDS, stage=st.sampled_from([Stage.AUTH, Stage.FORWARD]))
    @example(code=asyncssh.DISC_BY_APPLICATION, said=b"idle for too long", stage=Stage.FORWARD)
    @example(code=asyncssh.DISC_HOST_KEY_NOT_VERIFIABLE, said=b"", stage=Stage.AUTH)
    def refuse(code: int, said: bytes, stage: Stage) -> None:
        def leave(connection: Any) -> None:
            connection.send_packet(MSG_DISCONNECT, UInt32(code), String(said), String(""))

        failure = asyncio.run(told(failure_case, server, lambda: Refusing(stage, leave)))
        assert failure.stage is stage
        assert Source.SSH_ERROR.text(said) in failure.detail

    refuse()


@MINUTES
def test_a_made_up_disconnect_before_any_key_is_told_with_its_words(
    failure_case: FailureCase, times: int
) -> None:
    server = with_probe(failure_case.server(), timeout=LIMIT)
    with Says(b"", "close") as fake:

        @few(25, times)
        @given(code=codes, said=WORDS)
        def refuse(code: int, said: bytes) -> None:
            fake.data = BANNER + packet(MSG_DISCONNECT, UInt32(code) + String(said) + String(""))
            result = asyncio.run(failure_case.world.probe(with_ssh(server, port=fake.port)))
            failure = result.failure
            assert failure is not None
            assert failure.stage is Stage.HANDSHAKE
            assert failure.cause is not Cause.INTERNAL_ERROR
            assert Source.SSH_ERROR.text(said) in failure.detail
            assert ROWS[failure.cause].retry.tunnel is not None

        refuse()


@MINUTES
def test_a_made_up_refusal_of_a_login_is_one(failure_case: FailureCase, times: int) -> None:
    server = with_probe(failure_case.server(), timeout=LIMIT)

    @few(25, times)
    @given(offered=methods, partial=st.booleans())
    def refuse(offered: bytes, partial: bool) -> None:
        def no_more(connection: Any) -> None:
            def send(_: bool) -> None:
                connection.send_packet(MSG_USERAUTH_FAILURE, String(offered), Boolean(partial))

            connection.send_userauth_failure = send

        failure = asyncio.run(told(failure_case, server, lambda: Refusing(Stage.AUTH, no_more)))
        assert failure.stage is Stage.AUTH

    refuse()
