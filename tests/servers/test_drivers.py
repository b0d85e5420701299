"""What is taken for granted of asyncpg's and aiomysql's inside: each of these fails when it changes."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING

import aiomysql
import asyncpg
import pymysql._auth
import pytest
from asyncpg.connect_utils import SessionAttribute
from pymysql.connections import MysqlPacket

from canary_tui.databases.mysql import driver as mysql
from canary_tui.databases.postgresql import driver as postgresql
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Database, Engine, Server, TlsMode
from canary_tui.servers.secrets import Secret
from tests.servers.probing import probe
from tests.servers.test_databases import target_of

if TYPE_CHECKING:
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres


def settings(engine: Engine, user: str, name: str = "") -> Server:
    return Server(
        name="a", engine=engine, database=Database(host="db.internal", port=1, user=user, name=name)
    )


OVERRULED = {
    "_request_authentication": "(self)",
    "_process_auth": "(self, plugin_name, auth_packet)",
    "_read_packet": "(self, packet_type=<class 'pymysql.protocol.MysqlPacket'>)",
    "caching_sha2_password_auth": "(self, pkt)",
}
CALLED = {
    "_connect": "(self)",
    "_execute_command": "(self, command, sql)",
    "_write_bytes": "(self, data)",
    "write_packet": "(self, payload)",
}
KEPT = ("_reader", "_writer", "_server_auth_plugin", "_ssl_context", "_password", "_secure", "salt")
"""What a connection of aiomysql's remembers, and ours reads or sets."""


@pytest.mark.parametrize(("name", "arguments"), (OVERRULED | CALLED).items())
def test_aiomysql_has_the_methods_that_are_called_or_overruled(name: str, arguments: str) -> None:
    method = getattr(aiomysql.Connection, name)
    assert inspect.iscoroutinefunction(method) == (name not in {"_write_bytes", "write_packet"})
    assert str(inspect.signature(method)) == arguments


async def test_aiomysql_keeps_what_is_read_and_nothing_under_names_of_ours() -> None:
    theirs = vars(aiomysql.Connection(host="127.0.0.1", port=1))
    assert not set(KEPT) - set(theirs)
    ours = vars(mysql.Connection(("127.0.0.1", 1), settings(Engine.MYSQL, "u"), Secret("p"), None))
    taken = set(theirs) | set(dir(aiomysql.Connection))
    assert set(ours) - set(theirs) == {"_database", "_secret", "_declined"} - taken
    methods = {name for name in vars(mysql.Connection) if not name.startswith("__")}
    assert methods & taken == set(OVERRULED)


async def test_aiomysqls_methods_call_each_other_where_ours_stand_between(mariadb: MariaDB) -> None:
    called: list[str] = []

    class Watched(mysql.Connection):
        async def _request_authentication(self) -> None:
            assert self._server_auth_plugin == "mysql_native_password", "the greeting was read before"
            called.append("request")
            await super()._request_authentication()

        async def _process_auth(self, plugin_name: bytes, auth_packet: MysqlPacket) -> object:
            assert auth_packet.is_auth_switch_request()
            called.append(plugin_name.decode())
            return await super()._process_auth(plugin_name, auth_packet)

    mariadb.execute(
        "CREATE OR REPLACE USER switched@'%' IDENTIFIED VIA unix_socket OR mysql_native_password"
        " USING PASSWORD('p')"
    )
    address = (mariadb.host, mariadb.port)
    connection = Watched(address, settings(Engine.MYSQL, "switched"), Secret("p"), None)
    await connection.log_in()
    await connection.say_goodbye()
    connection.drop()
    assert called[0] == "request"
    assert called[-1] == "mysql_native_password"


@pytest.mark.parametrize("given", [b"12345678901234567890", b"12345678901234567890\0", b"", b"\0"])
def test_a_packet_of_pymysqls_can_be_made_anew_from_what_is_left_of_it(given: bytes) -> None:
    packet = MysqlPacket(b"\xfemysql_native_password\0" + given, "utf8mb4")
    assert packet.is_auth_switch_request()
    assert packet.read_uint8() == 0xFE
    assert packet.read_string() == b"mysql_native_password"
    assert packet.read_all() == given
    assert MysqlPacket(b"\x01\x04", "utf8mb4").is_extra_auth_data()
    assert MysqlPacket(b"\x01\x04", "utf8mb4").get_all_data() == mysql.FULL_LOGIN


def test_pymysql_has_no_login_from_before_4_1_and_says_so_by_its_name() -> None:
    with pytest.raises(AttributeError, match=mysql.OLD_LOGIN):
        getattr(pymysql._auth, mysql.OLD_LOGIN)


def test_pymysqls_scramble_is_of_a_password_and_a_salt() -> None:
    assert str(inspect.signature(pymysql._auth.scramble_caching_sha2)) == "(password, nonce)"
    assert len(pymysql._auth.scramble_caching_sha2(b"p", b"12345678901234567890")) == 32


def test_asyncpg_can_be_told_all_that_it_would_find_elsewhere() -> None:
    given = {"host", "port", "user", "password", "database", "ssl", "direct_tls", "server_settings"}
    given |= {"target_session_attrs", "krbsrvname", "gsslib", "statement_cache_size"}
    assert given <= set(inspect.signature(asyncpg.connect).parameters)
    assert SessionAttribute.any.value == "any"


async def test_asyncpg_says_whether_a_transaction_is_open_and_the_session_closed(postgres: Postgres) -> None:
    server = settings(Engine.POSTGRESQL, postgres.user, postgres.database)
    address = (postgres.host, postgres.port)
    connection = await postgresql.log_in(address, server, Secret(postgres.password), None)
    assert not connection.is_in_transaction()
    with pytest.raises(asyncpg.DivisionByZeroError) as failed:
        await connection.execute("begin; select 1/0")
    assert (failed.value.sqlstate, failed.value.server_source_function) == ("22012", "int4div")
    assert connection.is_in_transaction()
    await postgresql.say_goodbye(connection)
    assert connection.is_closed()
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await connection.execute("select 1")
    await postgresql.drop(connection)


async def test_asyncpg_keeps_the_last_words_of_a_server_that_closes(postgres: Postgres) -> None:
    query = "select pg_terminate_backend(pg_backend_pid())"
    outcome = await probe(replace(target_of(postgres), tls=TlsMode.DISABLE, query=query))
    assert outcome.blame == (Stage.QUERY, Cause.CONNECTION_LOST)
    assert "administrator command" in outcome.detail
