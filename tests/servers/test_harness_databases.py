"""The harness's databases, and the proxy in front of them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

import aiomysql
import asyncpg
import pytest

from tests.harness.certs import Authority
from tests.harness.mariadb import MariaDB
from tests.harness.ports import eventually, free_port
from tests.harness.postgres import Postgres
from tests.harness.proxy import Proxy


async def _pg(
    server: Postgres, port: int | None = None, host: str | None = None, ssl: ssl.SSLContext | None = None
) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(
        host=host or server.host,
        port=port or server.port,
        user=server.user,
        password=server.password,
        database=server.database,
        timeout=5,
        ssl=ssl or False,
    )


async def _mysql(server: MariaDB, port: int | None = None, **options: object) -> aiomysql.Connection:
    return await aiomysql.connect(
        host=server.host,
        port=port or server.port,
        user=server.user,
        password=server.password,
        db=server.database,
        connect_timeout=5,
        **options,
    )


async def test_postgres_counts_connections_and_takes_a_new_hba(postgres: Postgres) -> None:
    seen, logins = postgres.connections_seen(), postgres.logins_seen()
    connection = await _pg(postgres)
    assert await connection.fetchval("SELECT current_database()") == "orders"
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host=postgres.host, port=postgres.port, user="canary", password="no", ssl=False)
    assert postgres.connections_seen() == seen + 2
    assert postgres.logins_seen() == logins + 1
    before = postgres.hba
    postgres.set_hba(["host all all 127.0.0.1/32 reject"])
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await _pg(postgres)
    postgres.set_hba(before)
    await (await _pg(postgres)).close()


async def test_postgres_is_killed_and_comes_back_on_its_port(make_postgres: Callable[..., Postgres]) -> None:
    server = make_postgres(settings={"max_connections": "7"}, listen=("127.0.0.1", "127.0.0.2"))
    server.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)", "orders")
    connection = await _pg(server)
    server.kill()
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await connection.fetchval("SELECT 1")
    connection.terminate()
    with pytest.raises(ConnectionRefusedError):
        await _pg(server)
    server.start()
    assert server.execute("SELECT n, n FROM kept; SHOW max_connections", "orders") == "1|1\n7"
    await (await _pg(server, host="127.0.0.2")).close()


def _context(authority: Authority, name: str) -> ssl.SSLContext:
    """Checks ``name``, whatever address the driver connects to."""
    context = ssl.create_default_context(cafile=str(authority.ca))
    wrap = context.wrap_bio

    def wrap_bio(
        incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool = False, **_: object
    ) -> ssl.SSLObject:
        return wrap(incoming, outgoing, server_side, server_hostname=name)

    context.wrap_bio = wrap_bio  # type: ignore[method-assign, assignment]
    return context


async def test_postgres_tls_proves_its_name(postgres_tls: Postgres, authority: Authority) -> None:
    connection = await _pg(postgres_tls, ssl=_context(authority, "db.internal"))
    assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    await connection.close()
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        await _pg(postgres_tls, ssl=_context(authority, "127.0.0.1"))


async def test_mariadb_tls_proves_its_name(mariadb_tls: MariaDB, authority: Authority) -> None:
    connection = await _mysql(mariadb_tls, ssl=_context(authority, "db.internal"))
    async with connection.cursor() as cursor:
        await cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_version'")
        assert (await cursor.fetchone())[1].startswith("TLS")
    await connection.ensure_closed()
    with pytest.raises(aiomysql.OperationalError) as caught:
        await _mysql(mariadb_tls, ssl=_context(authority, "127.0.0.1"))
    assert "IP address mismatch" in str(caught.value.__cause__)


async def test_mariadb_counts_connections_and_aborted_ones(mariadb: MariaDB) -> None:
    attempted, aborted = mariadb.connections_attempted(), mariadb.aborted_connects()
    logins = mariadb.logins_seen()
    connection = await _mysql(mariadb)
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT DATABASE()")
        assert await cursor.fetchone() == ("orders",)
    await connection.ensure_closed()
    await asyncio.to_thread(_drop_handshake, mariadb)
    await eventually(lambda: mariadb.aborted_connects() == aborted + 1)
    assert mariadb.connections_attempted() == attempted + 2
    assert mariadb.logins_seen() == logins + 1


def _drop_handshake(server: MariaDB | Proxy) -> None:
    """Connect, take the greeting and go."""
    with socket.create_connection((server.host, server.port), timeout=5) as dropped:
        assert dropped.recv(1)


async def test_mariadb_blocks_a_jumpbox_that_drops_handshakes(make_mariadb: Callable[..., MariaDB]) -> None:
    server = make_mariadb(max_connect_errors=2, resolve_names=True)
    with Proxy((server.host, server.port), source="127.0.0.2") as jumpbox:
        for count in (1, 2):
            await asyncio.to_thread(_drop_handshake, jumpbox)
            await eventually(lambda count=count: server.aborted_connects() == count)  # type: ignore[misc]
        with pytest.raises(aiomysql.OperationalError, match="1129"):
            await _mysql(server, jumpbox.port)
    await (await _mysql(server)).ensure_closed()  # 127.0.0.1 is exempt


async def test_mariadb_is_killed_and_comes_back_on_its_port(make_mariadb: Callable[..., MariaDB]) -> None:
    server = make_mariadb()
    server.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)", "orders")
    server.kill()
    with pytest.raises(aiomysql.OperationalError, match="2003"):
        await _mysql(server)
    server.start()
    assert server.execute("SELECT n, n FROM kept", "orders") == "1\t1"
    await (await _mysql(server)).ensure_closed()


async def test_proxy_drops_resumes_cuts_and_delays(postgres: Postgres) -> None:
    with Proxy((postgres.host, postgres.port)) as proxy:
        connection = await _pg(postgres, proxy.port)
        proxy.drop()
        query = asyncio.ensure_future(connection.fetchval("SELECT 1"))
        done, _ = await asyncio.wait([query], timeout=0.2)
        assert not done
        proxy.resume()
        assert await asyncio.wait_for(query, 5) == 1
        proxy.delay = 0.1
        started = asyncio.get_running_loop().time()
        assert await connection.fetchval("SELECT 2") == 2
        assert asyncio.get_running_loop().time() - started >= 0.2
        assert proxy.connections == proxy.open_connections == 1
        proxy.drop()
        proxy.cut()
        assert proxy.open_connections == 0
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await connection.fetchval("SELECT 3")
        connection.terminate()
    with Proxy(("127.0.0.1", free_port())) as proxy:
        assert await asyncio.to_thread(_first_byte, proxy) == b""


def _first_byte(server: Proxy) -> bytes:
    with socket.create_connection((server.host, server.port), timeout=5) as client:
        return client.recv(1)
