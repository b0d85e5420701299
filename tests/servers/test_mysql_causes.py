"""What a real MariaDB refuses, and the cause that it is given; MySQL's own numbers by an honest fake."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from canary_tui.databases.mysql.wire import packet
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.certs import Authority
from tests.harness.mariadb import MariaDB
from tests.harness.misbehave import Says
from tests.harness.ports import eventually
from tests.servers.probing import Target, probe
from tests.servers.test_databases import target_of


@pytest.fixture(scope="module")
def accounts(mariadb: MariaDB) -> MariaDB:
    """The shared MariaDB with accounts that may do less than others."""
    for name in ("locked", "expired", "single", "outsider", "ed25519", "certified"):
        mariadb.create_user(name, "p")
    mariadb.create_database("private")
    mariadb.execute("create table hidden (a int)", "orders")
    mariadb.execute(
        "ALTER USER locked@'%' ACCOUNT LOCK; ALTER USER expired@'%' PASSWORD EXPIRE;"
        "ALTER USER single@'%' WITH MAX_CONNECTIONS_PER_HOUR 1;"
        "GRANT INSERT ON orders.hidden TO outsider@'%';"
        "CREATE USER socket@'%' IDENTIFIED VIA unix_socket;"
        "SET NAMES utf8mb4; CREATE USER accents@'%' IDENTIFIED BY 'pässwörd€';"
        "GRANT SELECT ON orders.* TO accents@'%'"
    )
    return mariadb


@pytest.mark.parametrize(
    ("change", "stage", "cause"),
    [
        ({"user": "nobody"}, Stage.LOGIN, Cause.PASSWORD_REJECTED),
        ({"user": "socket"}, Stage.LOGIN, Cause.PASSWORD_REJECTED),
        ({"user": "locked"}, Stage.LOGIN, Cause.USER_NOT_ALLOWED),
        ({"user": "expired", "database": ""}, None, Cause.PASSWORD_EXPIRED),
        ({"user": "outsider", "database": "private"}, Stage.LOGIN, Cause.DATABASE_ACCESS_DENIED),
        ({"user": "outsider", "query": "select * from hidden"}, Stage.QUERY, Cause.QUERY_DENIED),
        ({"user": "outsider", "query": "kill 1"}, Stage.QUERY, Cause.QUERY_FAILED),
    ],
)
async def test_a_refusal_has_its_cause(
    accounts: MariaDB, change: dict[str, str], stage: Stage | None, cause: Cause
) -> None:
    outcome = await probe(replace(target_of(accounts), password="p", **change))  # type: ignore[arg-type]
    assert outcome.cause is cause
    assert stage in {None, outcome.stage}
    assert outcome.detail


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("set session max_statement_time = 0.1; select sleep(3)", Cause.QUERY_TIMED_OUT),
        ("kill connection_id()", Cause.CONNECTION_LOST),
        ("kill query connection_id()", Cause.QUERY_FAILED),
        ("select * from no_such_table", Cause.QUERY_FAILED),
        ("select 1; select 2; select * from no_such_table", Cause.QUERY_FAILED),
    ],
)
async def test_a_query_that_ends_badly_has_its_cause(mariadb: MariaDB, query: str, cause: Cause) -> None:
    outcome = await probe(replace(target_of(mariadb), query=query))
    assert outcome.blame == (Stage.QUERY, cause)


async def test_a_statement_for_each_session_that_fails_is_no_trouble_of_the_query(mariadb: MariaDB) -> None:
    mariadb.create_user("beginner", "p", grant="SELECT ON orders.*")
    mariadb.execute("SET GLOBAL init_connect = 'no such words'")
    try:
        outcome = await probe(replace(target_of(mariadb), user="beginner", password="p"))
    finally:
        mariadb.execute("SET GLOBAL init_connect = ''; DROP USER beginner@'%'")
    assert outcome.cause is Cause.LOGIN_REFUSED, outcome
    assert "init_connect" in outcome.detail


async def test_a_lock_that_is_waited_for_too_long_is_a_time_limit(mariadb: MariaDB) -> None:
    mariadb.execute("create table locked (a int)", "orders")
    locking = "lock table locked write; select sleep(60)"
    holding = asyncio.create_task(asyncio.to_thread(mariadb.execute, locking, "orders"))
    holder = "select id from information_schema.processlist where info like 'select sleep(60)%'"
    try:
        found = await eventually(lambda: mariadb.execute(holder), what="the table is locked")
        query = "set session lock_wait_timeout = 1; select * from locked"
        outcome = await probe(replace(target_of(mariadb), query=query))
        mariadb.execute(f"kill {found}")
    finally:
        with contextlib.suppress(RuntimeError):
            await holding
        mariadb.execute("drop table locked", "orders")
    assert outcome.blame == (Stage.QUERY, Cause.QUERY_TIMED_OUT), outcome


async def test_the_session_says_who_it_is_and_what_it_may(mariadb: MariaDB) -> None:
    checks = "@@tx_read_only = 1 and @@autocommit = 1 and @@max_statement_time = 5"
    query = f"select if({checks}, 1, (select 1 union select 2))"
    assert (await probe(replace(target_of(mariadb), query=query))).cause is None


async def test_a_password_is_sent_as_the_bytes_it_was_set_with(accounts: MariaDB) -> None:
    outcome = await probe(replace(target_of(accounts), user="accents", password="pässwörd€"))
    assert outcome.cause is None


async def test_more_connections_than_the_user_may_make_are_too_many(accounts: MariaDB) -> None:
    target = replace(target_of(accounts), user="single", password="p", database="")
    assert (await probe(target)).cause is None
    assert (await probe(target)).cause is Cause.DATABASE_TOO_MANY_CONNECTIONS


async def test_more_queries_than_the_user_may_make_are_no_connections(accounts: MariaDB) -> None:
    accounts.execute("CREATE USER curious@'%' IDENTIFIED BY 'p' WITH MAX_QUERIES_PER_HOUR 3")
    target = replace(target_of(accounts), user="curious", password="p", database="")
    assert (await probe(target)).cause is None
    outcome = await probe(target)
    assert outcome.blame == (Stage.QUERY, Cause.QUERY_FAILED), outcome
    assert "max_queries_per_hour" in outcome.detail


async def test_a_host_that_has_no_account_is_not_allowed(make_mariadb: Callable[..., MariaDB]) -> None:
    server = make_mariadb()
    server.execute(f"RENAME USER {server.user}@'%' TO {server.user}@'127.0.0.9'; FLUSH PRIVILEGES")
    outcome = await probe(target_of(server))
    assert outcome.blame == (Stage.DATABASE, Cause.DATABASE_HOST_NOT_ALLOWED)


async def test_tls_that_mariadb_requires_looks_like_a_wrong_password(
    authority: Authority, make_mariadb: Callable[..., MariaDB]
) -> None:
    server = make_mariadb(tls=authority.issue(["db.internal"]), require_tls=True)
    assert (await probe(target_of(server))).cause is None
    outcome = await probe(replace(target_of(server), tls=TlsMode.DISABLE))
    assert outcome.blame == (Stage.LOGIN, Cause.PASSWORD_REJECTED)


async def test_what_we_refuse_is_not_counted_against_this_address(
    make_mariadb: Callable[..., MariaDB],
) -> None:
    server = make_mariadb(max_connect_errors=3, resolve_names=True)
    target = replace(target_of(server), source="127.0.0.2")
    for _ in range(6):
        refused = await probe(replace(target, tls=TlsMode.REQUIRE))
        assert refused.blame == (Stage.TLS, Cause.TLS_NOT_OFFERED)
        assert (await probe(replace(target, password="wrong"))).cause is Cause.PASSWORD_REJECTED
    assert (await probe(target)).cause is None


async def test_a_login_plugin_that_we_cannot_do_is_not_counted_against_this_address(
    make_mariadb: Callable[..., MariaDB],
) -> None:
    server = make_mariadb(max_connect_errors=3, resolve_names=True)
    server.execute(
        "INSTALL SONAME 'auth_ed25519'; CREATE USER modern@'%' IDENTIFIED VIA ed25519 USING PASSWORD('p')"
    )
    target = replace(target_of(server), source="127.0.0.2")
    for _ in range(6):
        refused = await probe(replace(target, user="modern"))
        assert refused.blame == (Stage.LOGIN, Cause.AUTH_METHOD_UNSUPPORTED)
    assert (await probe(target)).cause is None


async def test_an_address_that_dropped_handshakes_is_blocked(make_mariadb: Callable[..., MariaDB]) -> None:
    server = make_mariadb(max_connect_errors=3, resolve_names=True)
    target = replace(target_of(server), source="127.0.0.2")
    for _ in range(6):
        await probe(replace(target, engine=Engine.POSTGRESQL))
    outcome = await probe(target)
    assert outcome.blame == (Stage.DATABASE, Cause.DATABASE_HOST_BLOCKED)


def greeting(plugin: bytes, capabilities: int = 0x0008F7FF & ~0x800) -> bytes:
    """A MySQL 8 greeting that names a login plugin."""
    low, high = struct.pack("<I", capabilities)[:2], struct.pack("<I", capabilities)[2:]
    payload = b"\x0a8.0.36\0" + struct.pack("<I", 7) + b"12345678\0" + low + b"\xff\x02\0" + high
    return packet(payload + bytes([21]) + bytes(10) + b"123456789012\0" + plugin + b"\0", 0)


@pytest.mark.parametrize("plugin", [b"mysql_clear_password", b"mysql_old_password", b"dialog"])
async def test_the_password_is_never_sent_in_the_clear(plugin: bytes) -> None:
    switch = packet(b"\xfe" + plugin + b"\0" + b"12345678", 2)
    for said in (greeting(plugin), greeting(b"mysql_native_password") + switch):
        with Says(said) as fake:
            address = (fake.host, fake.port)
            outcome = await probe(Target(Engine.MYSQL, address, "u", "hunter2-hunter2", timeout=2.0))
            received = bytes(fake.received)
        known = plugin == b"mysql_clear_password"
        cause = Cause.PASSWORD_NOT_SENT if known else Cause.AUTH_METHOD_UNSUPPORTED
        assert outcome.blame == (Stage.LOGIN, cause)
        assert b"hunter2" not in received


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1040, Cause.DATABASE_TOO_MANY_CONNECTIONS),
        (1129, Cause.DATABASE_HOST_BLOCKED),
        (1130, Cause.DATABASE_HOST_NOT_ALLOWED),
        (3032, Cause.DATABASE_UNAVAILABLE),
        (9999, Cause.LOGIN_REFUSED),
    ],
)
async def test_a_refusal_before_the_greeting_has_its_cause(code: int, cause: Cause) -> None:
    with Says(packet(b"\xff" + struct.pack("<H", code) + b"no", 0), "close") as fake:
        outcome = await probe(Target(Engine.MYSQL, (fake.host, fake.port), "u", "p"))
    assert (outcome.stage, outcome.cause, outcome.detail) == (Stage.DATABASE, cause, f"no ({code})")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (3118, Cause.USER_NOT_ALLOWED),
        (3955, Cause.USER_NOT_ALLOWED),
        (1862, Cause.PASSWORD_EXPIRED),
        (3159, Cause.TLS_REQUIRED),
        (1049, Cause.DATABASE_NOT_FOUND),
        (1053, Cause.DATABASE_STARTING),
    ],
)
async def test_a_login_that_mysql_refuses_has_its_cause(code: int, cause: Cause) -> None:
    refusal = packet(b"\xff" + struct.pack("<H", code) + b"#HY000no", 2)
    with Says(greeting(b"mysql_native_password") + refusal, "close") as fake:
        outcome = await probe(Target(Engine.MYSQL, (fake.host, fake.port), "u", "p"))
    assert outcome.cause is cause


@pytest.mark.parametrize("rest", [b"", b"\x01", packet(b"\x07nonsense", 2), packet(b"\x01x", 2), bytes(64)])
async def test_nonsense_in_the_login_is_a_failure_with_a_name(rest: bytes) -> None:
    with Says(greeting(b"mysql_native_password") + rest, "close") as fake:
        outcome = await probe(Target(Engine.MYSQL, (fake.host, fake.port), "u", "p"))
    assert outcome.cause is not None


async def test_the_login_of_old_times_is_unsupported() -> None:
    with Says(greeting(b"mysql_native_password", 0xF7FF & ~0x800) + packet(b"\xfe", 2)) as fake:
        outcome = await probe(Target(Engine.MYSQL, (fake.host, fake.port), "u", "p"))
    assert outcome.blame == (Stage.LOGIN, Cause.AUTH_METHOD_UNSUPPORTED)


@pytest.mark.parametrize(
    ("said", "cause"), [(b"J", Cause.DATABASE_NO_ANSWER), (b"", Cause.DATABASE_CLOSED_EARLY)]
)
async def test_a_server_that_greets_too_late_is_no_postgresql(said: bytes, cause: Cause) -> None:
    with Says(said, "close", after_client=True) as fake:
        outcome = await probe(Target(Engine.MYSQL, (fake.host, fake.port), "u", "p", timeout=1.0))
    assert outcome.blame == (Stage.DATABASE, cause)
