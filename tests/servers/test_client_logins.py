"""Sessions of the user's own clients: without TLS their password does not leave in the clear."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import aiomysql
import pytest

from canary_tui.servers.model import Listen
from tests.harness.needs import give_up
from tests.harness.ports import eventually
from tests.harness.proxy import Proxy
from tests.servers.client_logins import CLEARTEXT, Replies, allowing, up
from tests.servers.held_tunnel import mysql, psql, run
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.certs import Authority
    from tests.harness.mariadb import MariaDB
    from tests.harness.pgbouncer import PgBouncer
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

PASSWORD_HBA = ["host all all 0.0.0.0/0 password", "host all all ::/0 password"]


# PostgreSQL itself, with pg_hba's method `password`


async def test_psql_is_told_and_postgresql_never_gets_the_password(
    world: World, sshd: Sshd, make_postgres: Callable[..., Postgres]
) -> None:
    postgres = make_postgres(hba=PASSWORD_HBA)
    async with up(world, world.server(postgres, sshd)) as at_work:
        for address in ("host=127.0.0.1", "host=localhost sslmode=prefer", "host=localhost sslmode=disable"):
            said = await psql(postgres, f"{address} port={at_work.port}")
            assert f"FATAL:  canary-tui: orders: {CLEARTEXT}" in said
            assert "`database.allow_cleartext: true`" in said
        assert [reason.partition(",")[0] for reason in at_work.refused] == [CLEARTEXT] * 3
        await eventually(lambda: at_work.supervisor.clients == 0)
    assert postgres.logins_seen() == 0
    assert "password authentication failed" not in postgres.log_text()


async def test_with_tls_the_same_method_is_left_alone(
    world: World, sshd: Sshd, make_postgres: Callable[..., Postgres], authority: Authority
) -> None:
    postgres = make_postgres(hba=PASSWORD_HBA, tls=authority.issue(["db.internal"]))
    async with up(world, world.server(postgres, sshd)) as at_work:
        for sslmode in ("prefer", "require"):
            assert await psql(postgres, f"host=::1 port={at_work.port} sslmode={sslmode}") == "hello"
        assert CLEARTEXT in await psql(postgres, f"host=::1 port={at_work.port} sslmode=disable")


async def test_who_allows_it_gets_through_and_a_change_counts_for_the_next_client(
    world: World, sshd: Sshd, make_postgres: Callable[..., Postgres]
) -> None:
    postgres = make_postgres(hba=PASSWORD_HBA)
    server = world.server(postgres, sshd)
    async with up(world, allowing(server)) as at_work:
        assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}") == "hello"
        at_work.supervisor.adopt(server)
        assert CLEARTEXT in await psql(postgres, f"host=127.0.0.1 port={at_work.port}")
        at_work.supervisor.adopt(allowing(server))
        assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}") == "hello"


async def test_at_a_unix_socket_it_is_the_same(
    world: World, sshd: Sshd, make_postgres: Callable[..., Postgres]
) -> None:
    postgres = make_postgres(hba=PASSWORD_HBA)
    async with up(world, with_ssh(world.server(postgres, sshd), listen=Listen.SOCKET)) as at_work:
        folder = Path(at_work.supervisor.local).parent
        assert CLEARTEXT in await psql(postgres, f"host={folder} port={postgres.port}")


async def test_methods_that_keep_the_password_are_left_alone(
    world: World, sshd: Sshd, make_postgres: Callable[..., Postgres]
) -> None:
    postgres = make_postgres()
    async with up(world, world.server(postgres, sshd)) as at_work:
        for method in ("scram-sha-256", "md5", "trust"):
            postgres.set_hba([f"host all all 0.0.0.0/0 {method}"])
            big = "select length(string_agg(md5(i::text), '')) from generate_series(1, 30000) i"
            assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}", big) == "960000"
        assert at_work.refused == []


@pytest.mark.parametrize(("auth_type", "cut_off"), [("plain", True), ("scram-sha-256", False)])
async def test_a_pooler_is_no_exception(
    world: World,
    sshd: Sshd,
    postgres: Postgres,
    make_pgbouncer: Callable[..., PgBouncer],
    auth_type: str,
    cut_off: bool,
) -> None:
    users = {postgres.user: postgres.password}
    pgbouncer = make_pgbouncer((postgres.host, postgres.port), users, {"auth_type": auth_type})
    async with up(world, world.server(postgres, sshd, port=pgbouncer.port)) as at_work:
        said = await psql(postgres, f"host=127.0.0.1 port={at_work.port}")
        assert (CLEARTEXT in said) is cut_off
        assert (said == "hello") is not cut_off


# MariaDB itself, with PAM


async def test_what_pam_asks_for_is_cut_off(
    world: World, sshd: Sshd, make_mariadb: Callable[..., MariaDB]
) -> None:
    mariadb = make_mariadb()
    try:
        mariadb.execute("INSTALL SONAME 'auth_pam'")
    except RuntimeError as error:
        give_up(f"needs MariaDB's plug-in auth_pam: {error}")
    mariadb.execute(f"ALTER USER '{mariadb.user}'@'%' IDENTIFIED VIA pam")
    server = world.server(mariadb, sshd)
    async with up(world, server) as at_work:
        address = ["--host=127.0.0.1", f"--port={at_work.port}"]
        for cleartext, plugin in ((False, "dialog"), (True, "mysql_clear_password")):
            if cleartext:  # a read-only variable
                mariadb.stop()
                mariadb.settings = {"pam_use_cleartext_plugin": "ON"}
                mariadb.start()
            said = await mysql(mariadb, address)
            assert f"canary-tui: orders: {CLEARTEXT} ({plugin})" in said
        at_work.supervisor.adopt(allowing(server))
        said = await mysql(mariadb, address)
        assert "Access denied" in said, "PAM does not know the user: it was asked"


async def test_what_is_cut_off_is_not_counted_against_the_jumpbox(
    world: World, sshd: Sshd, make_mariadb: Callable[..., MariaDB]
) -> None:
    mariadb = make_mariadb(max_connect_errors=3, resolve_names=True)
    try:
        mariadb.execute("INSTALL SONAME 'auth_pam'; CREATE USER somebody@'%' IDENTIFIED VIA pam")
    except RuntimeError as error:
        give_up(f"needs MariaDB's plug-in auth_pam: {error}")
    with Proxy((mariadb.host, mariadb.port), source="127.0.0.2") as proxy:
        async with up(world, world.server(mariadb, sshd, port=proxy.port)) as at_work:
            address = ["--host=127.0.0.1", f"--port={at_work.port}", "--skip-ssl"]
            for _ in range(5):
                for who in (["--user=somebody"], ["--user=me", "--default-auth=mysql_clear_password"]):
                    command = ["mysql", "--no-defaults", *address, *who, "--execute", "select 1"]
                    assert CLEARTEXT in await run(command, {"MYSQL_PWD": "daisy"})
            assert await mysql(mariadb, address) == "hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_other_accounts_log_in_beside(world: World, sshd: Sshd, mariadb: MariaDB, host: str) -> None:
    async with up(world, world.server(mariadb, sshd)) as at_work:
        for options in ([], ["--skip-ssl"], ["--ssl"], ["--default-auth=mysql_native_password"]):
            command = [f"--host={host}", f"--port={at_work.port}", *options]
            said = await mysql(mariadb, command)
            assert said == "hello" or "SSL" in said, options
        connection = await aiomysql.connect(
            host=host, port=at_work.port, user=mariadb.user, password=mariadb.password, db=mariadb.database
        )
        await connection.ensure_closed()
        assert at_work.refused == []


# What is no database


async def test_another_protocol_passes_as_it_is(world: World, sshd: Sshd, postgres: Postgres) -> None:
    with Replies(b"HTTP/1.1 200 OK\r\n\r\n") as web:
        async with up(world, world.server(postgres, sshd, port=web.port)) as at_work:
            reader, writer = await asyncio.open_connection("127.0.0.1", at_work.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.readexactly(19) == b"HTTP/1.1 200 OK\r\n\r\n"
            writer.close()
            await eventually(lambda: at_work.supervisor.clients == 0)
            assert at_work.refused == []


async def test_a_client_that_leaves_in_the_middle_of_its_login_is_gone(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    async with up(world, world.server(postgres, sshd)) as at_work:
        for said in (b"", b"\0\0\0\x08\x04\xd2", b"\0\0\0\x08\x04\xd2\x16\x2f"):
            _, writer = await asyncio.open_connection("127.0.0.1", at_work.port)
            writer.write(said)
            await eventually(lambda: at_work.supervisor.clients == 1)
            writer.close()
            await eventually(lambda: at_work.supervisor.clients == 0)
        assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}") == "hello"
        assert at_work.refused == []


async def test_it_works_byte_by_byte(world: World, sshd: Sshd, postgres: Postgres) -> None:
    async with up(world, world.server(postgres, sshd)) as at_work:
        reader, writer = await asyncio.open_connection("127.0.0.1", at_work.port)
        body = b"user\0" + postgres.user.encode() + b"\0database\0" + postgres.database.encode() + b"\0\0"
        for byte in struct.pack(">IHH", 8, 1234, 5679):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.readexactly(1) == b"N"
        for byte in struct.pack(">IHH", 8 + len(body), 3, 0) + body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.readexactly(9))[:1] == b"R"
        writer.close()
        await writer.wait_closed()
