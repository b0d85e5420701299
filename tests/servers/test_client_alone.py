"""A client that we start reaches its own server, whatever the surroundings say, or is not started.

The other database is a real one, and everything that leads there has the login for it: a client that
followed would end well.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from canary_tui.servers.model import Listen, TlsMode
from tests.harness.certs import Authority
from tests.servers.cli import LIMIT, Canary, finish, start
from tests.servers.test_terminal import Terminal
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.servers.model import Server
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd

    Database = Postgres | MariaDB

WAYS = ["port", "socket", "direct"]
MY_CNF = "[client]\nhost=127.0.0.1\nport=${port}\nuser=${user}\npassword=${password}\n"
SERVICE = "[prod]\nhost=127.0.0.1\nport=${port}\nuser=${user}\npassword=${password}\ndbname=${database}\n"


@pytest.fixture
def home(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    folder = world.folder / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def canary(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Canary:
    return Canary(world, monkeypatch, capfd)


def reached(world: World, database: Database, sshd: Sshd, way: str, **changes: Any) -> Server:
    """List the server ``s1``, reached in one of WAYS."""
    server = world.server(database, None if way == "direct" else sshd, name="s1", **changes)
    if way == "socket":
        server = with_ssh(server, listen=Listen.SOCKET)
    world.write(server)
    return server


def lead_to(other: Database, home: Path, monkeypatch: pytest.MonkeyPatch, things: dict[str, str]) -> None:
    """Set variables, and write the files whose names have a dot or a slash in them."""
    facts = {"host": other.host, "port": str(other.port), "user": other.user, "home": str(home)}
    facts |= {"password": other.password, "database": other.database}
    for name, template in things.items():
        value = template
        for fact, text in facts.items():
            value = value.replace(f"${{{fact}}}", text)
        if "." not in name and "/" not in name:
            monkeypatch.setenv(name, value)
            continue
        (home / name).parent.mkdir(exist_ok=True, parents=True)
        (home / name).write_text(value)
        (home / name).chmod(0o600)


PSQL = ["psql", "-XAtc", "select inet_server_port()"]
IN_A_SHELL = ["sh", "-c", f"env {shlex.join(PSQL)}"]
TLS = ["psql", "-XAtc", "select ssl from pg_stat_ssl where pid = pg_backend_pid()"]
DUMP = ["sh", "-c", 'pg_dump --schema-only >/dev/null && echo "$OUR_PORT"']

TO_ANOTHER_POSTGRESQL: dict[str, dict[str, str]] = {
    "service": {".pg_service.conf": SERVICE, "PGSERVICE": "prod"},
    "service-file": {"services.conf": SERVICE, "PGSERVICEFILE": "${home}/services.conf", "PGSERVICE": "prod"},
    "system-services": {"etc/pg_service.conf": SERVICE, "PGSYSCONFDIR": "${home}/etc", "PGSERVICE": "prod"},
    "host-and-port": {"PGHOST": "127.0.0.1", "PGPORT": "${port}", "PGPASSWORD": "${password}"},
    "address-of-a-socket": {"PGHOSTADDR": "127.0.0.9"},
    "address-of-a-direct-server": {"PGHOSTADDR": "127.0.0.9"},
    "user": {"PGUSER": "nobody", "PGDATABASE": "template1"},
    "options": {"PGOPTIONS": "-c role=pg_monitor -c search_path=pg_catalog"},
    "tls": {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/passwd", "PGREQUIRESSL": "1"},
    "certificate": {"PGSSLCERT": "/etc/passwd", "PGSSLKEY": "/etc/passwd", "PGSSLCRL": "/etc/passwd"},
    "methods": {"PGREQUIREAUTH": "none", "PGCHANNELBINDING": "require", "PGGSSENCMODE": "require"},
    "session": {"PGTARGETSESSIONATTRS": "standby"},
    "debian-cluster": {"PGCLUSTER": "99/nowhere", ".postgresqlrc": "15 main other\n"},
}


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


MYSQL = ["mysql", "-BNe", "select @@port"]
MARIADB_IN_A_SHELL = ["sh", "-c", "env mariadb -BNe 'select @@port'"]
MYSQL_BY_PATH = ["/usr/bin/mysql", "-BNe", "select @@port"]
MYSQLDUMP = ["sh", "-c", 'mysqldump orders >/dev/null && mysqladmin ping >/dev/null && echo "$OUR_PORT"']

TO_ANOTHER_MYSQL: dict[str, dict[str, str]] = {
    "client": {".my.cnf": MY_CNF},
    "mysql": {".my.cnf": MY_CNF.replace("[client]", "[mysql]") + MY_CNF.replace("[client]", "[mysqldump]")},
    "client-mariadb": {".my.cnf": MY_CNF.replace("client", "client-mariadb")},
    "mariadb-client": {".my.cnf": MY_CNF.replace("client", "mariadb-client")},
    "client-server": {".my.cnf": MY_CNF.replace("client", "client-server")},
    "included": {".my.cnf": "!include ${home}/more.cnf\n", "more.cnf": MY_CNF},
    "folder": {".my.cnf": "!includedir ${home}/conf.d/\n", "conf.d/x.cnf": MY_CNF},
    "suffix": {".my.cnf": MY_CNF.replace("client", "client_prod"), "MYSQL_GROUP_SUFFIX": "_prod"},
    "home": {"etc/my.cnf": MY_CNF, "MYSQL_HOME": "${home}/etc"},
    "mariadb-home": {"etc/my.cnf": MY_CNF, "MARIADB_HOME": "${home}/etc"},
    "variables": {"MYSQL_HOST": "127.0.0.1", "MYSQL_TCP_PORT": "${port}", "MYSQL_PWD": "${password}"},
    "sockets": {"MYSQL_UNIX_PORT": "/nowhere", "MARIADB_UNIX_PORT": "/nowhere"},
    "protocol": {".my.cnf": "[client]\nprotocol=socket\nsocket=/nowhere\n"},
    "login-file": {".mylogin.cnf": "no login file", "MYSQL_TEST_LOGIN_FILE": "${home}/.mylogin.cnf"},
    "other-user": {".my.cnf": "[client]\nuser=nobody\npassword=wrong\ndefault-auth=dialog\n"},
    "statement": {".my.cnf": "[mysql]\ninit-command=set session sql_select_limit=0\n"},
    "plug-ins": {"LIBMYSQL_PLUGINS": "dialog", "MARIADB_PLUGIN_DIR": "/nowhere"},
}


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


@pytest.mark.parametrize("mode", [TlsMode.PREFER, TlsMode.REQUIRE])
def test_authorities_in_the_home_folder_do_not_take_tls_away(
    mode: TlsMode,
    world: World,
    sshd: Sshd,
    postgres_tls: Postgres,
    canary: Canary,
    home: Path,
    tmp_path: Path,
) -> None:
    """libpq checks against them in every mode, and with `prefer` it then goes on without TLS."""
    reached(world, postgres_tls, sshd, "port", tls=mode)
    (home / ".postgresql").mkdir()
    stranger = Authority(tmp_path / "stranger")
    (home / ".postgresql/root.crt").write_bytes(stranger.ca.read_bytes())
    assert canary("connect", "s1", "--", *TLS).out == "t\n"


def test_a_certificate_in_the_home_folder_does_not_take_tls_away(
    world: World, sshd: Sshd, postgres_tls: Postgres, canary: Canary, home: Path
) -> None:
    """With `prefer` libpq goes on without TLS when it cannot use it."""
    reached(world, postgres_tls, sshd, "direct", tls=TlsMode.PREFER)
    (home / ".postgresql").mkdir()
    (home / ".postgresql/postgresql.crt").write_text("no certificate")
    assert canary("connect", "s1", "--", *TLS).out == "t\n"


WITHOUT_TLS = {"require": TlsMode.REQUIRE, "verify-ca": TlsMode.VERIFY_CA, "seen before": TlsMode.PREFER}


@pytest.mark.parametrize("number", range(12))
def test_a_client_does_not_do_without_tls_that_is_asked_for_or_was_there(
    number: int, world: World, sshd: Sshd, postgres: Postgres, mariadb: MariaDB, authority: Authority,
    canary: Canary,
) -> None:  # fmt: skip
    """MariaDB's clients go on without a word where the server offers none, whatever `--ssl` says."""
    database, command = (postgres, PSQL) if number < 6 else (mariadb, (MYSQL, MARIADB_IN_A_SHELL)[number % 2])
    why = list(WITHOUT_TLS)[number % 3]
    way = "direct" if number % 6 < 3 else "port"
    server = reached(world, database, sshd, way, tls=WITHOUT_TLS[why], ca_file=str(authority.ca))
    if why == "seen before":
        world.tools.known_tls.add(server)
    outcome = canary("connect", "s1", "--", *command)
    assert outcome.out == ""
    assert outcome.status == (2 if database is postgres else 125), outcome.err
    if why == "seen before":
        world.tools.known_tls.forget(server)
        assert canary("connect", "s1", "--", *command).out == f"{database.port}\n"


@pytest.mark.parametrize("way", WAYS)
def test_tls_that_was_seen_is_used(
    way: str, world: World, sshd: Sshd, mariadb_tls: MariaDB, canary: Canary
) -> None:
    server = reached(world, mariadb_tls, sshd, way)
    world.tools.known_tls.add(server)
    outcome = canary("connect", "s1", "--", "mysql", "-BNe", "show status like 'Ssl_version'")
    assert (outcome.status, outcome.out) == (0, "Ssl_version\tTLSv1.3\n"), outcome.err


@pytest.mark.parametrize("way", WAYS)
def test_a_password_file_of_the_user_is_not_asked_for_our_port(
    way: str, world: World, sshd: Sshd, postgres: Postgres, canary: Canary, home: Path
) -> None:
    """The server has no password on this machine; the file has one for every host but the server's own."""
    reached(world, postgres, sshd, way, password=None)
    entry = f"*:{postgres.port}:{postgres.database}:{postgres.user}:{postgres.password}"
    (home / ".pgpass").write_text(f"{postgres.host}:1:*:*:x\n{entry.replace('*', 'elsewhere', 1)}\n")
    (home / ".pgpass").chmod(0o600)
    outcome = canary("connect", "s1", "--", "sh", "-c", 'test ! -e "$PGPASSFILE" && psql -wXAtc "select 1"')
    assert (outcome.status, outcome.out) == (2, "")
    assert "no password supplied" in outcome.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_where_nothing_can_be_run_a_script_is_not_started_and_a_client_is(
    world: World, sshd: Sshd, mariadb: MariaDB, canary: Canary
) -> None:
    reached(world, mariadb, sshd, "port")
    state = world.paths.state
    state.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "noexec,mode=700", "none", str(state)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        refused = canary("connect", "s1", "--", *MARIADB_IN_A_SHELL)
        assert canary("connect", "s1", "--", *MYSQL).out == f"{mariadb.port}\n"
    finally:
        subprocess.run(["umount", str(state)], check=True)
    assert (refused.status, refused.out) == (125, "")
    assert "mounted noexec" in refused.err


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_the_line_that_connect_prints_works_in_a_shell_beside_it(
    engine: str, way: str, world: World, sshd: Sshd, postgres: Postgres, postgres_tls: Postgres,
    mariadb: MariaDB, mariadb_tls: MariaDB, home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    database, other = (postgres, postgres_tls) if engine == "postgresql" else (mariadb, mariadb_tls)
    reached(world, database, sshd, way)
    things = {".my.cnf": MY_CNF, ".pg_service.conf": SERVICE, "PGSERVICE": "prod", "PGHOSTADDR": "127.0.0.9"}
    lead_to(other, home, monkeypatch, things)
    process = start(world, "connect", "s1", HOME=str(home))
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


# Passwords of others


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_child_gets_its_own_servers_password_and_no_others(
    way: str, engine: str, world: World, sshd: Sshd, postgres: Postgres, mariadb: MariaDB, canary: Canary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    database, other = (postgres, mariadb) if engine == "postgresql" else (mariadb, postgres)
    reached(world, database, sshd, way)
    world.write(world.server(other, name="other"), world.server(other, sshd, name="shop"))
    monkeypatch.setenv("PGPASSWORD", other.password)
    monkeypatch.setenv("MYSQL_PWD", other.password)
    monkeypatch.setenv("CANARY_TEST_MINE", "stays")
    outcome = canary("connect", "s1", "--", "env")
    given = dict(line.split("=", 1) for line in outcome.out.splitlines() if "=" in line)
    assert other.password not in outcome.out
    assert {name for name, value in given.items() if value == database.password} == {
        "CANARY_TEST_S1",
        "PGPASSWORD" if engine == "postgresql" else "MYSQL_PWD",
    }
    assert given["CANARY_TEST_MINE"] == "stays"
