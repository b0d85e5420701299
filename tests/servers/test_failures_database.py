"""The matrix: a database that is starting, is full, or lets nobody in from there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial

import msgspec
import pytest

from canary_tui.databases.mysql.wire import packet
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine
from tests.harness.misbehave import Says
from tests.harness.ports import eventually
from tests.harness.postgres import Postgres
from tests.harness.proxy import Proxy
from tests.servers.failure_case import HERE, Case, FailureCase
from tests.servers.sessions import busy_session

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage


async def shutting_down(case: FailureCase) -> None:
    """PostgreSQL waits for its last session to end, and takes no other."""
    case.restarted(PG, client_connection_check_interval="50")
    database = case.postgres
    server = case.server(PG)
    async with busy_session(case.world, database, server):
        stopping = asyncio.create_task(asyncio.to_thread(database.stop, "smart"))
        await eventually(lambda: "smart shutdown" in database.log_text(), what="the shutdown has begun")
        await case.fails(server)
    await stopping
    await asyncio.to_thread(database.start)
    await case.works(server)


class Standby(Postgres):
    """A PostgreSQL that is to replay what a primary sends, and may not answer queries meanwhile."""

    def _is_ready(self, log: str) -> bool:
        return "entering standby mode" in log or super()._is_ready(log)


async def standby_without_queries(case: FailureCase) -> None:
    with Standby(case.folder / "standby", settings={"wal_level": "replica"}) as database:
        server = case.server(database=database)
        database.stop()
        (database.data / "standby.signal").touch()
        database.settings["hot_standby"] = "off"
        database.start()
        await case.fails(server)
        name, value = case.advice("hot_standby = on").split(" = ")
        database.settings[name] = value
        database.restart()
        await eventually(lambda: "ready to accept read-only" in database.log_text(), what="it answers")
        await case.works(server)


async def postgresql_is_full(case: FailureCase) -> None:
    case.restarted(
        PG, max_connections="4", superuser_reserved_connections="3", client_connection_check_interval="50"
    )
    server = case.server(PG)
    async with busy_session(case.world, case.postgres, server):
        await case.fails(server)
        assert "canary-tui" in case.postgres.execute(case.advice("SELECT usename"))
        pid = "(SELECT pid FROM pg_stat_activity WHERE application_name = 'canary-tui')"
        case.postgres.execute(case.advice("SELECT pg_terminate_backend", PID=pid))
        await eventually(lambda: "canary-tui" not in case.postgres.execute(case.advice("SELECT usename")))
        await case.works(server)


async def postgresql_limits(what: str, case: FailureCase) -> None:
    server = case.server(PG)
    case.undo(case.postgres.execute, f"ALTER {what} CONNECTION LIMIT -1")
    case.postgres.execute(f"ALTER {what} CONNECTION LIMIT 0")
    await case.fails(server)
    case.postgres.execute(case.advice(f"ALTER {what} CONNECTION LIMIT -1"))
    await case.works(server)


async def mariadb_is_full(case: FailureCase) -> None:
    server = case.server(MY)
    case.undo(case.mariadb.execute, "SET GLOBAL max_connections = 151")
    case.mariadb.execute("SET GLOBAL max_connections = 10")
    with contextlib.ExitStack() as clients:
        for _ in range(10):
            client = clients.enter_context(socket.create_connection((HERE, case.mariadb.port)))
            client.recv(1)  # its greeting: the connection counts
        await case.fails(server)
        case.mariadb.execute(case.advice("SET GLOBAL max_connections = "))
        await case.works(server)


async def mariadb_limits_the_user(limit: str, case: FailureCase) -> None:
    server = case.server(MY)
    free = "ALTER USER canary@'%' WITH MAX_USER_CONNECTIONS 0 MAX_CONNECTIONS_PER_HOUR 0"
    case.undo(case.mariadb.execute, free)
    case.mariadb.execute(f"ALTER USER canary@'%' WITH {limit} 1; FLUSH USER_RESOURCES")
    async with busy_session(case.world, case.mariadb, server):
        await case.fails(server)
        case.mariadb.execute(case.advice("ALTER USER 'canary'@'ADDRESS' WITH", ADDRESS="%"))
        await case.works(server)
        case.mariadb.execute("KILL USER canary")


async def hba_forbids(line: str, case: FailureCase) -> None:
    server = case.server(PG)
    case.hba(line)
    await case.fails(server)
    case.hba_advice("host orders canary")
    await case.works(server)


async def hba_is_for_tls_and_the_setting_prefers_it(case: FailureCase) -> None:
    """The database offers no TLS, and lets nobody in without."""
    server = case.server(PG)
    case.hba("hostssl all all 127.0.0.0/8 scram-sha-256")
    case.postgres.execute("ALTER SYSTEM SET ssl = off")
    case.undo(case.postgres.reload)
    case.undo(case.postgres.execute, "ALTER SYSTEM RESET ssl")
    case.postgres.reload()
    await case.fails(server)
    case.hba_advice("host orders canary")
    await case.works(server)


async def mariadb_knows_no_such_host(case: FailureCase) -> None:
    server = case.server(MY)
    case.mariadb.execute("RENAME USER canary@'%' TO canary@'127.0.0.9'; FLUSH PRIVILEGES")
    case.undo(case.mariadb.execute, "RENAME USER canary@'127.0.0.9' TO canary@'%'")
    await case.fails(server)
    create = case.advice("CREATE USER 'canary'@", ADDRESS=HERE, PASSWORD=case.mariadb.password)
    case.undo(case.mariadb.execute, f"DROP USER canary@'{HERE}'")
    case.mariadb.execute(create)
    case.mariadb.execute(case.advice("GRANT SELECT ON orders.*", ADDRESS=HERE))
    await case.works(server)


async def mariadb_blocks_the_host(case: FailureCase) -> None:
    """Probes in PostgreSQL's words, seen from 127.0.0.2, are broken off: MariaDB counts each."""
    database = case.mariadb
    case.undo(database.restart)
    case.undo(setattr, database, "resolve_names", False)
    database.resolve_names = True
    case.restarted(MY, **{"max-connect-errors": "3"})
    with Proxy((database.host, database.port), source="127.0.0.2") as proxy:
        server = case.server(MY, port=proxy.port)
        for _ in range(4):
            await case.world.probe(msgspec.structs.replace(server, engine=PG))
        await case.fails(server)
        database.execute(case.advice("FLUSH HOSTS;"))
        await case.works(server)


async def mysql_says_blocked(case: FailureCase) -> None:
    """A fake: MySQL 8.4, which has another remedy, says it with the same number."""
    words = b"Host '192.0.2.7' is blocked because of many connection errors"
    with Says(packet(b"\xff" + (1129).to_bytes(2, "little") + words, 0), "close") as fake:
        await case.fails(case.server(MY, port=fake.port))
    assert case.advice("TRUNCATE TABLE performance_schema.host_cache;")


HBA = "pg_hba.conf"
FULL, FORBIDDEN = C.DATABASE_TOO_MANY_CONNECTIONS, C.DATABASE_HOST_NOT_ALLOWED
CASES = (
    Case("PostgreSQL shuts down", C.DATABASE_STARTING, S.LOGIN, shutting_down),
    Case("a standby without queries", C.DATABASE_STARTING, S.LOGIN, standby_without_queries),
    Case("PostgreSQL is full", FULL, S.LOGIN, postgresql_is_full),
    *(
        Case(f"PostgreSQL limits {what}", FULL, S.LOGIN, partial(postgresql_limits, what))
        for what in ("ROLE canary", "DATABASE orders")
    ),
    Case("MariaDB is full", FULL, S.LOGIN, mariadb_is_full),
    *(
        Case(f"MariaDB has {limit}", FULL, S.LOGIN, partial(mariadb_limits_the_user, limit))
        for limit in ("MAX_USER_CONNECTIONS", "MAX_CONNECTIONS_PER_HOUR")
    ),
    Case(f"{HBA} rejects", FORBIDDEN, S.LOGIN, partial(hba_forbids, "host all all 127.0.0.0/8 reject")),
    Case(f"{HBA} has no line", FORBIDDEN, S.LOGIN, partial(hba_forbids, "host all all 192.0.2.0/24 trust")),
    Case(f"{HBA} wants TLS, none offered", FORBIDDEN, S.LOGIN, hba_is_for_tls_and_the_setting_prefers_it),
    Case("MariaDB knows no such host", FORBIDDEN, S.DATABASE, mariadb_knows_no_such_host),
    Case("MariaDB blocks the host", C.DATABASE_HOST_BLOCKED, S.DATABASE, mariadb_blocks_the_host),
    Case("MySQL blocks the host", C.DATABASE_HOST_BLOCKED, S.DATABASE, mysql_says_blocked),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)
