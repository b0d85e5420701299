"""A client that we start reaches its own server, whatever the surroundings say."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.cli import LIMIT, Canary, finish, start
from tests.servers.elsewhere import (
    DUMP,
    IN_A_SHELL,
    MARIADB_IN_A_SHELL,
    MY_CNF,
    MYSQL,
    MYSQL_BY_PATH,
    MYSQLDUMP,
    PSQL,
    SERVICE,
    TO_ANOTHER_MYSQL,
    TO_ANOTHER_POSTGRESQL,
    WAYS,
    lead_to,
    reached,
)
from tests.servers.test_terminal import Terminal
from tests.servers.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


@pytest.fixture(autouse=True)
def _at_home(home: Path) -> None:
    """No test reads the files of whoever runs it."""


@pytest.mark.parametrize("number", range(len(TO_ANOTHER_POSTGRESQL)), ids=list(TO_ANOTHER_POSTGRESQL))
def test_libpq_is_not_led_elsewhere(
    number: int, world: World, sshd: Sshd, postgres: Postgres, postgres_tls: Postgres,
    canary: Canary, home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    things = list(TO_ANOTHER_POSTGRESQL.values())[number]
    way, command = WAYS[number % 3], (PSQL, IN_A_SHELL, DUMP, PSQL)[number % 4]
    reached(world, postgres, sshd, way)
    monkeypatch.setenv("OUR_PORT", str(postgres.port))
    lead_to(postgres_tls, home, monkeypatch, things)
    before = postgres_tls.connections_seen()
    outcome = canary("connect", "s1", "--", *command)
    assert (outcome.status, outcome.out) == (0, f"{postgres.port}\n"), outcome.err
    assert postgres_tls.connections_seen() == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", [PSQL, IN_A_SHELL, DUMP], ids=["psql", "sh", "pg_dump"])
def test_libpq_is_not_led_elsewhere_by_all_of_it_together(
    way: str, command: list[str], world: World, sshd: Sshd, postgres: Postgres, postgres_tls: Postgres,
    canary: Canary, home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    reached(world, postgres, sshd, way)
    monkeypatch.setenv("OUR_PORT", str(postgres.port))
    for things in TO_ANOTHER_POSTGRESQL.values():
        lead_to(postgres_tls, home, monkeypatch, things)
    outcome = canary("connect", "s1", "--", *command)
    assert (outcome.status, outcome.out) == (0, f"{postgres.port}\n"), outcome.err


@pytest.mark.parametrize("number", range(len(TO_ANOTHER_MYSQL)), ids=list(TO_ANOTHER_MYSQL))
def test_mysql_and_mariadb_are_not_led_elsewhere(
    number: int, world: World, sshd: Sshd, mariadb: MariaDB, mariadb_tls: MariaDB,
    canary: Canary, home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    things = list(TO_ANOTHER_MYSQL.values())[number]
    way, command = WAYS[number % 3], (MYSQL, MARIADB_IN_A_SHELL, MYSQLDUMP, MYSQL_BY_PATH)[number % 4]
    reached(world, mariadb, sshd, way)
    monkeypatch.setenv("OUR_PORT", str(mariadb.port))
    lead_to(mariadb_tls, home, monkeypatch, things)
    before = mariadb_tls.connections_attempted()
    outcome = canary("connect", "s1", "--", *command)
    assert (outcome.status, outcome.out) == (0, f"{mariadb.port}\n"), outcome.err
    assert mariadb_tls.connections_attempted() == before


OWN_FILE = "${home}/own.cnf"
"""An option file that the user names; it leads elsewhere, and has something for the client besides."""
TYPED = {
    "mysql": MYSQL,
    "path": MYSQL_BY_PATH,
    "sh": MARIADB_IN_A_SHELL,
    "dump": MYSQLDUMP,
    "no-defaults": ["mysql", "--no-defaults", *MYSQL[1:]],
    "no-defaults-sh": ["sh", "-c", "mysql --no-defaults -BNe 'select @@port'"],
    "defaults": ["mysql", f"--defaults-file={OWN_FILE}", *MYSQL[1:]],
    "defaults-extra-sh": ["sh", "-c", f"mysql --defaults-extra-file={OWN_FILE} -BNe 'select @@port'"],
    "suffix": ["mysql", "--defaults-group-suffix=_prod", *MYSQL[1:]],
}


@pytest.mark.parametrize("number", range(len(TYPED) * 3), ids=[f"{c}-{w}" for c in TYPED for w in WAYS])
def test_mysql_and_mariadb_are_not_led_elsewhere_by_any_file(
    number: int, world: World, sshd: Sshd, mariadb: MariaDB, mariadb_tls: MariaDB,
    canary: Canary, home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    command, way = list(TYPED.values())[number // 3], WAYS[number % 3]
    reached(world, mariadb, sshd, way)
    monkeypatch.setenv("OUR_PORT", str(mariadb.port))
    suffixed = MY_CNF + MY_CNF.replace("client", "client_prod")
    own = MY_CNF.replace("password=${password}\n", "") + "[mysql]\nskip-column-names\n"
    lead_to(mariadb_tls, home, monkeypatch, {".my.cnf": suffixed, "own.cnf": own})
    before = mariadb_tls.connections_attempted()
    outcome = canary("connect", "s1", "--", *(word.replace("${home}", str(home)) for word in command))
    assert (outcome.status, outcome.out) == (0, f"{mariadb.port}\n"), outcome.err
    assert mariadb_tls.connections_attempted() == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_the_applications_own_client_is_not_led_elsewhere(
    engine: str, way: str, world: World, sshd: Sshd, postgres: Postgres, postgres_tls: Postgres,
    mariadb: MariaDB, mariadb_tls: MariaDB, home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    database, other = (postgres, postgres_tls) if engine == "postgresql" else (mariadb, mariadb_tls)
    reached(world, database, sshd, way)
    lead_to(other, home, monkeypatch, {".my.cnf": MY_CNF, ".pg_service.conf": SERVICE, "PGSERVICE": "prod"})
    terminal = Terminal(world.folder)
    try:
        terminal.wait_for(b" ms")
        os.write(terminal.ours, b"s")
        terminal.wait_for(b"orders=>" if engine == "postgresql" else b"MariaDB [orders]>")
        port = "inet_server_port()" if engine == "postgresql" else "@@port"
        os.write(terminal.ours, f"select 'port', 1 + {port};\n".encode())
        terminal.wait_for(str(database.port + 1).encode())
    finally:
        terminal.close()


def test_a_service_that_the_command_names_is_not_found_rather_than_followed(
    world: World, sshd: Sshd, postgres: Postgres, postgres_tls: Postgres, canary: Canary, home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    reached(world, postgres, sshd, "port")
    lead_to(postgres_tls, home, monkeypatch, {".pg_service.conf": SERVICE})
    before = postgres_tls.connections_seen()
    outcome = canary("connect", "s1", "--", "psql", "-XAtc", "select 1", "service=prod")
    assert (outcome.status, outcome.out) == (2, "")
    assert postgres_tls.connections_seen() == before


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A private folder whose path leaves room for a socket's name (108 bytes, unix(7))."""
    with tempfile.TemporaryDirectory(prefix="c") as folder:
        yield Path(folder)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_the_line_that_is_printed_works(
    engine: str, way: str, world: World, sshd: Sshd, postgres: Postgres, postgres_tls: Postgres,
    mariadb: MariaDB, mariadb_tls: MariaDB, home: Path, monkeypatch: pytest.MonkeyPatch, short_folder: Path,
) -> None:  # fmt: skip
    database, other = (postgres, postgres_tls) if engine == "postgresql" else (mariadb, mariadb_tls)
    reached(world, database, sshd, way)
    things = {".my.cnf": MY_CNF, ".pg_service.conf": SERVICE, "PGSERVICE": "prod", "PGHOSTADDR": "127.0.0.9"}
    lead_to(other, home, monkeypatch, things)
    process = start(world, "connect", "s1", HOME=str(home), XDG_RUNTIME_DIR=str(short_folder))
    assert process.stdout is not None
    line = process.stdout.readline()
    assert database.password not in line
    password = "PGPASSWORD" if engine == "postgresql" else "MYSQL_PWD"
    query = "-XAtc 'select inet_server_port()'" if engine == "postgresql" else "-BNe 'select @@port'"
    done = subprocess.run(
        ["sh", "-c", f"{line.rstrip()} {query}"],
        env=os.environ | {password: database.password},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert (done.returncode, done.stdout) == (0, f"{database.port}\n"), done.stderr
    process.send_signal(signal.SIGINT)
    assert finish(process).status == 130
    assert not list((world.folder / "clients").iterdir()), "nothing is left behind"


@pytest.mark.parametrize("way", ["port", "direct"])
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_nor_is_a_probe_led_elsewhere(
    engine: str, way: str, world: World, sshd: Sshd, postgres: Postgres, postgres_tls: Postgres,
    mariadb: MariaDB, mariadb_tls: MariaDB, canary: Canary, home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    database, other = (postgres, postgres_tls) if engine == "postgresql" else (mariadb, mariadb_tls)
    reached(world, database, sshd, way)
    for things in (TO_ANOTHER_POSTGRESQL | TO_ANOTHER_MYSQL).values():
        lead_to(other, home, monkeypatch, things)
    before = database.logins_seen()
    outcome = canary("probe", "s1")
    assert outcome.status == 0, outcome.out
    assert database.logins_seen() == before + 1
