"""Sessions of the user's own clients, with somebody between the SSH server and the database (a stand-in)."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

import aiomysql
import asyncpg
import pytest

from canary_tui.databases.mysql.wire import packet
from tests.harness.mysql8 import Mysql8
from tests.harness.ports import eventually
from tests.servers.client_logins import CLEARTEXT, Replies, allowing, up
from tests.servers.held_tunnel import mysql, psql

if TYPE_CHECKING:
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

ASKS = b"R" + struct.pack(">II", 8, 3)
GREETING = b"\x0a8.0.36\0\1\0\0\0abcdefgh\0\xff\xf7\x21\2\0\xff\xdf\x15" + b"\0" * 10 + b"abcdefghijkl\0%s\0"
PEM = b"\1-----BEGIN PUBLIC KEY-----\n"
IN_CLEAR, SHA2 = b"mysql_clear_password", b"caching_sha2_password"


async def test_psql_does_not_follow_who_declines_tls_and_asks(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    with Replies(b"N", ASKS) as thief:
        server = world.server(postgres, sshd, port=thief.port)
        async with up(world, server) as at_work:
            said = await psql(postgres, f"host=127.0.0.1 port={at_work.port}")
            assert f"canary-tui: orders: {CLEARTEXT}" in said
        assert postgres.password.encode() not in thief.received
        async with up(world, allowing(server)) as at_work:
            asking = asyncio.create_task(psql(postgres, f"host=127.0.0.1 port={at_work.port}"))
            await eventually(lambda: postgres.password.encode() in thief.received)
            thief.stop()
            await asking


@pytest.mark.parametrize(
    "answer",
    [ASKS, ASKS[:1] + b"\0\0\0\x0c" + ASKS[5:] + b"more", b"R" + struct.pack(">II", 8, 0) + ASKS],
    ids=["at once", "in a longer message", "after a welcome"],
)
async def test_asyncpg_does_not_either(world: World, sshd: Sshd, postgres: Postgres, answer: bytes) -> None:
    with Replies(answer) as thief:
        async with up(world, world.server(postgres, sshd, port=thief.port)) as at_work:
            with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="canary-tui: orders: "):
                await asyncpg.connect(
                    host="127.0.0.1", port=at_work.port, user="me", password="daisy", ssl=False, timeout=10
                )
            assert at_work.refused
    assert b"user\0me\0" in thief.received
    assert b"daisy" not in thief.received


@pytest.mark.parametrize(
    ("first", "replies"),
    [
        (packet(GREETING % b"mysql_native_password", 0), [packet(b"\xfe" + IN_CLEAR + b"\0", 2)]),
        (packet(GREETING % b"mysql_native_password", 0), [packet(b"\xfedialog\0\4Password: ", 2)]),
        (packet(GREETING % IN_CLEAR, 0), []),
    ],
    ids=["switch to clear", "switch to PAM's dialog", "greeting"],
)
async def test_mysql_clients_do_not_either(
    world: World, sshd: Sshd, mariadb: MariaDB, first: bytes, replies: list[bytes]
) -> None:
    with Replies(*replies, first=first) as thief:
        server = world.server(mariadb, sshd, port=thief.port)
        async with up(world, server) as at_work:
            said = await mysql(mariadb, ["--host=127.0.0.1", f"--port={at_work.port}", "--skip-ssl"])
            assert f"canary-tui: orders: {CLEARTEXT}" in said
            assert len(at_work.refused) == 1
        assert mariadb.password.encode() not in thief.received
        async with up(world, allowing(server)) as at_work:
            address = ["--host=127.0.0.1", f"--port={at_work.port}", "--skip-ssl"]
            asking = asyncio.create_task(mysql(mariadb, address))
            await eventually(lambda: mariadb.password.encode() in thief.received)
            thief.stop()
            await asking


async def test_a_key_that_nobody_verified_is_not_asked_for(
    world: World, sshd: Sshd, mariadb: MariaDB
) -> None:
    with Replies(packet(b"\1\4", 2), packet(PEM, 4), first=packet(GREETING % SHA2, 0)) as thief:
        server = world.server(mariadb, sshd, port=thief.port)
        for who, asked in ((server, False), (allowing(server), True)):
            async with up(world, who) as at_work:
                # The PEM is no key: who is given it does not get further.
                with pytest.raises((aiomysql.OperationalError, ValueError)) as failed:
                    await aiomysql.connect(
                        host="127.0.0.1", port=at_work.port, user="me", password="daisy", connect_timeout=10
                    )
                assert bool(at_work.refused) is not asked
                assert ("a key that nobody verified" in str(failed.value)) is not asked
            assert thief.received.endswith(packet(b"\2", 3)) is asked


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
async def test_the_key_of_mysql_8_is_one_that_nobody_verified(
    world: World, sshd: Sshd, mariadb: MariaDB, plugin: str
) -> None:
    with Mysql8(plugin, "daisy") as mysql8:
        server = world.server(mariadb, sshd, port=mysql8.port)
        async with up(world, server) as at_work:
            with pytest.raises(aiomysql.OperationalError, match=f"nobody verified .{plugin}"):
                await log_in(at_work.port)
            assert mysql8.shown == []
            at_work.supervisor.adopt(allowing(server))
            await log_in(at_work.port)
            assert mysql8.shown == ["daisy"]


async def test_a_password_that_mysql_8_knows_the_hash_of_is_not_asked_for(
    world: World, sshd: Sshd, mariadb: MariaDB
) -> None:
    with Mysql8("caching_sha2_password", "daisy", cached=True) as mysql8:
        async with up(world, world.server(mariadb, sshd, port=mysql8.port)) as at_work:
            await log_in(at_work.port)
            assert at_work.refused == []


async def log_in(port: int) -> None:
    """Log in with aiomysql, and leave."""
    connection = await aiomysql.connect(
        host="127.0.0.1", port=port, user="me", password="daisy", connect_timeout=10, autocommit=None
    )
    connection.close()
