"""Whatever the database's side says, and wherever it ends: a failure with a name, in time, nothing left."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canary_tui.databases.mysql.wire import packet
from canary_tui.diagnosis.stages import Cause
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.misbehave import Says
from tests.harness.proxy import Proxy
from tests.servers.probing import probe_cleanly
from tests.servers.tls_front import GREETING
from tests.servers.world import with_database, with_probe

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.servers.model import Server
    from tests.harness.postgres import Postgres
    from tests.servers.breakable import Breakable
    from tests.servers.world import World

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
LIMIT = 0.25
"""Seconds for a probe: what waits for more than it was told is soon done waiting."""
CHUNK = 65_536
fuzzed = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
engines = st.sampled_from([PG, MY])
modes = st.sampled_from([TlsMode.DISABLE, TlsMode.PREFER, TlsMode.REQUIRE])
ends = st.sampled_from(["close", "reset", "close", "silence"])


def leading_to(server: Server, engine: Engine, mode: TlsMode, port: int) -> Server:
    """The server's settings, but for where they lead and how."""
    hasty = with_probe(with_database(server, port=port, tls=mode), timeout=LIMIT)
    return msgspec.structs.replace(hasty, engine=engine)


def told(result: ProbeResult) -> Cause:
    """The failure's cause; it has words, and a stage that is the last one."""
    assert result.failure is not None
    assert result.failure.summary
    assert result.failure.remedies
    assert result.stages[-1].stage is result.failure.stage
    assert not result.stages[-1].ok
    if result.failure.cause is Cause.INTERNAL_ERROR:
        assert result.failure.detail
    return result.failure.cause


@fuzzed
@given(engine=engines, mode=modes, said=st.binary(max_size=64), then=ends, spoken_to=st.booleans())
def test_any_first_bytes_are_a_failure_with_a_name(
    world: World,
    postgres: Postgres,
    runner: asyncio.Runner,
    engine: Engine,
    mode: TlsMode,
    said: bytes,
    then: str,
    spoken_to: bool,
) -> None:
    """A fake: no database says such things."""
    with Says(said, then, after_client=spoken_to) as fake:  # type: ignore[arg-type]
        server = leading_to(world.server(postgres), engine, mode, fake.port)
        result = runner.run(probe_cleanly(world, server))
    # MySQL may refuse with a number that nobody knows; nothing else is unknown.
    assert told(result) is not Cause.INTERNAL_ERROR or (engine is MY and said[4:5] == b"\xff")


def _message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + struct.pack("!i", len(body) + 4) + body


postgresql_words = st.lists(
    st.one_of(
        st.just(_message(ord("R"), bytes(4))),
        st.builds(_message, st.sampled_from(b"REZKSTDCNv1"), st.binary(max_size=24)),
        st.binary(max_size=12),
    ),
    max_size=5,
).map(b"".join)
mysql_words = st.lists(
    st.one_of(
        st.builds(packet, st.binary(max_size=24), st.integers(1, 6)),
        st.builds(
            lambda kind, more: packet(kind + more, 2),
            st.sampled_from([b"\0", b"\xfe", b"\xff", b"\1"]),
            st.binary(max_size=24),
        ),
        st.binary(max_size=12),
    ),
    max_size=5,
).map(b"".join)
PLAIN_GREETING = GREETING.replace(b"\xff\xff\xff\x02", b"\xff\xf7\xff\x02")


@fuzzed
@given(words=postgresql_words, mode=st.sampled_from([TlsMode.DISABLE, TlsMode.PREFER]), then=ends)
def test_any_words_in_postgresqls_login_are_a_failure_with_a_name(
    world: World, postgres: Postgres, runner: asyncio.Runner, words: bytes, mode: TlsMode, then: str
) -> None:
    """A fake that goes on at random after what a PostgreSQL says."""
    said = Turns([b"N", words] if mode is TlsMode.PREFER else [words], then)
    with said as fake:
        server = leading_to(world.server(postgres), PG, mode, fake.port)
        told(runner.run(probe_cleanly(world, server, garbage=True)))


@fuzzed
@given(words=mysql_words, mode=st.sampled_from([TlsMode.DISABLE, TlsMode.PREFER]), then=ends)
def test_any_words_in_mysqls_login_are_a_failure_with_a_name(
    world: World, postgres: Postgres, runner: asyncio.Runner, words: bytes, mode: TlsMode, then: str
) -> None:
    """A fake that goes on at random after a MySQL's greeting."""
    with Says(PLAIN_GREETING + words, then) as fake:  # type: ignore[arg-type]
        server = leading_to(world.server(postgres), MY, mode, fake.port)
        result = runner.run(probe_cleanly(world, server, garbage=True))
        if not result.ok:  # two OKs in a row are a login and an answer
            told(result)


@fuzzed
@given(
    engine=engines,
    mode=st.sampled_from([TlsMode.DISABLE, TlsMode.REQUIRE]),
    after=st.integers(0, 2500),
    then=ends,
)
def test_an_end_anywhere_in_a_real_databases_words_is_a_failure_with_a_name(
    world: World,
    breakable: Breakable,
    runner: asyncio.Runner,
    engine: Engine,
    mode: TlsMode,
    after: int,
    then: str,
) -> None:
    database = breakable.of(engine)
    with Spoils((database.host, database.port), after, then) as proxy:
        result = runner.run(
            probe_cleanly(world, leading_to(world.server(database), engine, mode, proxy.port))
        )
    if proxy.spoilt:
        assert result.ok or told(result) is not Cause.INTERNAL_ERROR
    else:
        assert result.ok or told(result)


@fuzzed
@given(
    engine=engines,
    mode=st.sampled_from([TlsMode.DISABLE, TlsMode.REQUIRE]),
    after=st.integers(0, 700),
    flip=st.integers(1, 255),
)
def test_a_wrong_byte_anywhere_in_a_real_databases_words_is_a_failure_with_a_name_or_none(
    world: World,
    breakable: Breakable,
    runner: asyncio.Runner,
    engine: Engine,
    mode: TlsMode,
    after: int,
    flip: int,
) -> None:
    """Some bytes are for nobody's eyes: a wrong one in a server's version may pass, but never in TLS."""
    database = breakable.of(engine)
    with Spoils((database.host, database.port), after, "flip", flip) as proxy:
        server = leading_to(world.server(database), engine, mode, proxy.port)
        result = runner.run(probe_cleanly(world, server, garbage=True))
    if not result.ok:
        # Whatever is wrong with what TLS carries, TLS says so; MySQL greets in the clear.
        assert told(result) is not Cause.INTERNAL_ERROR or engine is MY or mode is TlsMode.DISABLE


class Turns(Says):
    """Says each of ``turns`` in answer to something, and then what ``then`` tells."""

    def __init__(self, turns: list[bytes], then: str) -> None:
        super().__init__(turns[-1], then, after_client=True)  # type: ignore[arg-type]
        self.turns = turns[:-1]

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for turn in self.turns:
            self.received += await loop.sock_recv(client, CHUNK)
            await loop.sock_sendall(client, turn)
        await super()._serve(client)


class Spoils(Proxy):
    """A proxy that, after so many bytes of the database's, ends the connection or flips bits of the next."""

    def __init__(self, target: tuple[str, int], after: int, how: str, flip: int = 0) -> None:
        super().__init__(target)
        self.left = after
        self.how = how
        self.flip = flip
        self.spoilt = False

    async def _pump_down(self, upstream: socket.socket, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(upstream, CHUNK):
            if self.spoilt or len(data) <= self.left:
                self.left -= len(data)
                await loop.sock_sendall(client, data)
                continue
            self.spoilt = True
            if self.how == "flip":
                spoilt = bytearray(data)
                spoilt[self.left] ^= self.flip
                await loop.sock_sendall(client, spoilt)
                continue
            await loop.sock_sendall(client, data[: self.left])
            if self.how == "reset":
                raise ConnectionResetError
            if self.how == "silence":
                return
            break
        client.shutdown(socket.SHUT_WR)
