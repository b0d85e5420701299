"""A session with a real database logs in once, may be asked more than once, and ends in order."""

from __future__ import annotations

import contextlib
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from canary_tui.databases.registry import client_for
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.servers.model import Engine, TlsMode
from canary_tui.servers.secrets import Secret
from canary_tui.tunnels.link import QUERY_BYTES, ProbeLink
from canary_tui.tunnels.route import DirectRoute
from tests.servers.probing import Target
from tests.servers.test_databases import target_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from canary_tui.databases.link import DatabaseSession
    from tests.harness.mariadb import MariaDB
    from tests.harness.pgbouncer import PgBouncer
    from tests.harness.postgres import Postgres

SERVERS = ("postgres", "postgres_tls", "mariadb", "mariadb_tls")
END_IT = {
    Engine.POSTGRESQL: "select pg_terminate_backend(pg_backend_pid())",
    Engine.MYSQL: "kill connection_id()",
}
MOST_OF_IT = f"select repeat('x', {QUERY_BYTES * 3 // 4})"
"""An answer of which one may be sent, and two not."""


@dataclass
class Talk:
    """A session, its stages, and the way to the database."""

    session: DatabaseSession
    trace: Trace
    link: ProbeLink

    @property
    def stages(self) -> list[Stage]:
        """Those that ended, and the one under way."""
        return [result.stage for result in self.trace.results] + [self.trace.stage]

    async def cause_of(self, query: str) -> Cause:
        """The cause for which a query fails."""
        with pytest.raises(Failed) as failed:
            await self.session.query(query)
        return failed.value.cause


@asynccontextmanager
async def talk(target: Target) -> AsyncIterator[Talk]:
    """Log in as a probe does, limits included, and leave in order."""
    trace = Trace(time.perf_counter)
    client, password = client_for(target.engine), Secret(target.password or "")
    way = await DirectRoute(*target.address).open(Trace(time.perf_counter))
    async with (
        ProbeLink(way, trace) as link,
        client.session(link, target.server(), password, trace, had_tls=False) as session,
    ):
        yield Talk(session, trace, link)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Postgres | MariaDB:
    """Each engine, without TLS and with it."""
    found: Postgres | MariaDB = request.getfixturevalue(request.param)
    return found


async def test_a_session_logs_in_once_and_is_asked_twice(server: Postgres | MariaDB) -> None:
    logins = server.logins_seen()
    async with talk(target_of(server)) as talking:
        last_of_login = talking.trace.stage
        await talking.session.query("select 1")
        await talking.session.query("select 2")
    assert last_of_login is Stage.LOGIN
    tls = [Stage.TLS] if server.tls else []
    assert talking.stages == [Stage.DATABASE, *tls, Stage.LOGIN, Stage.QUERY]
    assert server.logins_seen() == logins + 1


async def test_a_query_that_failed_leaves_a_session_that_can_be_asked(server: Postgres | MariaDB) -> None:
    async with talk(target_of(server)) as talking:
        for wrong in ("select from where", "select * from no_such_table", "create table t (a int)"):
            assert await talking.cause_of(wrong) is Cause.QUERY_FAILED
            await talking.session.query("select 1")


async def test_what_one_query_changes_does_not_loosen_the_next(server: Postgres | MariaDB) -> None:
    postgres = target_of(server).engine is Engine.POSTGRESQL
    loosen = "commit; begin read write" if postgres else "set session transaction read write"
    async with talk(target_of(server)) as talking:
        await talking.session.query(loosen)
        assert await talking.cause_of("create table loosened (a int)") is Cause.QUERY_FAILED


async def test_a_session_that_the_server_ended_is_lost_for_each_query(server: Postgres | MariaDB) -> None:
    target = target_of(server)
    async with talk(target) as talking:
        assert await talking.cause_of(END_IT[target.engine]) is Cause.CONNECTION_LOST
        assert await talking.cause_of("select 1") is Cause.CONNECTION_LOST


async def test_each_query_may_be_answered_at_length(server: Postgres | MariaDB) -> None:
    async with talk(target_of(server)) as talking:
        await talking.session.query(MOST_OF_IT)
        await talking.session.query(MOST_OF_IT)
        with pytest.raises(Failed):
            await talking.session.query(f"{MOST_OF_IT}; {MOST_OF_IT}")
        assert talking.link.cut_off is not None
        assert talking.link.cut_off.cause is Cause.QUERY_FAILED


async def test_notices_are_counted_for_each_query(postgres: Postgres) -> None:
    say = "do $$ begin for i in 1..{} loop raise notice '%', repeat('x', 1000); end loop; end $$"
    async with talk(target_of(postgres)) as talking:
        for _ in range(3):
            await talking.session.query(say.format(150))
        assert await talking.cause_of(say.format(300)) is Cause.QUERY_FAILED
        assert await talking.cause_of("select 1") is Cause.QUERY_FAILED, "it was ended here"


async def test_an_error_of_our_own_is_none_of_the_databases(server: Postgres | MariaDB) -> None:
    async def stumble() -> None:
        async with talk(target_of(server)) as talking:
            await talking.session.query("select 1")
            raise ValueError("ours")

    # A driver raises such errors as well, for what makes no sense to it.
    with pytest.raises(ValueError, match="ours"):
        await stumble()


async def test_a_wrong_password_is_a_failure_of_the_login_and_not_of_a_query(
    server: Postgres | MariaDB,
) -> None:
    with pytest.raises(Failed) as failed:
        async with talk(replace(target_of(server), password="wrong")):
            pytest.fail("nobody is logged in")
    assert failed.value.cause is Cause.PASSWORD_REJECTED


async def test_mysql_is_told_good_bye_after_a_query_that_failed(
    mariadb: MariaDB, mariadb_tls: MariaDB
) -> None:
    for server in (mariadb, mariadb_tls):
        aborted = server.status("Aborted_clients")
        with pytest.raises(Failed):
            async with talk(target_of(server)) as talking:
                await talking.session.query("select * from no_such_table")
        assert server.status("Aborted_clients") == aborted


async def test_time_that_runs_out_in_the_good_bye_does_not_change_what_failed(
    server: Postgres | MariaDB,
) -> None:
    with pytest.raises(Failed) as failed:
        async with talk(target_of(server)) as talking:
            await talking.session.query("select * from no_such_table")
    assert talking.trace.timed_out() is failed.value
    assert talking.trace.waited > 0, "the good-bye is in no stage"


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_a_pooler_is_asked_twice_and_keeps_its_own_session(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer], mode: str
) -> None:
    pgbouncer = make_pgbouncer(
        (postgres.host, postgres.port), {postgres.user: postgres.password}, {"pool_mode": mode}
    )
    target = replace(target_of(postgres), address=(pgbouncer.host, pgbouncer.port), tls=TlsMode.DISABLE)
    before = postgres.logins_seen()
    for _ in range(3):
        with contextlib.suppress(Failed):
            async with talk(target) as talking:
                await talking.session.query("select 1")
                assert await talking.cause_of("select 1/0") is Cause.QUERY_FAILED
                await talking.session.query("select 2")
                await talking.session.query("select 1/0")
        assert talking.stages == [Stage.DATABASE, Stage.LOGIN, Stage.QUERY]
    assert postgres.logins_seen() == before + 1, "its session with the database outlives its clients'"
