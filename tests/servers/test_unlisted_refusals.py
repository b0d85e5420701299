"""What no table has: made-up errors of a database are refusals with its words, at each point."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canary_tui.databases.mysql.wire import packet
from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.backoff import retry_of_probe
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.floods import Does, Floods
from tests.servers.flood_cases import LOGGED_IN, OK, greeting, message
from tests.servers.fuzzing import MINUTES, NEUTRAL, WORDS, few
from tests.servers.probing import probe_cleanly
from tests.servers.world import with_database, with_engine, with_probe

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from canary_tui.diagnosis.stages import Failure
    from tests.harness.certs import Certificate
    from tests.harness.floods import Step
    from tests.harness.postgres import Postgres
    from tests.servers.world import World

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
HEARS, TLS = Does.HEARS, Does.BEGINS_TLS
CLEAR, SECURE = TlsMode.DISABLE, TlsMode.REQUIRE
LIMIT = 2.0
"""Seconds for a probe. None of these errors is waited for."""
SALT = b"12345678901234567890\0"
REFUSED = {Cause.LOGIN_REFUSED, Cause.QUERY_FAILED}
BEFORE_THE_QUERY = {Stage.DATABASE, Stage.TLS, Stage.LOGIN}


class Point(Enum):
    """Where in a connection the error comes."""

    AT_ONCE = "instead of the first answer"
    AT_LOGIN = "in answer to the login"
    AFTER_A_QUESTION = "after another question of the login"
    BEFORE_READY = "the user is in, and no session begins"
    AT_QUERY = "in answer to the query"


@dataclass(frozen=True)
class Said:
    """An error. ``unlisted``: neither its number nor a word of it is in a table."""

    words: bytes
    state: bytes = b"ZZ000"
    number: int = 9999
    routine: bytes = b""
    severity: bytes = b"FATAL"
    unlisted: bool = False

    @property
    def of_postgresql(self) -> bytes:
        """An ErrorResponse (PostgreSQL 17, "Error and Notice Message Fields")."""
        fields = (b"S" + self.severity, b"V" + self.severity, b"C" + self.state, b"M" + self.words)
        routine = (b"R" + self.routine,) if self.routine else ()
        return message(b"E", b"".join(field + b"\0" for field in (*fields, *routine)) + b"\0")

    def of_mysql(self, sequence: int) -> bytes:
        """An ERR_Packet (MySQL 8 Reference); without an SQLSTATE as before the login, where there is none."""
        state = b"#" + self.state if len(self.state) == 5 else b"#HY000" if self.words[:1] == b"#" else b""
        return packet(b"\xff" + struct.pack("<H", self.number) + state + self.words, sequence)


LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
KNOWN = sorted(
    state for kind in vars(asyncpg.exceptions).values() if (state := getattr(kind, "sqlstate", None))
)
"""Each SQLSTATE that the driver has a class for."""


def without_zeros(raw: bytes) -> bytes:
    return raw.replace(b"\0", b"")


anything = st.binary(max_size=60).map(without_zeros)
unlisted = st.builds(
    Said,
    words=NEUTRAL,
    state=st.text(LETTERS, min_size=3, max_size=3).map(lambda last: b"ZZ" + last.encode()),
    number=st.integers(10_000, 65_535),
    routine=st.sampled_from([b"", b"ValidateTenant"]),
    severity=st.sampled_from([b"FATAL", b"ERROR", b"PANIC", "致命错误".encode()]),
    unlisted=st.just(True),
)
made_up = st.builds(
    Said,
    words=WORDS.map(without_zeros),
    state=st.one_of(st.sampled_from(KNOWN).map(str.encode), st.text(LETTERS, max_size=6).map(str.encode)),
    number=st.one_of(st.integers(0, 65_535), st.sampled_from([0, 1105, 1815, 2000, 2003, 2013, 4031])),
    routine=st.one_of(st.just(b""), anything),
    severity=st.one_of(st.sampled_from([b"FATAL", b"ERROR", b""]), anything),
)
errors: SearchStrategy[Said] = unlisted | made_up
points = st.sampled_from(Point)
modes = st.sampled_from([CLEAR, SECURE])


def asks(step: int, body: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!i", step) + body)


def script_of_postgresql(said: Said, point: Point, mode: TlsMode) -> tuple[Step, ...]:
    begins: tuple[Step, ...] = (HEARS,)
    if mode is SECURE and point is not Point.AT_ONCE:
        begins = (HEARS, b"S", TLS, HEARS)
    error = said.of_postgresql
    rest: dict[Point, tuple[Step, ...]] = {
        Point.AT_ONCE: (error,),
        Point.AT_LOGIN: (error,),
        Point.AFTER_A_QUESTION: (asks(5, b"salt"), HEARS, error),
        Point.BEFORE_READY: (asks(0) + message(b"S", b"server_version\x0015.3\0"), error),
        Point.AT_QUERY: (LOGGED_IN, HEARS, error + message(b"Z", b"E")),
    }
    return (*begins, *rest[point])


def script_of_mysql(said: Said, point: Point, mode: TlsMode) -> tuple[Step, ...]:
    if point is Point.AT_ONCE:
        return (said.of_mysql(0),)
    secure: tuple[Step, ...] = (36, TLS) if mode is SECURE else ()
    due = 3 if mode is SECURE else 2
    switch = packet(b"\xfemysql_native_password\0" + SALT, due)
    rest: dict[Point, tuple[Step, ...]] = {
        Point.AT_LOGIN: (said.of_mysql(due),),
        Point.AFTER_A_QUESTION: (switch, HEARS, said.of_mysql(due + 2)),
        Point.BEFORE_READY: (said.of_mysql(due),),
        Point.AT_QUERY: (packet(OK, due), HEARS, said.of_mysql(1)),
    }
    return (greeting(mode), *secure, HEARS, *rest[point])


class Try:
    """One user who probes databases that refuse."""

    def __init__(
        self, world: World, postgres: Postgres, runner: asyncio.Runner, certificate: Certificate
    ) -> None:
        self._world = world
        self._runner = runner
        self._certificate = certificate
        self._server = with_probe(world.server(postgres), timeout=LIMIT)

    def __call__(self, engine: Engine, said: Said, point: Point, mode: TlsMode) -> None:
        """See the refusal told."""
        script = (script_of_postgresql if engine is PG else script_of_mysql)(said, point, mode)
        with Floods(script, lambda: iter(()), tls=self._certificate) as peer:
            server = with_engine(with_database(self._server, port=peer.port, tls=mode), engine)
            result = self._runner.run(probe_cleanly(self._world, server))
        failure = result.failure
        assert failure is not None
        assert failure.cause is not Cause.INTERNAL_ERROR, failure.detail
        assert failure.stage in ({Stage.QUERY} if point is Point.AT_QUERY else BEFORE_THE_QUERY)
        assert Source.DATABASE_ERROR.text(said.words) in failure.detail
        assert failure.detail
        _backs_off(failure, engine, said, point)


def _backs_off(failure: Failure, engine: Engine, said: Said, point: Point) -> None:
    if said.unlisted:
        expected = Cause.QUERY_FAILED if point is Point.AT_QUERY else Cause.LOGIN_REFUSED
        assert failure.cause is expected
    if failure.cause in REFUSED:
        assert retry_of_probe(failure.cause, engine) is not None


@pytest.fixture
def attempt(world: World, postgres: Postgres, runner: asyncio.Runner, certificate: Certificate) -> Try:
    """Probe a database that refuses, and see how it ends."""
    return Try(world, postgres, runner, certificate)


@MINUTES
def test_a_made_up_error_of_postgresql_is_a_refusal(attempt: Try, times: int) -> None:
    @few(30, times)
    @given(said=errors, point=points, mode=modes)
    @example(said=Said("für Sie nicht".encode("latin-1")), point=Point.AT_LOGIN, mode=CLEAR)
    @example(said=Said("für Sie nicht".encode("latin-1")), point=Point.AT_QUERY, mode=CLEAR)
    @example(said=Said(b"no", state=b"01000"), point=Point.AT_LOGIN, mode=CLEAR)
    @example(said=Said(b"no", state=b"01000"), point=Point.AT_QUERY, mode=CLEAR)
    @example(said=Said(b"no", state=b"08006"), point=Point.BEFORE_READY, mode=CLEAR)
    @example(said=Said(b"no", state=b"26000"), point=Point.AT_QUERY, mode=SECURE)
    @example(
        said=Said(b"no", state=b"0A000", routine=b"RevalidateCachedQuery"), point=Point.AT_QUERY, mode=CLEAR
    )
    def refuse(said: Said, point: Point, mode: TlsMode) -> None:
        attempt(PG, said, point, mode)

    refuse()


@MINUTES
def test_a_made_up_error_of_mysql_is_a_refusal(attempt: Try, times: int) -> None:
    @few(30, times)
    @given(said=errors, point=points, mode=modes)
    @example(said=Said(b"no", number=0), point=Point.AT_LOGIN, mode=CLEAR)
    @example(said=Said(b"no", number=65_535), point=Point.AT_LOGIN, mode=CLEAR)
    @example(said=Said(b"", number=4031, state=b""), point=Point.AT_LOGIN, mode=CLEAR)
    @example(said=Said(b"no", number=2013), point=Point.AFTER_A_QUESTION, mode=SECURE)
    @example(said=Said(b"no", state="zürich"[:5].encode("latin-1")), point=Point.AT_LOGIN, mode=CLEAR)
    def refuse(said: Said, point: Point, mode: TlsMode) -> None:
        attempt(MY, said, point, mode)

    refuse()
