"""A real PgBouncer before a real PostgreSQL: what the pooler refuses, what the database behind it does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.backoff import retry_of_probe
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.misbehave import Silent
from tests.harness.ports import free_port
from tests.servers.probing import Target, probe
from tests.servers.test_databases import target_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.certs import Authority
    from tests.harness.pgbouncer import PgBouncer
    from tests.harness.postgres import Postgres


def target(pgbouncer: PgBouncer, postgres: Postgres) -> Target:
    return replace(target_of(postgres), address=(pgbouncer.host, pgbouncer.port))


@pytest.mark.parametrize("auth_type", ["scram-sha-256", "md5"])
async def test_a_probe_goes_through_it_and_a_wrong_password_is_rejected(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer], auth_type: str
) -> None:
    users = {postgres.user: postgres.password}
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), users, {"auth_type": auth_type})
    right = target(pgbouncer, postgres)
    assert (await probe(right)).cause is None
    for change in ({"password": "wrong"}, {"user": "nobody"}):
        outcome = await probe(replace(right, **change))  # type: ignore[arg-type]
        assert outcome.blame == (Stage.LOGIN, Cause.PASSWORD_REJECTED), outcome
        assert outcome.detail


async def test_a_full_pooler_is_told(postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer]) -> None:
    full = make_pgbouncer(
        (postgres.host, postgres.port), {postgres.user: postgres.password}, {"max_client_conn": "1"}
    )
    other = await asyncpg.connect(
        host=full.host,
        port=full.port,
        user=postgres.user,
        password=postgres.password,
        database=postgres.database,
        ssl=False,
    )
    try:
        outcome = await probe(target(full, postgres))
    finally:
        other.terminate()
    assert outcome.cause is Cause.DATABASE_TOO_MANY_CONNECTIONS, outcome


async def test_a_database_that_is_down_behind_it_is_not_a_slow_query(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    users = {postgres.user: postgres.password}
    for settings in (
        {"query_wait_timeout": "1"},
        {"server_login_retry": "1", "server_connect_timeout": "1"},
        {},
    ):
        pgbouncer = make_pgbouncer(("127.0.0.1", free_port()), users, settings)
        outcome = await probe(replace(target(pgbouncer, postgres), timeout=3.0))
        assert outcome.cause is Cause.DATABASE_UNAVAILABLE, (settings, outcome)


async def test_a_database_that_went_down_behind_it_is_not_a_slow_query(
    make_postgres: Callable[..., Postgres], make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    postgres = make_postgres()
    users = {postgres.user: postgres.password}
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), users, {"query_wait_timeout": "1"})
    assert (await probe(target(pgbouncer, postgres))).cause is None
    postgres.stop("immediate")
    outcome = await probe(target(pgbouncer, postgres))
    assert outcome.cause is Cause.DATABASE_UNAVAILABLE, outcome


async def test_a_database_that_it_does_not_have_is_told(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), {postgres.user: postgres.password})
    outcome = await probe(replace(target(pgbouncer, postgres), database="gone"))
    assert outcome.blame == (Stage.LOGIN, Cause.DATABASE_NOT_FOUND), outcome
    assert retry_of_probe(Cause.DATABASE_NOT_FOUND, Engine.POSTGRESQL) is not None


async def test_a_password_that_only_the_pooler_knows_is_the_poolers_trouble(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    """Ours lets us in at the pooler; the database behind it has another."""
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), {postgres.user: "of the pooler alone"})
    outcome = await probe(replace(target(pgbouncer, postgres), password="of the pooler alone"))
    assert outcome.cause is Cause.DATABASE_UNAVAILABLE, outcome


async def test_a_pooler_that_wants_tls_is_told(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer], authority: Authority
) -> None:
    users, tls = {postgres.user: postgres.password}, authority.issue(["db.internal"])
    files = {"client_tls_cert_file": str(tls.cert), "client_tls_key_file": str(tls.key)}
    for file in (tls.cert, tls.key):
        file.chmod(0o644)
    wants = make_pgbouncer((postgres.host, postgres.port), users, {"client_tls_sslmode": "require", **files})
    assert (await probe(target(wants, postgres))).cause is None
    outcome = await probe(replace(target(wants, postgres), tls=TlsMode.DISABLE))
    assert outcome.cause is Cause.TLS_REQUIRED, outcome


async def test_a_pooler_that_lets_nobody_in_from_here_is_told_with_its_words(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer], server_folder: Path
) -> None:
    hba = server_folder / "elsewhere.conf"
    hba.write_text("host all all 192.0.2.0/24 trust\n")
    settings = {"auth_type": "hba", "auth_hba_file": str(hba)}
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), {postgres.user: postgres.password}, settings)
    outcome = await probe(target(pgbouncer, postgres))
    assert outcome.cause in {Cause.LOGIN_REFUSED, Cause.DATABASE_HOST_NOT_ALLOWED}, outcome
    assert outcome.detail


async def test_a_certificate_that_the_pooler_asks_for_is_no_wrong_password(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer], authority: Authority, server_folder: Path
) -> None:
    hba, tls = server_folder / "certificates.conf", authority.issue(["db.internal"])
    hba.write_text("hostssl all all 127.0.0.0/8 cert\n")
    for file in (tls.cert, tls.key):
        file.chmod(0o644)
    files = {"client_tls_cert_file": str(tls.cert), "client_tls_key_file": str(tls.key)}
    settings = {"auth_type": "hba", "auth_hba_file": str(hba), "client_tls_sslmode": "allow", **files}
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), {postgres.user: postgres.password}, settings)
    outcome = await probe(target(pgbouncer, postgres))
    assert outcome.cause is Cause.CLIENT_CERTIFICATE_REQUIRED, outcome


async def test_the_poolers_own_time_limits_are_told(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    users = {postgres.user: postgres.password}
    slow = make_pgbouncer((postgres.host, postgres.port), users, {"query_timeout": "1"})
    outcome = await probe(replace(target(slow, postgres), query="select pg_sleep(4)"))
    assert outcome.blame == (Stage.QUERY, Cause.QUERY_TIMED_OUT), outcome
    with Silent() as silent:
        waiting = make_pgbouncer((silent.host, silent.port), users, {"client_login_timeout": "1"})
        outcome = await probe(target(waiting, postgres))
    assert outcome.cause is Cause.DATABASE_UNAVAILABLE, outcome


async def test_its_own_database_is_for_its_administrators(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), {postgres.user: postgres.password})
    outcome = await probe(replace(target(pgbouncer, postgres), database="pgbouncer"))
    assert outcome.blame == (Stage.LOGIN, Cause.DATABASE_ACCESS_DENIED), outcome


@pytest.mark.parametrize("right", ["admin_users", "stats_users"])
async def test_its_console_is_probed_with_what_only_reads(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer], right: str
) -> None:
    users = {postgres.user: postgres.password}
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), users, {right: postgres.user})
    console = replace(target(pgbouncer, postgres), database="pgbouncer")
    for query in ("select 1", "SELECT 1;", "show pools", "SHOW STATS;"):
        assert (await probe(replace(console, query=query))).cause is None
    for query in ("SHUTDOWN", "show version; SHUTDOWN", "PAUSE", "select 2"):
        outcome = await probe(replace(console, query=query))
        assert outcome.blame == (Stage.QUERY, Cause.QUERY_DENIED), outcome
    outcome = await probe(replace(console, query="SHOW NOTHING"))
    assert outcome.blame == (Stage.QUERY, Cause.QUERY_FAILED), outcome
    assert (await probe(target(pgbouncer, postgres))).cause is None


async def test_a_database_that_the_pooler_has_switched_off_is_told(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    users = {postgres.user: postgres.password}
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), users, {"admin_users": postgres.user})
    where = target(pgbouncer, postgres)
    assert (await probe(where)).cause is None
    admin = await asyncpg.connect(
        host=pgbouncer.host,
        port=pgbouncer.port,
        user=postgres.user,
        password=postgres.password,
        database="pgbouncer",
        ssl=False,
        statement_cache_size=0,
    )
    try:
        await admin.execute(f"DISABLE {postgres.database}")
        outcome = await probe(where)
        assert outcome.cause is Cause.DATABASE_UNAVAILABLE, outcome
        await admin.execute(f"ENABLE {postgres.database}")
        assert (await probe(where)).cause is None
    finally:
        admin.terminate()
