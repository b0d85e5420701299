"""The matrix: the database knows the user, and lets them not into this database."""

from __future__ import annotations

from functools import partial

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine
from tests.servers.failure_case import Case, FailureCase
from tests.servers.failure_sql import sql
from tests.servers.world import with_database

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage
CANARY = "'canary'@'ADDRESS'"


async def no_such_database(engine: Engine, case: FailureCase) -> None:
    server = with_database(case.server(engine), name="stock_2026")
    database = case.database(engine)
    if engine is MY:  # who has no right to it is told nothing of its existence
        sql(case, MY, "GRANT ALL ON `stock%`.* TO canary@'%'", "REVOKE ALL ON `stock%`.* FROM canary@'%'")
    await case.fails(server)
    assert "stock_2026" not in database.execute(
        case.advice("SELECT datname" if engine is PG else "SHOW DATABASES")
    )
    case.undo(database.execute, "DROP DATABASE stock_2026")
    database.execute(case.advice("CREATE DATABASE stock_2026;"))
    await case.works(server)


async def may_not_connect(case: FailureCase) -> None:
    sql(case, PG, "CREATE DATABASE vault", "DROP DATABASE vault WITH (FORCE)")
    case.postgres.execute("REVOKE CONNECT ON DATABASE vault FROM PUBLIC")
    server = with_database(case.server(PG), name="vault")
    await case.fails(server)
    case.postgres.execute(case.advice("GRANT CONNECT ON DATABASE vault TO canary;"))
    await case.works(server)


async def takes_no_connections(case: FailureCase) -> None:
    sql(case, PG, "CREATE DATABASE vault", "DROP DATABASE vault WITH (FORCE)")
    case.postgres.execute("ALTER DATABASE vault ALLOW_CONNECTIONS false")
    server = with_database(case.server(PG), name="vault")
    await case.fails(server)
    case.postgres.execute(case.advice("ALTER DATABASE vault ALLOW_CONNECTIONS true;"))
    await case.works(server)


async def mariadb_grants_nothing(case: FailureCase) -> None:
    sql(case, MY, "CREATE DATABASE vault", "DROP DATABASE vault")
    server = with_database(case.server(MY), name="vault")
    await case.fails(server)
    case.undo(case.mariadb.execute, "REVOKE ALL ON vault.* FROM canary@'%'")
    case.mariadb.execute(case.advice(f"GRANT SELECT ON vault.* TO {CANARY};", ADDRESS="%"))
    await case.works(server)


DENIED = C.DATABASE_ACCESS_DENIED
CASES = (
    *(
        Case(f"no such database, {engine}", C.DATABASE_NOT_FOUND, S.LOGIN, partial(no_such_database, engine))
        for engine in (PG, MY)
    ),
    Case("no CONNECT", DENIED, S.LOGIN, may_not_connect),
    Case("ALLOW_CONNECTIONS false", DENIED, S.LOGIN, takes_no_connections),
    Case("no grant", DENIED, S.LOGIN, mariadb_grants_nothing),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)
