"""What poolers, proxies and hosts of databases say, told for what it is; none of them runs here."""

from __future__ import annotations

import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.floods import Floods
from tests.servers.probing import Outcome, Target, probe
from tests.servers.test_unlisted_refusals import Point, Said, script_of_mysql, script_of_postgresql

C, P = Cause, Point
UNAVAILABLE, REFUSED, FULL = C.DATABASE_UNAVAILABLE, C.LOGIN_REFUSED, C.DATABASE_TOO_MANY_CONNECTIONS
STARTING = C.DATABASE_STARTING
PASSWORD, TLS, HOST = C.PASSWORD_REJECTED, C.TLS_REQUIRED, C.DATABASE_HOST_NOT_ALLOWED

POSTGRESQL: tuple[tuple[str, str, str, Point, Cause], ...] = (
    ("Supavisor", "XX000", "Tenant or user not found", P.AT_LOGIN, REFUSED),
    ("Supavisor, full", "XX000", "MaxClientsInSessionMode: max clients reached", P.AT_LOGIN, FULL),
    ("Neon, no name", "XX000", "Endpoint ID is not specified. Either upgrade libpq", P.AT_LOGIN, REFUSED),
    ("Neon, TLS", "28000", "connection is insecure (try using `sslmode=require`)", P.AT_LOGIN, TLS),
    ("Neon, off", "XX000", "The endpoint has been disabled. Enable it", P.BEFORE_READY, UNAVAILABLE),
    ("Neon, compute", "58000", "couldn't connect to compute node", P.BEFORE_READY, UNAVAILABLE),
    ("RDS Proxy, TLS", "28000", "This RDS Proxy requires TLS connections", P.AT_LOGIN, TLS),
    ("RDS Proxy, role", "28000", "This RDS proxy has no credentials for the role r", P.AT_LOGIN, REFUSED),
    ("RDS Proxy, IAM", "28P01", "IAM authentication failed for the role r", P.AFTER_A_QUESTION, PASSWORD),
    ("RDS Proxy, slow", "53300", "Timed-out waiting to acquire database connection", P.AT_QUERY, FULL),
    ("Azure, TLS", "28000", "SSL connection is required. Please specify SSL options", P.AT_LOGIN, TLS),
    ("Azure, name", "28000", "Invalid Username specified. The Username should be in …", P.AT_LOGIN, REFUSED),
    ("Azure, address", "28000", "Client with IP address '192.0.2.7' is not allowed", P.AT_LOGIN, HOST),
    ("Cloud SQL", "28000", 'no pg_hba.conf entry for host "192.0.2.7", user "r", SSL off', P.AT_LOGIN, TLS),
    ("CockroachDB", "08004", "node is running secure mode, SSL connection required", P.AT_LOGIN, TLS),
    ("CockroachDB, cluster", "08004", "missing cluster identifier", P.AT_LOGIN, REFUSED),
    ("CockroachDB, draining", "57P01", "server is not accepting clients", P.AT_LOGIN, STARTING),
    ("YugabyteDB", "XX000", "Timed out: RPC to 10.0.0.3 timed out after 60s", P.BEFORE_READY, REFUSED),
    ("YugabyteDB, query", "XX000", "RPC to 10.0.0.3 timed out", P.AT_QUERY, C.QUERY_FAILED),
    ("pgcat, down", "58000", "could not get connection: AllServersDown", P.AT_QUERY, UNAVAILABLE),
    ("pgcat, pool", "3D000", "No pool configured for database: orders", P.AT_LOGIN, C.DATABASE_NOT_FOUND),
    ("Odyssey", "08P01", "odyssey: c1: SSL is required", P.AT_LOGIN, TLS),
    ("Odyssey, route", "08P01", "odyssey: c1: route for 'orders.r' is not found", P.AT_LOGIN, REFUSED),
    ("Odyssey, server", "08006", "odyssey: failed to get remote server connection", P.AT_QUERY, UNAVAILABLE),
    ("Odyssey, full", "53300", "odyssey: too many tcp connections (global limit 1)", P.AT_ONCE, FULL),
    ("Pgpool-II, down", "57000", "all backend nodes are down, pgpool requires one", P.AT_LOGIN, UNAVAILABLE),
    ("Pgpool-II, backend", "08006", "unable to create a backend connection", P.BEFORE_READY, UNAVAILABLE),
    ("Pgpool-II, ending", "57P03", "pgpool is not accepting any new connections", P.AT_LOGIN, STARTING),
    ("Pgpool-II, hba", "28000", 'no pool_hba.conf entry for host "192.0.2.7"', P.AT_LOGIN, HOST),
    ("Pgpool-II, password", "28000", "md5 authentication failed", P.AFTER_A_QUESTION, PASSWORD),
    ("pooler's own login", "08P01", "server login failed: authentication failed", P.AT_QUERY, UNAVAILABLE),
    ("standby", "57P03", "the database system is not accepting connections", P.AT_ONCE, STARTING),
    ("lock", "55P03", "annulation de la requête à cause du délai du verrou", P.AT_QUERY, C.QUERY_TIMED_OUT),
    ("limit", "53400", "límite de configuración excedido", P.AT_LOGIN, REFUSED),
    ("read-only", "25006", "cannot execute INSERT in a read-only transaction", P.AT_QUERY, C.QUERY_FAILED),
    ("feature", "0A000", "startup parameter is not supported", P.AT_LOGIN, REFUSED),
    ("no process", "", "could not fork new process for connection", P.AT_ONCE, UNAVAILABLE),
)  # fmt: skip
MYSQL: tuple[tuple[str, int, str, Point, Cause], ...] = (
    ("ProxySQL", 1045, "ProxySQL Error: Access denied for user 'r'", P.AT_LOGIN, PASSWORD),
    ("ProxySQL, TLS", 1045, "Access denied for user 'r'. SSL is required", P.AT_LOGIN, TLS),
    ("ProxySQL, down", 9001, "Max connect timeout while reaching hostgroup 0", P.AT_QUERY, UNAVAILABLE),
    ("MaxScale, down", 2003, "Lost connection to backend server", P.AT_LOGIN, UNAVAILABLE),
    ("MaxScale, killed", 1927, "Lost connection to backend server: network error", P.AT_LOGIN, UNAVAILABLE),
    ("MaxScale, lost", 1927, "Lost connection to backend server", P.AT_QUERY, C.CONNECTION_LOST),
    ("MySQL Router", 2003, "Can't connect to remote MySQL server for client", P.AT_ONCE, UNAVAILABLE),
    ("MySQL Router, full", 1040, "Too many connections to MySQL Router", P.AT_ONCE, FULL),
    ("Galera", 1047, "WSREP has not yet prepared node for application use", P.AT_QUERY, UNAVAILABLE),
    ("Galera, lock", 1205, "Lock wait timeout exceeded; try restarting", P.AT_QUERY, C.QUERY_TIMED_OUT),
    ("group replication", 3032, "Le serveur est actuellement hors ligne", P.AT_LOGIN, UNAVAILABLE),
    ("Aurora", 1836, "Running in read-only mode", P.AT_QUERY, C.QUERY_FAILED),
    ("Azure", 9002, "SSL connection is required. Please specify SSL options", P.AT_ONCE, TLS),
    ("Azure, address", 9000, "Client with IP address '192.0.2.7' is not allowed to connect", P.AT_ONCE, HOST),
    ("TiDB, store", 9002, "TiKV server timeout", P.BEFORE_READY, UNAVAILABLE),
    ("TiDB, schema", 8027, "Information schema is out of date", P.AT_QUERY, C.QUERY_FAILED),
    ("TiDB Cloud", 1105, "Missing user name prefix", P.AT_LOGIN, REFUSED),
    ("TiDB Cloud, TLS", 1105, "Connections using insecure transport are prohibited", P.AT_LOGIN, TLS),
    ("PlanetScale", 1105, "unknown error: Access denied for user 'r'", P.AFTER_A_QUESTION, PASSWORD),
    ("PlanetScale, asleep", 1105, "branch is sleeping", P.BEFORE_READY, UNAVAILABLE),
    ("Vitess", 1105, "target: orders.0.primary: primary is not serving", P.AT_QUERY, UNAVAILABLE),
    ("Cloud SQL", 3159, "不安全な接続は許可されていません", P.AT_LOGIN, TLS),
    ("MySQL, not there", 3168, "Сервер недоступен", P.AT_LOGIN, UNAVAILABLE),
    ("MySQL, idle", 4031, "The client was disconnected by the server", P.AT_QUERY, C.CONNECTION_LOST),
)  # fmt: skip


async def told(engine: Engine, said: Said, point: Point) -> Outcome:
    """The end of a probe that is refused so."""
    make = script_of_postgresql if engine is Engine.POSTGRESQL else script_of_mysql
    mode = TlsMode.PREFER if point is Point.AT_ONCE and engine is Engine.POSTGRESQL else TlsMode.DISABLE
    with Floods(make(said, point, TlsMode.DISABLE), lambda: iter(())) as peer:
        return await probe(Target(engine, (peer.host, peer.port), "r", "p", tls=mode))


@pytest.mark.parametrize(
    ("state", "text", "point", "cause"),
    [row[1:] for row in POSTGRESQL],
    ids=[row[0] for row in POSTGRESQL],
)
async def test_a_pooler_or_host_of_postgresql(state: str, text: str, point: Point, cause: Cause) -> None:
    outcome = await told(Engine.POSTGRESQL, Said(text.encode(), state.encode()), point)
    assert (outcome.cause, outcome.detail) == (cause, text)


@pytest.mark.parametrize(
    ("number", "text", "point", "cause"), [row[1:] for row in MYSQL], ids=[row[0] for row in MYSQL]
)
async def test_a_proxy_or_host_of_mysql(number: int, text: str, point: Point, cause: Cause) -> None:
    outcome = await told(Engine.MYSQL, Said(text.encode(), b"HY000", number), point)
    assert (outcome.cause, outcome.detail) == (cause, f"{text} ({number})")
