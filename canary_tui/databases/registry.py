"""Finds each engine's own code, which is imported only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from canary_tui.databases.client_refusal import TEXT_LIMIT, AtOnce
from canary_tui.diagnosis.printable import one_line
from canary_tui.servers.model import Engine

if TYPE_CHECKING:
    from canary_tui.databases.client_environment import EngineClients
    from canary_tui.databases.client_refusal import ClientRefusal
    from canary_tui.databases.link import DatabaseClient
    from canary_tui.databases.login_guard import LoginGuard
    from canary_tui.databases.ways import Way
    from canary_tui.servers.model import Database, Server


def client_for(engine: Engine) -> DatabaseClient:
    """Return the engine's client."""
    match engine:
        case Engine.POSTGRESQL:
            from canary_tui.databases.postgresql.session import PostgreSQL

            return PostgreSQL()
        case Engine.MYSQL:
            from canary_tui.databases.mysql.session import MySQL

            return MySQL()
        case Engine.TCP:
            from canary_tui.databases.tcp.session import Tcp

            return Tcp()
        case _:
            assert_never(engine)


def refusal_for(engine: Engine, text: str) -> ClientRefusal:
    """Return how to tell a client of ``engine`` that it is not served; it is shown ``text`` on one line."""
    line = one_line(text, TEXT_LIMIT)
    match engine:
        case Engine.POSTGRESQL:
            from canary_tui.databases.postgresql.client_refusal import PostgresRefusal

            return PostgresRefusal(line)
        case Engine.MYSQL:
            from canary_tui.databases.mysql.client_refusal import error_packet

            # The server speaks first: the error takes the place of the greeting.
            return AtOnce(error_packet(line, 0))
        case Engine.TCP:
            return AtOnce(b"")  # unknown protocol: just hang up; the log has the reason
        case _:
            assert_never(engine)


def login_guard_for(engine: Engine, database: Database) -> LoginGuard | None:
    """Return the login guard for one session.

    None where the user allows passwords in cleartext, or where nothing is known about the login.
    """
    if database.allow_cleartext:
        return None
    match engine:
        case Engine.POSTGRESQL:
            from canary_tui.databases.postgresql.login_guard import PostgresLoginGuard

            return PostgresLoginGuard()
        case Engine.MYSQL:
            from canary_tui.databases.mysql.login_guard import MySqlLoginGuard

            return MySqlLoginGuard()
        case Engine.TCP:
            return None
        case _:
            assert_never(engine)


def clients_of(server: Server, way: Way) -> EngineClients:
    """Return how programs on this machine reach a server."""
    match server.engine:
        case Engine.POSTGRESQL:
            from canary_tui.databases.postgresql.client_environment import PostgresClients

            return PostgresClients(server, way)
        case Engine.MYSQL:
            from canary_tui.databases.mysql.client_environment import MysqlClients

            return MysqlClients(server, way)
        case Engine.TCP:
            from canary_tui.databases.tcp.client_environment import TcpClients

            return TcpClients(server, way)
        case _:
            assert_never(server.engine)
