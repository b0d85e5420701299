"""A real PgBouncer before a real PostgreSQL: what the pooler refuses, what the database behind it does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.backoff import retry_of_probe
from canary_tui.servers.model import Engine
from tests.harness.ports import free_port
from tests.servers.probing import Target, probe
from tests.servers.test_databases import target_of

if TYPE_CHECKING:
    from collections.abc import Callable

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
