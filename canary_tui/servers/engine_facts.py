"""The facts about each engine: one record each; a missing field is a type error.

What an engine *does* is in its folder in ``databases``, where ``databases/registry.py`` finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import assert_never

import msgspec

from canary_tui.diagnosis.words import Sql


class Engine(StrEnum):
    """Which protocol the database speaks. ``mysql`` includes MariaDB; ``tcp`` is any other, not inspected."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    TCP = "tcp"

    @property
    def facts(self) -> EngineFacts:
        """The facts about the engine."""
        match self:
            case Engine.POSTGRESQL:
                return POSTGRESQL
            case Engine.MYSQL:
                return MYSQL
            case Engine.TCP:
                return TCP
            case _:
                assert_never(self)


OF_A_LOGIN = frozenset(
    {"database.name", "database.user", "database.password", "database.tls", "database.ca_file"}
    | {"database.allow_cleartext", "probe.query"}
)


class PasswordFile(Enum):
    """The file in which an engine's own clients keep passwords."""

    PGPASS = ".pgpass"
    MY_CNF = ".my.cnf"


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How one engine differs from the others, as far as data can say it."""

    title: str
    """Its name in a sentence."""
    default_port: int | None
    """The port used if none is given; None: one must be given."""
    has_login: bool
    """Whether a probe logs in (as a user with a password, over TLS where offered) and runs a query."""
    default_user: str
    """The database user if none is given."""
    first_local_port: int
    """The first number to try for a local port."""
    socket_name: str
    """The file name by which its clients find a unix socket in its folder; ``{port}`` is the database's."""
    tls_over_sockets: bool
    """Whether its clients can use TLS over a unix socket."""
    url_schemes: Mapping[str, int | None]
    """The schemes of its connection URLs, the usual one first, and the default port of each."""
    libpq: bool
    """Whether its URLs follow libpq's rules: ``+`` is a plus, ``ssl=true`` of JDBC verifies."""
    clients: tuple[str, ...]
    """Programs that take a connection URL; the first is the one that is started. Empty: there are none."""
    client_package: str
    """What to install if the first of ``clients`` is missing."""
    client_may_skip_tls: bool
    """Whether that client may go on without TLS when told to use TLS without verifying the name."""
    variables: str
    """The environment variables that its clients read (host, user, files, TLS, plug-ins), as a regular
    expression."""
    kept_variables: frozenset[str]
    """Those of them that are passed on: they lead to no other server, and users would miss them."""
    shown_variables: frozenset[str]
    """Those that are printed in the line that starts a client by hand; the rest keep other settings out."""
    password_variable: str
    """The environment variable from which its clients take a password."""
    password_file: PasswordFile | None
    counts_broken_handshakes: bool
    """Whether it blocks a host (the jumpbox) that breaks off too many handshakes."""
    plainest_query: str
    """What a probe asks if no query is given: it needs no rights and waits for nothing. Empty: nothing."""
    sql: Sql | None
    """How names and strings are quoted in its SQL; None: it has no SQL."""

    @property
    def unused(self) -> frozenset[str]:
        """The settings that have no meaning for it, such as ``database.user``."""
        return frozenset() if self.has_login else OF_A_LOGIN


POSTGRESQL = EngineFacts(
    title="PostgreSQL",
    default_port=5432,
    has_login=True,
    default_user="postgres",
    first_local_port=15432,
    socket_name=".s.PGSQL.{port}",
    tls_over_sockets=False,
    url_schemes=dict.fromkeys(("postgresql", "postgres", "pgsql", "psql", "postgis"), 5432),
    libpq=True,
    clients=("psql", "pgcli"),
    client_package="the PostgreSQL client (Debian: postgresql-client; Homebrew: libpq)",
    client_may_skip_tls=False,
    # PostgreSQL manual, "Environment Variables"; ``PGP_KEY`` and ``PG_COLOR`` are not libpq's, or harmless.
    variables=r"PG[A-Z0-9]+",
    kept_variables=frozenset(),
    shown_variables=frozenset(
        {"PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGSSLMODE", "PGSSLROOTCERT"}
    ),
    password_variable="PGPASSWORD",  # noqa: S106 - a variable's name
    password_file=PasswordFile.PGPASS,
    counts_broken_handshakes=False,
    plainest_query="select 1",
    sql=Sql.STANDARD,
)

MYSQL = EngineFacts(
    title="MySQL",
    default_port=3306,
    has_login=True,
    default_user="root",
    first_local_port=13306,
    socket_name="mysql.sock",
    tls_over_sockets=True,
    url_schemes=dict.fromkeys(("mysql", "mysql2", "mariadb"), 3306),
    libpq=False,
    clients=("mysql", "mariadb", "mycli", "mysqlsh"),
    client_package="the MySQL or MariaDB client (Debian: mariadb-client; Homebrew: mysql-client)",
    # MariaDB's before 11.4.
    client_may_skip_tls=True,
    # MySQL manual, "Environment Variables".
    variables=r"(?:LIB)?(?:MYSQL|MARIADB).*",
    # Without them statements would be written where the user does not want them.
    kept_variables=frozenset({"MYSQL_HISTFILE", "MYSQL_HISTIGNORE", "MYSQL_PS1", "MARIADB_HISTFILE"}),
    shown_variables=frozenset({"MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT", "MYSQL_HOME"}),
    password_variable="MYSQL_PWD",  # noqa: S106 - a variable's name
    password_file=PasswordFile.MY_CNF,
    counts_broken_handshakes=True,
    plainest_query="select 1",
    sql=Sql.MYSQL,
)

TCP = EngineFacts(
    title="TCP service",
    default_port=None,
    has_login=False,
    default_user="",
    first_local_port=17000,
    socket_name="tcp.sock",
    tls_over_sockets=True,
    url_schemes={
        "tcp": None,
        "redis": 6379,
        "rediss": 6379,
        "valkey": 6379,
        "valkeys": 6379,
        "mongodb": 27017,
        "sqlserver": 1433,
        "mssql": 1433,
        "clickhouse": 9000,
    },
    libpq=False,
    clients=(),
    client_package="",
    client_may_skip_tls=False,
    variables=r"CANARY_(?:HOST|PORT|SOCKET)",
    kept_variables=frozenset(),
    shown_variables=frozenset(),
    password_variable="",
    password_file=None,
    counts_broken_handshakes=False,
    plainest_query="",
    sql=None,
)
