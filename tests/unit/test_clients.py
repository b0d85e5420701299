"""How psql and mysql are told where to go: nothing of the surroundings, no password where others read it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from canary_tui.databases.client_environment import NOWHERE
from canary_tui.databases.mysql.client_environment import CLIENTS
from canary_tui.databases.ways import Direct, LocalPort, LocalSocket, Way, way_to
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.clients import SHOWN, DatabaseClient
from canary_tui.servers.model import (
    Database,
    Engine,
    PasswordCommand,
    PasswordEnv,
    Server,
    SshServer,
    TlsMode,
)
from canary_tui.servers.secrets import Secret

PASSWORD = "hunter2 'secret' \"\\"
PORT = LocalPort("127.0.0.1", 15432)
WAYS = [PORT, LocalSocket("/run/canary/orders/.s.PGSQL.5432"), Direct()]
BIN = "/usr/bin:/bin"


def server(engine: Engine, **changes: object) -> Server:
    database = Database(
        host="db.internal", port=engine.facts.default_port or 6379, name="orders", user="reader"
    )
    return Server(name="orders", engine=engine, database=msgspec.structs.replace(database, **changes))


def client(
    engine: Engine, way: Way, folder: Path, environ: dict[str, str] | None = None, **changes: object
) -> DatabaseClient:
    servers = [server(engine, **changes)]
    return DatabaseClient(
        servers[0], way, servers=servers, environ={"PATH": BIN, **(environ or {})}, folder=folder
    )


def postgresql(way: Way, folder: Path, home: str = "", **changes: object) -> dict[str, str]:
    """The variables that are libpq's."""
    environ = {"HOME": home}
    made = client(Engine.POSTGRESQL, way, folder, environ, **changes).environment(Secret(PASSWORD))
    return {name: value for name, value in made.items() if name.startswith("PG")}


def mysql(way: Way, folder: Path, **changes: object) -> tuple[dict[str, str], list[str]]:
    """The environment, and the lines of the option file."""
    made = client(Engine.MYSQL, way, folder, None, **changes).environment(Secret(PASSWORD))
    return made, (folder / "my.cnf").read_text().splitlines()


def test_psql_keeps_the_real_host_name_so_that_verify_full_works(tmp_path: Path) -> None:
    assert postgresql(PORT, tmp_path, tls=TlsMode.VERIFY_FULL, ca_file="/ca.pem") == {
        "PGHOST": "db.internal",
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": "15432",
        "PGUSER": "reader",
        "PGDATABASE": "orders",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca.pem",
        "PGPASSWORD": PASSWORD,
        "PGPASSFILE": NOWHERE,
        "PGSERVICEFILE": NOWHERE,
        "PGGSSENCMODE": "disable",
    }


@pytest.mark.parametrize("mode", [TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL])
def test_psql_is_not_sent_without_tls_over_a_socket_where_the_settings_ask_for_it(
    tmp_path: Path, mode: TlsMode
) -> None:
    with pytest.raises(Failed, match="settings_invalid") as refused:
        postgresql(LocalSocket("/run/orders/.s.PGSQL.5432"), tmp_path, tls=mode)
    assert f"tls: {mode.value}" in refused.value.detail
    prefer = postgresql(LocalSocket("/run/orders/.s.PGSQL.5432"), tmp_path, tls=TlsMode.PREFER)
    assert prefer["PGHOST"] == "/run/orders"


def test_psql_reaches_a_direct_server_at_its_own_address(tmp_path: Path) -> None:
    environment = postgresql(Direct(), tmp_path)
    assert (environment["PGHOST"], environment["PGPORT"]) == ("db.internal", "5432")
    assert "PGHOSTADDR" not in environment
    assert "PGSSLROOTCERT" not in environment


def test_psql_finds_a_socket_by_its_folder(tmp_path: Path) -> None:
    environment = postgresql(LocalSocket("/run/canary/orders/.s.PGSQL.5432"), tmp_path)
    assert (environment["PGHOST"], environment["PGPORT"]) == ("/run/canary/orders", "5432")
    assert "PGHOSTADDR" not in environment


def test_what_the_settings_leave_out_is_what_the_engine_takes(tmp_path: Path) -> None:
    environment = postgresql(PORT, tmp_path, user="", name="")
    assert (environment["PGUSER"], environment["PGDATABASE"]) == ("postgres", "postgres")
    _, lines = mysql(PORT, tmp_path, user="", name="")
    assert 'user = "root"' in lines
    assert not any("database" in line for line in lines)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: type(way).__name__)
@pytest.mark.parametrize("engine", list(Engine))
def test_a_server_without_a_password_gives_none(engine: Engine, way: Way, tmp_path: Path) -> None:
    made = client(engine, way, tmp_path, {"PGPASSWORD": "another's", "MYSQL_PWD": "another's"})
    assert not {"PGPASSWORD", "MYSQL_PWD"} & made.environment(None).keys()


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.MYSQL])
def test_no_password_is_in_the_arguments_or_in_a_file(engine: Engine, tmp_path: Path) -> None:
    made = client(engine, PORT, tmp_path)
    assert "hunter2" not in " ".join(made.command())
    assert all("hunter2" not in path.read_text() for path in tmp_path.iterdir() if path.is_file())
    environment = made.environment(Secret(PASSWORD))
    assert [key for key, value in environment.items() if "hunter2" in value] == [
        "PGPASSWORD" if engine is Engine.POSTGRESQL else "MYSQL_PWD"
    ]


# The surroundings

HOSTILE = {
    "PGSERVICE": "prod", "PGSYSCONFDIR": "/etc", "PGOPTIONS": "-c search_path=x", "PGREQUIRESSL": "0",
    "PGSSLCERT": "/x", "PGSSLCRL": "/x", "PGSSLNEGOTIATION": "direct", "PGTARGETSESSIONATTRS": "any",
    "PGCHANNELBINDING": "disable", "PGLOADBALANCEHOSTS": "random", "PGCLUSTER": "15/main", "PGDATA": "/x",
    "MYSQL_GROUP_SUFFIX": "_x", "MYSQL_PASSWORD": "x", "MYSQL_USER": "x", "MYSQL_DATABASE": "x",
    "MARIADB_HOME": "/x", "MARIADB_UNIX_PORT": "/x", "MARIADB_GROUP_SUFFIX": "_x", "MARIADB_PWD": "x",
    "MARIADB_TLS_DISABLE_PEER_VERIFICATION": "1", "LIBMYSQL_PLUGINS": "x", "LIBMYSQL_PLUGIN_DIR": "/x",
    "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN": "1",
}  # fmt: skip
OURS = {
    "PGHOST": "x", "PGHOSTADDR": "127.0.0.9", "PGPORT": "1", "PGUSER": "x", "PGDATABASE": "x",
    "PGPASSWORD": "x", "PGPASSFILE": "/x", "PGSSLMODE": "disable", "PGSSLROOTCERT": "/x",
    "PGSERVICEFILE": "/x", "PGGSSENCMODE": "require", "PGREQUIREAUTH": "password", "MYSQL_HOST": "x",
    "MYSQL_TCP_PORT": "1", "MYSQL_UNIX_PORT": "/x", "MYSQL_HOME": "/x", "MYSQL_TEST_LOGIN_FILE": "/x",
    "MYSQL_PWD": "x", "CANARY_HOST": "x", "CANARY_PORT": "1", "CANARY_SOCKET": "/x",
}  # fmt: skip
HARMLESS = {
    "HOME": "/home/me", "PSQLRC": "/x", "PSQL_HISTORY": "/x", "PG_COLOR": "auto", "PGP_KEY": "mine",
    "MYSQL_HISTFILE": "/dev/null", "MYSQL_PS1": "> ", "OLDPWD": "/", "TERM": "xterm", "MY_OWN": "x",
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: type(way).__name__)
@pytest.mark.parametrize("engine", list(Engine))
def test_the_environment_is_the_same_whatever_the_surroundings_say(
    engine: Engine, way: Way, tmp_path: Path
) -> None:
    password = Secret(PASSWORD) if engine.facts.has_login else None
    clean = client(engine, way, tmp_path, HARMLESS).environment(password)
    closed = client(engine, way, tmp_path, HARMLESS | HOSTILE | OURS).environment(password)
    assert closed == clean
    assert HARMLESS.items() <= closed.items()


def test_passwords_of_other_servers_are_left_out_and_ones_own_stays(tmp_path: Path) -> None:
    mine = server(Engine.POSTGRESQL, password=PasswordEnv(env="MINE"))
    servers = [
        mine,
        *(
            msgspec.structs.replace(server(engine, password=password), name=f"{engine.value}-{number}")
            for engine in Engine
            for number, password in enumerate(
                (PasswordEnv(env=f"OF_{engine.name}"), PasswordEnv(env="MINE"), PasswordCommand(("pass",)))
            )
        ),
    ]
    environ = {"MINE": "1", "OF_MYSQL": "2", "OF_POSTGRESQL": "3", "OF_TCP": "4", "ELSE": "5"}
    made = DatabaseClient(mine, PORT, servers=servers, environ=environ, folder=tmp_path).environment(None)
    assert {name for name in made if not name.startswith("PG")} == {"MINE", "ELSE"}


def test_certificates_in_the_home_folder_do_not_take_tls_away(tmp_path: Path) -> None:
    """libpq checks against ``~/.postgresql/root.crt`` in every mode; `prefer` then goes on without TLS."""
    assert "PGSSLROOTCERT" not in postgresql(PORT, tmp_path, home=str(tmp_path))
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql/root.crt").touch()
    for tls in (TlsMode.PREFER, TlsMode.REQUIRE):
        assert postgresql(PORT, tmp_path, home=str(tmp_path), tls=tls)["PGSSLROOTCERT"] == NOWHERE
    (tmp_path / ".postgresql/postgresql.crt").touch()
    assert postgresql(PORT, tmp_path, home=str(tmp_path), tls=TlsMode.PREFER)["PGSSLCERT"] == NOWHERE
    assert "PGSSLCERT" not in postgresql(PORT, tmp_path, home=str(tmp_path), tls=TlsMode.VERIFY_CA)
    prefer = postgresql(PORT, tmp_path, tls=TlsMode.PREFER, ca_file="/ca.pem")
    assert "PGSSLROOTCERT" not in prefer, "nor do the authorities of the settings"


@pytest.mark.parametrize("tls", list(TlsMode))
def test_libpq_is_told_not_to_send_the_password_in_clear_where_nobody_verified_the_server(
    tls: TlsMode, tmp_path: Path
) -> None:
    told = postgresql(PORT, tmp_path, tls=tls).get("PGREQUIREAUTH")
    assert told == (None if tls.verifies else "!password")
    assert "PGREQUIREAUTH" not in postgresql(PORT, tmp_path, tls=tls, allow_cleartext=True)


@pytest.mark.parametrize("name", ["host=evil", "postgresql://evil/x", "a=b"])
def test_a_database_name_is_no_connection_string(name: str, tmp_path: Path) -> None:
    """vacuumdb, reindexdb and pgcli would follow it; psql and pg_dump do not."""
    made = client(Engine.POSTGRESQL, PORT, tmp_path, None, name=name)
    assert made.command() == ["psql"]
    assert made.command(["/opt/pg_dump", "-s"]) == ["/opt/pg_dump", "-s"]
    for argv in (["vacuumdb"], ["sh", "-c", "psql"], ["/opt/pgcli"]):
        with pytest.raises(Failed, match="settings_invalid"):
            made.command(argv)
    assert client(Engine.MYSQL, PORT, tmp_path, None, name=name).command(["sh"]) == ["sh"]


@pytest.mark.parametrize("path", ["", ":", ":/usr/bin:", "/usr/bin"])
def test_the_folder_that_we_are_in_is_not_looked_in_for_programs(path: str, tmp_path: Path) -> None:
    given = client(Engine.MYSQL, PORT, tmp_path, {"PATH": path}).environment(None)["PATH"]
    assert "" not in given.split(":")


# Tunnelled is not direct


def tunnelled(engine: Engine = Engine.POSTGRESQL) -> Server:
    return msgspec.structs.replace(server(engine, host="localhost"), ssh=SshServer(host="bastion", user="me"))


def test_a_tunnelled_server_without_a_local_end_is_refused_and_a_direct_one_has_none() -> None:
    why = Failed(Cause.LOCAL_PORT_TAKEN, detail="nc has it")
    with pytest.raises(Failed) as refused:
        way_to(tunnelled(), "", why)
    assert refused.value is why
    assert way_to(tunnelled(), "127.0.0.1:15999", why) == LocalPort("127.0.0.1", 15999)
    assert way_to(tunnelled(), "/run/x/mysql.sock", why) == LocalSocket("/run/x/mysql.sock")
    assert way_to(server(Engine.MYSQL), "", why) == Direct()
    off = msgspec.structs.replace(tunnelled(), ssh=SshServer(host="bastion", user="me", enabled=False))
    assert way_to(off, "", why) == Direct()


# The clients of MySQL and MariaDB


def test_mysql_is_told_by_environment_and_a_private_file(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    environment, lines = mysql(LocalPort("127.0.0.1", 13306), folder)
    assert environment == {
        "PATH": f"{folder}/canary-clients:{BIN}",
        "MYSQL_HOME": str(folder),
        "MYSQL_HOST": "127.0.0.1",
        "MYSQL_TCP_PORT": "13306",
        "MYSQL_UNIX_PORT": NOWHERE,
        "MYSQL_TEST_LOGIN_FILE": NOWHERE,
        "MYSQL_PWD": PASSWORD,
    }
    address = ['host = "127.0.0.1"', 'port = "13306"', 'protocol = "tcp"']
    assert lines[:5] == ["[client]", 'user = "reader"', *address]
    assert lines[-2:] == ["[mysql]", 'database = "orders"']
    assert (folder / "my.cnf").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_mysql_uses_a_socket_where_there_is_one(tmp_path: Path) -> None:
    environment, lines = mysql(LocalSocket("/run/canary/orders/mysql.sock"), tmp_path)
    assert lines[3:5] == ['protocol = "socket"', 'socket = "/run/canary/orders/mysql.sock"']
    assert environment["MYSQL_UNIX_PORT"] == "/run/canary/orders/mysql.sock"
    assert "MYSQL_TCP_PORT" not in environment


def test_a_direct_mysql_is_reached_at_its_own_address(tmp_path: Path) -> None:
    environment, lines = mysql(Direct(), tmp_path)
    assert (environment["MYSQL_HOST"], environment["MYSQL_TCP_PORT"]) == ("db.internal", "3306")
    assert lines[2:4] == ['host = "db.internal"', 'port = "3306"']


@pytest.mark.parametrize("program", sorted(CLIENTS))
def test_every_client_gets_our_file_first(program: str, tmp_path: Path) -> None:
    ours = f"--defaults-file={tmp_path}/my.cnf"
    made = client(Engine.MYSQL, PORT, tmp_path)
    assert made.command([f"/opt/{program}", "-e", "x"]) == [f"/opt/{program}", ours, "-e", "x"]
    assert made.command([program])[1:] == [ours]
    assert made.command(["sh", "-c", program]) == ["sh", "-c", program]


@pytest.mark.parametrize("option", ["--defaults-file", "--defaults-extra-file"])
def test_an_option_file_that_the_user_names_counts_but_for_where_to_go_and_as_whom(
    option: str, tmp_path: Path
) -> None:
    made = client(Engine.MYSQL, PORT, tmp_path)
    argv = made.command(["/opt/mysqldump", f"{option}=/x=y.cnf", "--all-databases"])
    assert argv[:2] == ["/opt/mysqldump", "--defaults-file=/x=y.cnf"]
    assert argv[2:6] == ["--user=reader", "--host=127.0.0.1", "--port=15432", "--protocol=tcp"]
    assert argv[-1] == "--all-databases"
    assert made.command(["/opt/mysql", "--no-defaults", "-v"]) == [
        "/opt/mysql",
        f"--defaults-file={tmp_path}/my.cnf",
        "-v",
    ]


def test_wrappers_of_a_canary_connect_around_us_are_not_ours(tmp_path: Path) -> None:
    around = client(Engine.MYSQL, PORT, tmp_path / "outer").environment(None)
    inner = client(Engine.MYSQL, PORT, tmp_path / "inner", {"PATH": around["PATH"]}).environment(None)
    assert inner["PATH"] == f"{tmp_path}/inner/canary-clients:{BIN}"
    assert str(tmp_path / "outer") not in (tmp_path / "inner/client").read_text()


def test_the_wrapper_starts_the_program_with_our_file_whatever_is_in_its_path(tmp_path: Path) -> None:
    programs = tmp_path / "it's a $(touch x) folder"
    programs.mkdir()
    (programs / "mysqldump").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (programs / "mysqldump").chmod(0o755)
    path = f"{programs}:{BIN}"
    made = client(Engine.MYSQL, PORT, tmp_path / "ours $x", {"PATH": path}, user="o'brien $(x)")

    def arguments(*typed: str) -> list[str]:
        done = subprocess.run(
            ["mysqldump", *typed], env=made.environment(None), capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    ours = f"--defaults-file={tmp_path}/ours $x/my.cnf"
    assert arguments("a b", "", "*") == [ours, "a b", "", "*"]
    assert arguments("--no-defaults", "--x") == [ours, "--x"]
    for option in ("--defaults-file", "--defaults-extra-file"):
        said = arguments(f"{option}=/a file=x", "--x")
        assert said == made.command(["mysqldump", f"{option}=/a file=x", "--x"])[1:]
        assert said[:2] == ["--defaults-file=/a file=x", "--user=o'brien $(x)"]
    assert not (tmp_path / "ours $x/canary-clients/mariadb-slap").exists() or shutil.which("mariadb-slap")


# What is shown


def test_the_line_for_a_shell_has_no_secret_and_is_quoted(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PGSERVICE": "prod", "PGHOSTADDR": "127.0.0.9", "MYSQL_HOST": "x"}
    changes = {"name": "it's; touch x", "user": "$(touch y)"}
    line = client(
        Engine.POSTGRESQL, PORT, tmp_path, environ | {"PGPASSWORD": PASSWORD}, **changes
    ).shell_line()
    assert "hunter2" not in line
    assert shlex.split(line) == [
        "env", "-u", "PGSERVICE", "-u", "MYSQL_HOST", "PGHOST=db.internal", "PGHOSTADDR=127.0.0.1",
        "PGPORT=15432", "PGUSER=$(touch y)", "PGDATABASE=it's; touch x", "PGSSLMODE=prefer", "psql",
    ]  # fmt: skip
    plain = client(Engine.POSTGRESQL, Direct(), tmp_path).shell_line()
    assert plain.startswith("PGHOST=db.internal PGPORT=5432 PGUSER=reader ")


def test_the_line_for_mysql_names_our_file(tmp_path: Path) -> None:
    words = shlex.split(client(Engine.MYSQL, PORT, tmp_path / "a b", user="x y").shell_line())
    assert words[-1] == f"--defaults-file={tmp_path}/a b/my.cnf"
    assert {word.partition("=")[0] for word in words[:-2]} <= SHOWN


# TLS


def test_a_home_folder_in_the_authorities_path_is_spelled_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    verified = postgresql(PORT, tmp_path, tls=TlsMode.VERIFY_CA, ca_file="~/ca.pem")
    assert verified["PGSSLROOTCERT"] == "/home/me/ca.pem"
    _, lines = mysql(PORT, tmp_path, tls=TlsMode.VERIFY_CA, ca_file="~/ca.pem")
    assert 'ssl-ca = "/home/me/ca.pem"' in lines


def test_the_systems_authorities_are_meant_where_none_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq looks for ~/.postgresql/root.crt only, and fails without it."""
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    assert postgresql(PORT, tmp_path, tls=TlsMode.VERIFY_FULL)["PGSSLROOTCERT"] == __file__
    assert "PGSSLROOTCERT" not in postgresql(PORT, tmp_path, tls=TlsMode.REQUIRE)


TLS_LINES = [
    (TlsMode.DISABLE, ["loose-skip-ssl", 'loose-ssl-mode = "DISABLED"']),
    (TlsMode.PREFER, ['loose-ssl-mode = "PREFERRED"', "loose-skip-ssl-verify-server-cert"]),
    (TlsMode.REQUIRE, ["loose-ssl", 'loose-ssl-mode = "REQUIRED"', "loose-skip-ssl-verify-server-cert"]),
    (TlsMode.VERIFY_CA, ["loose-ssl", 'loose-ssl-mode = "VERIFY_CA"', "loose-skip-ssl-verify-server-cert"]),
    (
        TlsMode.VERIFY_FULL,
        ["loose-ssl", 'loose-ssl-mode = "VERIFY_IDENTITY"', "loose-ssl-verify-server-cert"],
    ),
]


@pytest.mark.parametrize(("tls", "expected"), TLS_LINES, ids=[tls.value for tls, _ in TLS_LINES])
@pytest.mark.parametrize("program", ["mysql", "mariadb"])
def test_mysql_uses_tls_as_the_settings_say(
    tls: TlsMode, expected: list[str], program: str, tmp_path: Path
) -> None:
    """MariaDB's client warns of an option that is MySQL's alone, so it is not given it."""
    (tmp_path / program).touch(mode=0o755)
    if program == "mariadb":
        (tmp_path / "mysql").symlink_to("mariadb")
    client(Engine.MYSQL, PORT, tmp_path, {"PATH": str(tmp_path)}, tls=tls)
    lines = (tmp_path / "my.cnf").read_text().splitlines()
    told = [line for line in lines if "ssl" in line and not line.startswith("ssl-ca")]
    assert told == [line for line in expected if not (program == "mariadb" and "ssl-mode" in line)]


STRANGE = ['we"ird', "back\\slash", "new\nline = 1", "#comment", " spaces ", "a\\nb"]


@pytest.mark.skipif(not shutil.which("my_print_defaults"), reason="my_print_defaults is not installed")
@pytest.mark.parametrize("name", STRANGE)
def test_mysqls_own_reader_understands_strange_names(name: str, tmp_path: Path) -> None:
    mysql(PORT, tmp_path, name=name)
    read = subprocess.run(
        ["my_print_defaults", f"--defaults-file={tmp_path / 'my.cnf'}", "mysql"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert read.stdout == f"--database={name}\n"
