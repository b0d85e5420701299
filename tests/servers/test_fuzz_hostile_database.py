"""A database that knows the protocol and means harm: a failure with a name, or none, in time; no password."""

from __future__ import annotations

import asyncio
import re
import struct
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canary_tui.databases.mysql.wire import packet
from canary_tui.diagnosis.stages import Cause
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.floods import Does, Floods
from tests.servers.flood_cases import (
    END,
    LOGGED_IN,
    MORE,
    MY_BEGINS,
    NOTICE,
    OK,
    PG_BEGINS,
    greeting,
    message,
)
from tests.servers.probing import probe_cleanly
from tests.servers.world import with_database, with_probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.harness.certs import Certificate
    from tests.harness.floods import Step
    from tests.harness.postgres import Postgres
    from tests.servers.world import World

SECRET = "a-secret-that-nobody-is-told"
LIMIT = 0.15
"""Seconds for a probe."""
MANY = 1_000_000
SKEW = 1
"""A MySQL payload's first byte here: this, and by how much its packet's number is wrong."""
NONCE = b"@NONCE@"
"""Stands for what the client made up for SCRAM."""
MODES = st.sampled_from([TlsMode.DISABLE, TlsMode.REQUIRE])
SETTINGS = settings(
    database=None,
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Peer(Floods):
    """Says what is right where it depends on what the client said; ends the connection after its script.

    In what it says ``NONCE`` stands for the client's, and at MySQL each piece is a payload: ``numbered``.
    """

    def __init__(self, script: list[Step], certificate: Certificate, *, numbered_from: int) -> None:
        super().__init__(script, lambda: iter(()), tls=certificate)
        self._numbered_from = numbered_from
        self._taken = self._due = 0

    def _take(self, step: Step) -> None:
        before = len(self.heard)
        if isinstance(step, bytes):
            if self._taken >= self._numbered_from:
                step = packet(step[1:], self._due + (step[0] - SKEW))
                self._due += 1
            made_up = re.findall(rb",r=([^,]+)", self.heard)
            step = step.replace(NONCE, made_up[-1] if made_up else b"x")
        super()._take(step)
        self._taken += 1
        if step is Does.HEARS and len(self.heard) > before + 3:
            self._due = self.heard[before + 3] + 1


def asks(step: int, body: bytes = b"") -> bytes:
    """A message of PostgreSQL's about the login."""
    return message(b"R", struct.pack("!i", step) + body)


SCRAM = b"r=" + NONCE + b"x,s=c2FsdA==,i="
postgresql_words = st.one_of(
    st.sampled_from([
        LOGGED_IN, NOTICE, asks(0), asks(3), asks(5, b"salt"), asks(7), asks(10, b"SCRAM-SHA-256\0\0"),
        asks(10, b"SCRAM-SHA-256-PLUS\0\0"), asks(11, SCRAM + b"4096"), asks(11, SCRAM + b"2147483647"),
        asks(12, b"v=x"), message(b"Z", b"I"), message(b"C", b"BEGIN\0"), message(b"D", bytes(2)),
        message(b"T", bytes(2)), message(b"v", bytes(8)),
        message(b"E", b"SFATAL\0VFATAL\0C28000\0Mno\0\0"), message(b"S", b"client_encoding\0SJIS\0"),
        message(b"G"), message(b"S", b"server_version\x00\xff\0"), message(b"K", bytes(8)),
        b"D\x7f\xff\xff\xff", b"E\x00\x00\x00\x00", b"S\xff\xff\xff\xff", b"Z\x00\x00\x00\x04",
    ]),
    st.builds(message, st.binary(min_size=1, max_size=1), st.binary(max_size=40)),
    st.builds(asks, st.integers(-2, 16), st.binary(max_size=40)),
    st.binary(max_size=12),
)  # fmt: skip
SALT = b"12345678901234567890\0"
PLUGINS = (
    b"caching_sha2_password",
    b"sha256_password",
    b"mysql_clear_password",
    b"mysql_native_password",
    b"dialog",
    b"",
)
mysql_payloads = st.one_of(
    st.sampled_from([
        OK, MORE, END, b"\1\3", b"\1\4", b"\1", b"\xfe", b"\xfb/etc/passwd", b"\1-----BEGIN PUBLIC KEY-----",
        b"", b"\x01", b"\x03def", b"\x011", b"\xfd\xff\xff\xff", b"\xfc", b"\xff\x15\x04#28000no", b"\xff",
        *(b"\xfe" + plugin + b"\0" + SALT for plugin in PLUGINS),
    ]),
    st.builds(bytes.__add__, st.sampled_from([b"\0", b"\xfe", b"\xff", b"\1"]), st.binary(max_size=40)),
    st.binary(max_size=40),
)  # fmt: skip
mysql_words = st.builds(
    lambda skew, payload: bytes([SKEW + skew]) + payload,
    st.sampled_from([0, 0, 0, 0, 0, 1, -1]),
    mysql_payloads,
)
turns = st.sampled_from([Does.HEARS, None])


class Try:
    """One user who probes peers."""

    def __init__(
        self, world: World, postgres: Postgres, runner: asyncio.Runner, certificate: Certificate
    ) -> None:
        self.world = world
        self.runner = runner
        self.certificate = certificate
        server = with_database(world.server(postgres), password=world.password("fuzz", SECRET))
        self.server = with_probe(server, timeout=LIMIT)

    def __call__(self, engine: Engine, mode: TlsMode, begins: Sequence[Step], script: list[Step]) -> None:
        """See what a peer says after ``begins`` end as it must."""
        after = len(begins) if engine is Engine.MYSQL else MANY
        with Peer([*begins, *script], self.certificate, numbered_from=after) as peer:
            server = with_database(self.server, port=peer.port, tls=mode)
            server = msgspec.structs.replace(server, engine=engine)
            result = self.runner.run(probe_cleanly(self.world, server, garbage=True))
        assert SECRET.encode() not in peer.heard
        if result.failure is not None:
            assert result.failure.remedies
            assert result.failure.detail or result.failure.cause is not Cause.INTERNAL_ERROR
            assert SECRET not in repr(result.failure)


@pytest.fixture
def attempt(world: World, postgres: Postgres, runner: asyncio.Runner, certificate: Certificate) -> Try:
    """Probe a peer, and see how it ends."""
    return Try(world, postgres, runner, certificate)


def script_of(words: list[tuple[bytes, Does | None]]) -> list[Step]:
    """What is said, with the waiting for the client in between."""
    return [step for pair in words for step in pair if step is not None]


postgresql_scripts = st.lists(st.tuples(postgresql_words, turns), max_size=7).map(script_of)
mysql_scripts = st.lists(st.tuples(mysql_words, turns), max_size=7).map(script_of)
greetings = st.sampled_from(PLUGINS[:4])
logged_in = st.booleans()


@settings(SETTINGS, derandomize=True)
@given(mode=MODES, script=postgresql_scripts)
def test_a_hostile_postgresql(attempt: Try, mode: TlsMode, script: list[Step]) -> None:
    attempt(Engine.POSTGRESQL, mode, PG_BEGINS[mode], script)


@settings(SETTINGS, derandomize=True)
@given(mode=MODES, script=postgresql_scripts)
def test_a_postgresql_that_turns_hostile(attempt: Try, mode: TlsMode, script: list[Step]) -> None:
    attempt(Engine.POSTGRESQL, mode, (*PG_BEGINS[mode], LOGGED_IN, Does.HEARS), script)


@settings(SETTINGS, derandomize=True)
@given(mode=MODES, plugin=greetings, script=mysql_scripts)
def test_a_hostile_mysql(attempt: Try, mode: TlsMode, plugin: bytes, script: list[Step]) -> None:
    begins = [greeting(mode, plugin), *MY_BEGINS[mode][1:]]
    attempt(Engine.MYSQL, mode, begins, script)


@settings(SETTINGS, derandomize=True)
@given(mode=MODES, script=mysql_scripts)
def test_a_mysql_that_turns_hostile(attempt: Try, mode: TlsMode, script: list[Step]) -> None:
    attempt(Engine.MYSQL, mode, MY_BEGINS[mode], [bytes([SKEW]) + OK, Does.HEARS, *script])


@pytest.mark.soak
@settings(SETTINGS, max_examples=400)
@given(mode=MODES, granted=logged_in, script=postgresql_scripts)
def test_a_hostile_postgresql_at_length(
    attempt: Try, mode: TlsMode, granted: bool, script: list[Step]
) -> None:
    login: list[Step] = [LOGGED_IN, Does.HEARS] if granted else []
    attempt(Engine.POSTGRESQL, mode, PG_BEGINS[mode], [*login, *script])


@pytest.mark.soak
@settings(SETTINGS, max_examples=400)
@given(mode=MODES, plugin=greetings, granted=logged_in, script=mysql_scripts)
def test_a_hostile_mysql_at_length(
    attempt: Try, mode: TlsMode, plugin: bytes, granted: bool, script: list[Step]
) -> None:
    login: list[Step] = [bytes([SKEW]) + OK, Does.HEARS] if granted else []
    attempt(Engine.MYSQL, mode, [greeting(mode, plugin), *MY_BEGINS[mode][1:]], [*login, *script])
