"""What a real PostgreSQL refuses, and the cause that it is given."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.certs import Authority
from tests.harness.misbehave import Says
from tests.harness.ports import wait_for
from tests.harness.postgres import DEFAULT_HBA, Postgres
from tests.servers.probing import Target, probe, probe_beside_others
from tests.servers.test_databases import target_of

OPEN = "host all all 127.0.0.0/8 scram-sha-256"


@pytest.fixture(scope="module")
def roles(postgres: Postgres) -> Postgres:
    """The shared PostgreSQL with users that may do less than others."""
    postgres.create_user("nologin", "p", "NOLOGIN")
    postgres.create_user("limited", "p", "LOGIN CONNECTION LIMIT 0")
    postgres.create_user("outsider", "p")
    postgres.create_database("private")
    postgres.execute("REVOKE CONNECT ON DATABASE private FROM PUBLIC; CREATE DATABASE closed")
    postgres.execute("ALTER DATABASE closed ALLOW_CONNECTIONS false")
    postgres.execute("CREATE TABLE hidden (a int)", "orders")
    return postgres


@pytest.mark.parametrize(
    ("change", "stage", "cause"),
    [
        ({"user": "nobody", "password": "p"}, Stage.LOGIN, Cause.PASSWORD_REJECTED),
        ({"user": "nologin", "password": "p"}, Stage.LOGIN, Cause.USER_NOT_ALLOWED),
        ({"user": "limited", "password": "p"}, Stage.LOGIN, Cause.DATABASE_TOO_MANY_CONNECTIONS),
        (
            {"user": "outsider", "password": "p", "database": "private"},
            Stage.LOGIN,
            Cause.DATABASE_ACCESS_DENIED,
        ),
        ({"database": "closed"}, Stage.LOGIN, Cause.DATABASE_ACCESS_DENIED),
        (
            {"user": "outsider", "password": "p", "query": "select * from hidden"},
            Stage.QUERY,
            Cause.QUERY_DENIED,
        ),
        ({"query": "select 1/0"}, Stage.QUERY, Cause.QUERY_FAILED),
        (
            {"query": "set local statement_timeout = 50; select pg_sleep(3)"},
            Stage.QUERY,
            Cause.QUERY_TIMED_OUT,
        ),
        (
            {"query": "select pg_terminate_backend(pg_backend_pid())"},
            Stage.QUERY,
            Cause.CONNECTION_LOST,
        ),
        ({"query": "select pg_cancel_backend(pg_backend_pid())"}, Stage.QUERY, Cause.QUERY_FAILED),
    ],
)
async def test_a_refusal_has_its_cause(
    roles: Postgres, change: dict[str, str], stage: Stage, cause: Cause
) -> None:
    outcome = await probe(replace(target_of(roles), **change))  # type: ignore[arg-type]
    assert outcome.blame == (stage, cause)
    assert outcome.detail


async def test_the_session_says_who_it_is_and_what_it_may(postgres: Postgres) -> None:
    checks = {
        "application_name": "canary-tui",
        "transaction_read_only": "on",
        "default_transaction_read_only": "on",
        "statement_timeout": "5s",
    }
    wrong = " or ".join(f"current_setting('{name}') <> '{value}'" for name, value in checks.items())
    outcome = await probe(
        replace(target_of(postgres), query=f"select 1 / (case when {wrong} then 0 else 1 end)")
    )
    assert outcome.cause is None


async def test_a_trusted_user_needs_no_password(make_postgres: Callable[..., Postgres]) -> None:
    server = make_postgres(hba=["host all all 127.0.0.0/8 trust"])
    assert (await probe(replace(target_of(server), password=None))).cause is None
    outcome = await probe(replace(target_of(server), user="nobody"))
    assert outcome.blame == (Stage.LOGIN, Cause.USER_NOT_ALLOWED)


async def test_who_may_connect_is_told_apart_from_tls_that_is_required(
    authority: Authority, make_postgres: Callable[..., Postgres]
) -> None:
    server = make_postgres(
        tls=authority.issue(["db.internal"]), hba=["hostssl all all 127.0.0.0/8 scram-sha-256"]
    )
    target = replace(target_of(server), ca_file=str(authority.ca))
    assert (await probe(target)).cause is None
    assert (await probe(replace(target, tls=TlsMode.DISABLE))).cause is Cause.TLS_REQUIRED
    server.set_hba(["hostssl all all 10.0.0.0/8 scram-sha-256"])
    assert (await probe(target)).cause is Cause.DATABASE_HOST_NOT_ALLOWED
    server.set_hba(["host all all 127.0.0.0/8 reject"])
    assert (await probe(target)).cause is Cause.DATABASE_HOST_NOT_ALLOWED
    server.set_hba(["hostssl all all 127.0.0.0/8 scram-sha-256 clientcert=verify-ca"])
    assert (await probe(target)).cause is Cause.CLIENT_CERTIFICATE_REQUIRED


async def test_a_server_without_tls_that_lets_nobody_in_does_not_ask_for_tls(
    make_postgres: Callable[..., Postgres],
) -> None:
    server = make_postgres()
    server.set_hba(["host all all 10.0.0.0/8 scram-sha-256"])
    outcome = await probe(target_of(server))
    assert outcome.cause is Cause.DATABASE_HOST_NOT_ALLOWED
    server.set_hba(DEFAULT_HBA)


def sessions(server: Postgres) -> int:
    """How many clients are logged in, besides the one that asks."""
    others = "backend_type = 'client backend' and pid <> pg_backend_pid()"
    return int(server.execute(f"select count(*) from pg_stat_activity where {others}"))


@asynccontextmanager
async def one_session(server: Postgres) -> AsyncIterator[None]:
    """Hold one session of the server's user while the block runs."""
    target = replace(target_of(server), query="select pg_sleep(60)", timeout=60.0)
    await asyncio.to_thread(wait_for, lambda: sessions(server) == 0, what="those of the start have left")
    holding = asyncio.create_task(probe_beside_others(target))
    try:
        await asyncio.to_thread(wait_for, lambda: sessions(server) == 1, what="the session is there")
        yield
    finally:
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)


async def test_a_full_server_has_too_many_connections(make_postgres: Callable[..., Postgres]) -> None:
    server = make_postgres(settings={"max_connections": "4", "superuser_reserved_connections": "3"})
    async with one_session(server):
        outcome = await probe_beside_others(replace(target_of(server), tls=TlsMode.DISABLE))
    assert outcome.blame == (Stage.DATABASE, Cause.DATABASE_TOO_MANY_CONNECTIONS)


async def test_a_server_that_shuts_down_is_starting_or_stopping(
    make_postgres: Callable[..., Postgres],
) -> None:
    server = make_postgres(settings={"client_connection_check_interval": "50"})
    async with one_session(server):
        stopping = asyncio.create_task(asyncio.to_thread(server.stop, "smart"))
        begun = "smart shutdown"
        await asyncio.to_thread(wait_for, lambda: begun in server.log_text(), what="the shutdown has begun")
        outcome = await probe_beside_others(target_of(server))
    await stopping
    assert outcome.cause is Cause.DATABASE_STARTING


@pytest.mark.parametrize(
    "said",
    [
        b"RFB 003.008\n",
        # MySQL greetings whose length happens to be a letter that PostgreSQL's answers begin with.
        b"R\0\0\0\x0a8.0.36-something",
        b"N\0\0\0\x0a8.0.36",
        b"E\0\0\0\x0a8.0.36",
    ],
)
@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.PREFER])
@pytest.mark.parametrize("asked", [False, True])
async def test_an_answer_that_only_begins_like_postgresqls_is_the_wrong_protocol(
    said: bytes, mode: TlsMode, asked: bool
) -> None:
    with Says(said, after_client=asked) as fake:
        address = (fake.host, fake.port)
        outcome = await probe(Target(Engine.POSTGRESQL, address, "u", "p", tls=mode, timeout=1.0))
    assert outcome.blame == (Stage.DATABASE, Cause.WRONG_PROTOCOL)


ERROR = b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0"


@pytest.mark.parametrize(
    ("said", "cause", "words"),
    [
        (b"E" + struct.pack("!i", len(ERROR) + 4) + ERROR, Cause.DATABASE_TOO_MANY_CONNECTIONS, "sorry"),
        (b"Ecould not fork new process\n\0", Cause.DATABASE_UNAVAILABLE, "could not fork new process"),
    ],
)
async def test_an_error_in_place_of_the_tls_answer_is_read(said: bytes, cause: Cause, words: str) -> None:
    with Says(said, "close", after_client=True) as fake:
        target = Target(Engine.POSTGRESQL, (fake.host, fake.port), "u", "p", tls=TlsMode.REQUIRE)
        outcome = await probe(target)
    assert outcome.blame == (Stage.DATABASE, cause)
    assert words in outcome.detail


@pytest.mark.parametrize(("method", "extra"), [(7, b""), (9, b""), (2, b""), (10, b"SCRAM-SHA-1024\0\0")])
async def test_a_login_method_that_asyncpg_cannot_do_is_unsupported(method: int, extra: bytes) -> None:
    said = b"R" + struct.pack("!ii", 8 + len(extra), method) + extra
    with Says(said, after_client=True) as fake:
        address = (fake.host, fake.port)
        outcome = await probe(Target(Engine.POSTGRESQL, address, "u", "p", tls=TlsMode.DISABLE))
    assert outcome.blame == (Stage.LOGIN, Cause.AUTH_METHOD_UNSUPPORTED)


async def test_a_server_that_closes_in_the_login_closed_early() -> None:
    said = b"R" + struct.pack("!ii", 12, 5) + b"salt"
    with Says(said, "close", after_client=True) as fake:
        address = (fake.host, fake.port)
        outcome = await probe(Target(Engine.POSTGRESQL, address, "u", "p", tls=TlsMode.DISABLE))
    assert outcome.blame == (Stage.LOGIN, Cause.DATABASE_CLOSED_EARLY)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            b"R\0\0\0\x08\0\0\0\0T\0\0\0\x0b\x81\xd6\xa6\x87Wiv" + b"Z\0\0\0\x04",
            Cause.INTERNAL_ERROR,
        ),
        (b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", Cause.WRONG_PROTOCOL),
        (b"E\0\0\0\x05\0", Cause.LOGIN_REFUSED),
    ],
)
async def test_nonsense_in_the_login_is_told_with_words(said: bytes, cause: Cause) -> None:
    with Says(said, "close", after_client=True) as fake:
        address = (fake.host, fake.port)
        outcome = await probe(Target(Engine.POSTGRESQL, address, "u", "p", tls=TlsMode.DISABLE))
    assert outcome.blame == (Stage.LOGIN, cause)
    assert outcome.detail


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (b"no such database: orders", Cause.DATABASE_NOT_FOUND),
        (b"no such user: canary", Cause.PASSWORD_REJECTED),
        (b"no more connections allowed (max_client_conn)", Cause.DATABASE_TOO_MANY_CONNECTIONS),
        (b"something new", Cause.LOGIN_REFUSED),
    ],
)
async def test_a_pooler_that_calls_everything_a_violation_is_understood(words: bytes, cause: Cause) -> None:
    fields = b"SFATAL\0C08P01\0M" + words + b"\0\0"
    with Says(b"E" + struct.pack("!i", len(fields) + 4) + fields, "close", after_client=True) as fake:
        address = (fake.host, fake.port)
        outcome = await probe(Target(Engine.POSTGRESQL, address, "u", "p", tls=TlsMode.DISABLE))
    assert (outcome.cause, outcome.detail) == (cause, words.decode())
