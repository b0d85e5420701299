"""Both engines' clients against real servers: what they do alike."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.certs import Authority
from tests.harness.mariadb import MariaDB
from tests.harness.misbehave import ClosesAtOnce, Says, Silent
from tests.harness.postgres import Postgres
from tests.harness.proxy import Proxy
from tests.servers.probing import Target, probe, probe_beside_others
from tests.servers.tls_front import TlsFront

Real = Postgres | MariaDB


ENGINES = [Engine.POSTGRESQL, Engine.MYSQL]
SLEEP = {Engine.POSTGRESQL: "select pg_sleep(30)", Engine.MYSQL: "select sleep(30)"}


def target_of(server: Real) -> Target:
    return Target(
        engine=Engine.POSTGRESQL if isinstance(server, Postgres) else Engine.MYSQL,
        address=(server.host, server.port),
        user=server.user,
        password=server.password,
        database=server.database,
    )


@pytest.fixture(params=["postgres", "mariadb"])
def plain(request: pytest.FixtureRequest) -> Target:
    """A database without TLS."""
    return target_of(request.getfixturevalue(request.param))


@pytest.fixture(params=["postgres_tls", "mariadb_tls"])
def encrypted(request: pytest.FixtureRequest, authority: Authority) -> Target:
    """A database with TLS and a certificate for db.internal."""
    return replace(target_of(request.getfixturevalue(request.param)), ca_file=str(authority.ca))


@pytest.fixture(autouse=True)
def other_peoples_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for psql is not for us."""
    for name in ("PGHOST", "PGPORT", "PGPASSWORD", "PGSSLMODE", "PGSERVICE", "PGTARGETSESSIONATTRS"):
        monkeypatch.setenv(name, "nonsense")


@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.PREFER])
async def test_a_probe_without_tls_passes_through_database_login_and_query(
    plain: Target, mode: TlsMode
) -> None:
    outcome = await probe(replace(plain, tls=mode))
    assert (outcome.cause, outcome.names) == (None, ["database", "login", "query"])


@pytest.mark.parametrize("mode", [TlsMode.PREFER, TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL])
async def test_a_probe_with_tls_names_it_and_the_certificates_end(encrypted: Target, mode: TlsMode) -> None:
    outcome = await probe(replace(encrypted, tls=mode))
    assert (outcome.cause, outcome.names) == (None, ["database", "tls", "login", "query"])
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=30)
    assert outcome.note(Stage.TLS) == f"TLSv1.3, certificate until {end:%Y-%m-%d}"


async def test_disable_uses_no_tls_where_it_is_offered(encrypted: Target) -> None:
    outcome = await probe(replace(encrypted, tls=TlsMode.DISABLE))
    assert (outcome.cause, outcome.names) == (None, ["database", "login", "query"])


async def test_required_tls_that_is_not_offered_sends_no_login(plain: Target) -> None:
    outcome = await probe(replace(plain, tls=TlsMode.REQUIRE))
    assert outcome.blame == (Stage.TLS, Cause.TLS_NOT_OFFERED)


async def test_verify_full_checks_the_real_host_and_not_the_tunnels_end(encrypted: Target) -> None:
    outcome = await probe(replace(encrypted, tls=TlsMode.VERIFY_FULL, real_host="other.internal"))
    assert outcome.blame == (Stage.TLS, Cause.CERTIFICATE_NAME_MISMATCH)
    outcome = await probe(replace(encrypted, tls=TlsMode.VERIFY_FULL, real_host="127.0.0.1"))
    assert outcome.blame == (Stage.TLS, Cause.CERTIFICATE_NAME_MISMATCH)
    outcome = await probe(replace(encrypted, tls=TlsMode.VERIFY_CA, real_host="other.internal"))
    assert outcome.cause is None


async def test_an_authority_that_is_not_ours_is_untrusted(encrypted: Target) -> None:
    outcome = await probe(replace(encrypted, tls=TlsMode.VERIFY_CA, ca_file=""))
    assert outcome.blame == (Stage.TLS, Cause.CERTIFICATE_UNTRUSTED)
    assert "self-signed certificate in certificate chain" in outcome.detail


async def test_a_certificate_outside_its_dates_is_expired(
    authority: Authority, make_postgres: Callable[..., Postgres], make_mariadb: Callable[..., MariaDB]
) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    tomorrow = yesterday + dt.timedelta(days=2)
    old = authority.issue(["db.internal"], not_after=yesterday)
    new = authority.issue(["db.internal"], not_before=tomorrow)
    for server in (make_postgres(tls=old), make_mariadb(tls=new)):
        target = replace(target_of(server), tls=TlsMode.VERIFY_CA, ca_file=str(authority.ca))
        outcome = await probe(target)
        assert outcome.blame == (Stage.TLS, Cause.CERTIFICATE_EXPIRED)


async def test_a_certificate_for_an_ip_address_is_checked_as_one(
    authority: Authority, make_postgres: Callable[..., Postgres]
) -> None:
    server = make_postgres(tls=authority.issue(["10.0.3.12", "fd00::12"]))
    target = replace(target_of(server), tls=TlsMode.VERIFY_FULL, ca_file=str(authority.ca))
    assert (await probe(replace(target, real_host="10.0.3.12"))).cause is None
    assert (await probe(replace(target, real_host="fd00:0::12"))).cause is None
    outcome = await probe(replace(target, real_host="10.0.3.13"))
    assert outcome.blame == (Stage.TLS, Cause.CERTIFICATE_NAME_MISMATCH)


async def test_a_wrong_password_is_rejected_and_never_repeated(plain: Target) -> None:
    outcome = await probe(replace(plain, password="hunter2"))
    assert outcome.blame == (Stage.LOGIN, Cause.PASSWORD_REJECTED)
    assert plain.user in outcome.detail
    assert "\n" not in outcome.detail


async def test_a_password_that_is_asked_for_and_not_there_is_missing(plain: Target) -> None:
    outcome = await probe(replace(plain, password=None))
    assert outcome.blame == (Stage.LOGIN, Cause.PASSWORD_MISSING)


async def test_an_unknown_database_is_not_found(plain: Target, encrypted: Target) -> None:
    for target in (plain, encrypted):
        outcome = await probe(replace(target, database="no_such_thing"))
        expected = {Cause.DATABASE_NOT_FOUND, Cause.DATABASE_ACCESS_DENIED}
        # MariaDB tells a user without rights on it nothing about a database's existence (1044).
        assert outcome.stage is Stage.LOGIN
        assert outcome.cause in (expected if target.engine is Engine.MYSQL else {Cause.DATABASE_NOT_FOUND})


async def test_a_wrong_query_fails_in_the_servers_words(plain: Target) -> None:
    outcome = await probe(replace(plain, query="select from where"))
    assert outcome.blame == (Stage.QUERY, Cause.QUERY_FAILED)
    assert "syntax" in outcome.detail


async def test_a_query_without_an_end_stops_at_the_limit_and_leaves_nothing(plain: Target) -> None:
    outcome = await probe(replace(plain, query=SLEEP[plain.engine], timeout=1.0))
    assert outcome.blame == (Stage.QUERY, Cause.QUERY_TIMED_OUT)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.REQUIRE])
async def test_a_database_that_closes_at_once_closed_early(engine: Engine, mode: TlsMode) -> None:
    with ClosesAtOnce() as closing:
        outcome = await probe(Target(engine, (closing.host, closing.port), "u", "p", tls=mode))
    assert outcome.blame == (Stage.DATABASE, Cause.DATABASE_CLOSED_EARLY)


@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.REQUIRE])
async def test_a_database_that_resets_the_first_words_closed_early(mode: TlsMode) -> None:
    with Says(b"", "reset", after_client=True) as reset:
        outcome = await probe(Target(Engine.POSTGRESQL, (reset.host, reset.port), "u", "p", tls=mode))
    assert outcome.blame == (Stage.DATABASE, Cause.DATABASE_CLOSED_EARLY)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.PREFER])
async def test_silence_is_no_answer_of_the_database(engine: Engine, mode: TlsMode) -> None:
    with Silent() as silent:
        address = (silent.host, silent.port)
        outcome = await probe(Target(engine, address, "u", "p", tls=mode, timeout=1.0))
    assert outcome.blame == (Stage.DATABASE, Cause.DATABASE_NO_ANSWER)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "banner", [b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail ESMTP\r\n", b"HTTP/1.1 400 Bad\r\n"]
)
async def test_another_protocol_is_named_as_such(engine: Engine, banner: bytes) -> None:
    with Says(banner) as other:
        outcome = await probe(Target(engine, (other.host, other.port), "u", "p"))
    assert outcome.blame == (Stage.DATABASE, Cause.WRONG_PROTOCOL)


async def test_postgresql_settings_for_a_mysql_server_are_the_wrong_protocol(mariadb: MariaDB) -> None:
    outcome = await probe(replace(target_of(mariadb), engine=Engine.POSTGRESQL))
    assert outcome.blame == (Stage.DATABASE, Cause.WRONG_PROTOCOL)


async def test_mysql_settings_for_a_postgresql_server_are_the_wrong_protocol(
    postgres: Postgres, postgres_tls: Postgres
) -> None:
    for server in (postgres, postgres_tls):
        target = replace(target_of(server), engine=Engine.MYSQL, timeout=1.0)
        outcome = await probe(target)
        assert outcome.blame == (Stage.DATABASE, Cause.WRONG_PROTOCOL)


@pytest.mark.parametrize("query", ["create table t (a int)", "delete from kept"])
async def test_the_session_cannot_write(postgres: Postgres, mariadb: MariaDB, query: str) -> None:
    postgres.execute("create table if not exists kept (a int); grant all on kept to public", "orders")
    mariadb.execute("create table if not exists kept (a int)", "orders")
    for server in (postgres, mariadb):
        outcome = await probe(replace(target_of(server), query=query))
        assert outcome.blame == (Stage.QUERY, Cause.QUERY_FAILED)
        assert "read" in outcome.detail.lower()


async def test_postgresql_sees_one_connection_a_probe_with_a_proper_end(
    postgres: Postgres, postgres_tls: Postgres
) -> None:
    for server in (postgres, postgres_tls):
        before = server.connections_seen()
        for _ in range(5):
            assert (await probe(target_of(server))).cause is None
        assert server.connections_seen() == before + 5
        assert "unexpected EOF" not in server.log_text()


async def test_a_query_that_is_given_up_is_not_cancelled_over_a_second_connection(postgres: Postgres) -> None:
    before = postgres.connections_seen()
    await probe(replace(target_of(postgres), query="select pg_sleep(30)", timeout=1.0))
    assert postgres.connections_seen() == before + 1


async def test_mysql_sees_one_connection_a_probe_with_a_proper_end(
    mariadb: MariaDB, mariadb_tls: MariaDB
) -> None:
    for server in (mariadb, mariadb_tls):
        seen, aborted = server.connections_attempted(), server.status("Aborted_clients")
        for _ in range(5):
            assert (await probe(target_of(server))).cause is None
        assert server.connections_attempted() == seen + 5
        assert server.status("Aborted_clients") == aborted


@pytest.mark.parametrize("how", ["cut", "drop"])
async def test_a_wire_that_breaks_in_mid_query_loses_the_connection(encrypted: Target, how: str) -> None:
    with Proxy(encrypted.address) as proxy:
        target = replace(
            encrypted, address=(proxy.host, proxy.port), query=SLEEP[encrypted.engine], timeout=3.0
        )
        running = asyncio.create_task(probe_beside_others(target))
        before = 0
        while before == 0 or proxy.bytes_up > before:  # until the query has gone up and nothing follows
            before = proxy.bytes_up
            await asyncio.sleep(0.2)
        await asyncio.to_thread(getattr(proxy, how))
        outcome = await running
    expected = Cause.CONNECTION_LOST if how == "cut" else Cause.QUERY_TIMED_OUT
    assert outcome.blame == (Stage.QUERY, expected)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_certificate_that_is_asked_of_us_after_the_handshake_is_named(
    engine: Engine, authority: Authority
) -> None:
    with TlsFront(engine, authority) as front:
        target = Target(engine, front.address, "u", "p", tls=TlsMode.REQUIRE)
        outcome = await probe_beside_others(target)
    assert outcome.cause is Cause.CLIENT_CERTIFICATE_REQUIRED
