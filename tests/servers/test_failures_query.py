"""The matrix: the user is in, and no answer to the query comes back."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine
from tests.harness.ports import eventually
from tests.servers.failure_case import Case, FailureCase
from tests.servers.sessions import NAP
from tests.servers.world import with_probe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.servers.failure_case import Database


PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage
OWN_LIMIT = {
    PG: "set local statement_timeout = 50; select pg_sleep(30)",
    MY: "set session max_statement_time = 0.05; select sleep(30)",
}
BUSY = {
    PG: "select count(*) from pg_stat_activity where query like '%pg_sleep%' and usename = 'canary'",
    MY: "select count(*) from information_schema.processlist where user = 'canary' and info like '%sleep%'",
}
END = {
    PG: "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'canary-tui'",
    MY: "kill user canary",
}
CANCEL = {
    PG: "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'canary-tui'",
    MY: "kill query user canary",
}


async def mended_by_the_query(engine: Engine, query: str, case: FailureCase) -> None:
    """The remedy that always holds: ``probe.query: select 1``."""
    server = case.server(engine, query=query)
    await case.fails(server)
    await case.works(case.follow(server, "probe.query: select 1"))


async def too_slow(engine: Engine, case: FailureCase) -> None:
    server = case.server(engine, query=NAP[engine], timeout=1.0)
    await case.fails(server)
    await case.works(case.follow(server, "probe.query: select 1"))


async def waits_for_a_lock(case: FailureCase) -> None:
    """The remedy's query shows what the probe waits for; the lock's holder is ended."""
    postgres = case.postgres
    postgres.execute("create table stock (a int); grant select on stock to canary", "orders")
    case.undo(postgres.execute, "drop table stock", "orders")
    locking = "begin; lock table stock; select 'locked' from pg_sleep(60)"
    holder = asyncio.create_task(asyncio.to_thread(postgres.execute, locking, "orders"))
    waiting = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation is not null"
    await eventually(lambda: postgres.execute(waiting) != "0", what="the table is locked")
    server = case.server(PG, query="select * from stock", timeout=1.0)
    await case.fails(server)
    seen = [
        line for line in postgres.execute(case.advice("SELECT pid, state")).splitlines() if "locked" in line
    ]
    postgres.execute(f"select pg_terminate_backend({seen[0].split('|')[0]})")
    with pytest.raises(RuntimeError, match="terminating connection"):
        await holder
    await case.works(server)


async def postgresql_denies(case: FailureCase) -> None:
    postgres = case.postgres
    postgres.create_user("reader", "p")
    postgres.execute("revoke usage on schema public from public; create table stock (a int)", "orders")
    undo = "drop owned by reader; drop role reader; drop table stock; grant usage on schema public to public"
    case.undo(postgres.execute, undo, "orders")
    server = case.server(PG, query="select * from public.stock", user="reader", password="p")
    await case.fails(server)
    postgres.execute(case.advice("GRANT USAGE ON SCHEMA public TO reader;"), "orders")
    postgres.execute(case.advice("GRANT SELECT ON TABLE_NAME TO reader;", TABLE_NAME="stock"), "orders")
    await case.works(server)


async def mariadb_denies(case: FailureCase) -> None:
    mariadb = case.mariadb
    mariadb.execute("create table stock (a int); create table other (a int)", "orders")
    mariadb.create_user("reader", "p", grant="SELECT ON orders.other")
    case.undo(mariadb.execute, "drop user reader@'%'; drop table stock; drop table other", "orders")
    server = case.server(MY, query="select * from stock", user="reader", password="p")
    await case.fails(server)
    mariadb.execute(case.advice("GRANT SELECT ON orders.*", ADDRESS="%"))
    await case.works(server)


async def while_it_runs(engine: Engine, harm: Callable[[Database, Engine], None], case: FailureCase) -> None:
    """Something happens to the session in the middle of the query; the next probe is well again."""
    database = case.database(engine)
    server = case.server(engine, query=NAP[engine])
    running = asyncio.create_task(case.fails(server))
    await eventually(lambda: database.execute(BUSY[engine]) != "0", what="the query runs")
    await asyncio.to_thread(partial(harm, database, engine))
    await running
    if not database.running:
        await asyncio.to_thread(database.start)
    await case.works(with_probe(server, query="select 1"))


def ended(database: Database, engine: Engine) -> None:
    database.execute(END[engine])


def cancelled(database: Database, engine: Engine) -> None:
    database.execute(CANCEL[engine])


def stopped(database: Database, engine: Engine) -> None:
    del engine
    database.stop()


def killed(database: Database, engine: Engine) -> None:
    del engine
    database.kill()


def _each(name: str, cause: Cause, run: Callable[..., Awaitable[None]], *given: object) -> tuple[Case, ...]:
    """A way that both engines know."""
    return tuple(
        Case(f"{name}, {engine}", cause, S.QUERY, partial(run, engine, *given)) for engine in (PG, MY)
    )


CASES = (
    *_each("longer than the probe may take", C.QUERY_TIMED_OUT, too_slow),
    *(
        Case(
            f"longer than its session may take, {engine}",
            C.QUERY_TIMED_OUT,
            S.QUERY,
            partial(mended_by_the_query, engine, OWN_LIMIT[engine]),
        )
        for engine in (PG, MY)
    ),
    Case("waits for a lock", C.QUERY_TIMED_OUT, S.QUERY, waits_for_a_lock),
    Case("no right to a table, postgresql", C.QUERY_DENIED, S.QUERY, postgresql_denies),
    Case("no right to a table, mysql", C.QUERY_DENIED, S.QUERY, mariadb_denies),
    *_each("syntax", C.QUERY_FAILED, mended_by_the_query, "select from where"),
    *_each("no such table", C.QUERY_FAILED, mended_by_the_query, "select * from no_such_table"),
    *_each("writes", C.QUERY_FAILED, mended_by_the_query, "create table written (a int)"),
    *_each("is cancelled", C.QUERY_FAILED, while_it_runs, cancelled),
    *_each("session is ended", C.CONNECTION_LOST, while_it_runs, ended),
    *_each("database stops", C.CONNECTION_LOST, while_it_runs, stopped),
    *_each("database is killed", C.CONNECTION_LOST, while_it_runs, killed),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)
