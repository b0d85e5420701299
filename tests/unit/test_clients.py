"""How psql and mysql are told where to go: nothing of the surroundings, no password where others read it."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
import pytest

from canary_tui.databases.client_environment import NOWHERE
from canary_tui.databases.ways import Direct, LocalPort, LocalSocket, Way, way_to
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.clients import DatabaseClient
from canary_tui.servers.model import Engine, PasswordCommand, PasswordEnv, Server, SshServer, TlsMode
from canary_tui.servers.secrets import Secret
from tests.unit.client_commands import PASSWORD, PORT, client, mysql, postgresql, server

WAYS = [PORT, LocalSocket("/run/canary/orders/.s.PGSQL.5432"), Direct()]


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
