"""Whose time limit ended a query: the probe's, or one of the database or a pooler that is shorter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine
from tests.harness.floods import Floods
from tests.servers.probing import probe
from tests.servers.sessions import NAP
from tests.servers.test_databases import target_of
from tests.servers.test_failures_query import OWN_LIMIT
from tests.servers.test_unlisted_refusals import CLEAR, Point, Said, script_of_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.mariadb import MariaDB
    from tests.harness.pgbouncer import PgBouncer
    from tests.harness.postgres import Postgres

TIMED_OUT = (Stage.QUERY, Cause.QUERY_TIMED_OUT)


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.MYSQL])
async def test_a_limit_of_the_database_is_not_told_as_the_probes(
    engine: Engine, request: pytest.FixtureRequest
) -> None:
    name = "postgres" if engine is Engine.POSTGRESQL else "mariadb"
    database: Postgres | MariaDB = request.getfixturevalue(name)
    theirs = await probe(replace(target_of(database), query=OWN_LIMIT[engine]))
    assert theirs.blame == TIMED_OUT
    assert theirs.facts["ended_after"].endswith(" s")
    ours = await probe(replace(target_of(database), query=NAP[engine], timeout=1.0))
    assert (ours.blame, ours.facts) == (TIMED_OUT, {})


async def test_a_limit_of_a_pooler_is_not_told_as_the_probes(
    postgres: Postgres, make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    users = {postgres.user: postgres.password}
    slow = make_pgbouncer((postgres.host, postgres.port), users, {"query_timeout": "1"})
    there = replace(target_of(postgres), address=(slow.host, slow.port), query="select pg_sleep(4)")
    outcome = await probe(there)
    assert outcome.blame == TIMED_OUT
    assert "ended_after" in outcome.facts


async def test_a_transaction_that_may_last_no_longer_has_timed_out(postgres: Postgres) -> None:
    """transaction_timeout is PostgreSQL 17's; it ends the session as well."""
    words = b"terminating connection due to transaction timeout"
    said = Said(words, state=b"25P04", routine=b"ProcessInterrupts", severity=b"FATAL")
    with Floods(script_of_postgresql(said, Point.AT_QUERY, CLEAR), lambda: iter(())) as peer:
        there = replace(target_of(postgres), address=("127.0.0.1", peer.port), tls=CLEAR)
        outcome = await probe(there)
    assert outcome.blame == TIMED_OUT
    assert "ended_after" in outcome.facts
