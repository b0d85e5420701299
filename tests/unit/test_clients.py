"""How psql and mysql are told to use a tunnel: no password where others could read it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.diagnosis.stages import Failed
from canary_tui.monitor.clients import client_command
from canary_tui.servers.model import Database, Engine, Server, TlsMode
from canary_tui.servers.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "hunter2 'secret' \"\\"
LOCAL = "127.0.0.1:15432"


def server(engine: Engine, **changes: object) -> Server:
    database = Database(host="db.internal", port=engine.default_port, name="orders", user="reader")
    return Server(name="orders", engine=engine, database=msgspec.structs.replace(database, **changes))


def postgresql(local: str, folder: Path, **changes: object) -> dict[str, str]:
    argv, environment = client_command(server(Engine.POSTGRESQL, **changes), local, Secret(PASSWORD), folder)
    assert argv == ["psql"]
    return environment


def mysql(local: str, folder: Path, **changes: object) -> tuple[dict[str, str], list[str]]:
    argv, environment = client_command(server(Engine.MYSQL, **changes), local, Secret(PASSWORD), folder)
    assert argv == ["mysql"]
    return environment, (folder / "my.cnf").read_text().splitlines()


def test_psql_keeps_the_real_host_name_so_that_verify_full_works(tmp_path: Path) -> None:
    assert postgresql(LOCAL, tmp_path, tls=TlsMode.VERIFY_FULL, ca_file="/ca.pem") == {
        "PGHOST": "db.internal",
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": "15432",
        "PGUSER": "reader",
        "PGDATABASE": "orders",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca.pem",
        "PGPASSWORD": PASSWORD,
    }


@pytest.mark.parametrize("mode", [TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL])
def test_psql_is_not_sent_without_tls_over_a_socket_where_the_settings_ask_for_it(
    tmp_path: Path, mode: TlsMode
) -> None:
    with pytest.raises(Failed, match="settings_invalid") as refused:
        postgresql("/run/orders/.s.PGSQL.5432", tmp_path, tls=mode)
    assert f"tls: {mode.value}" in refused.value.detail
    assert postgresql("/run/orders/.s.PGSQL.5432", tmp_path, tls=TlsMode.PREFER)["PGHOST"] == "/run/orders"


def test_psql_reaches_a_direct_server_at_its_own_address(tmp_path: Path) -> None:
    environment = postgresql("", tmp_path)
    assert (environment["PGHOST"], environment["PGPORT"]) == ("db.internal", "5432")
    assert "PGHOSTADDR" not in environment
    assert "PGSSLROOTCERT" not in environment


def test_psql_finds_a_socket_by_its_folder(tmp_path: Path) -> None:
    environment = postgresql("/run/canary/orders/.s.PGSQL.5432", tmp_path)
    assert (environment["PGHOST"], environment["PGPORT"]) == ("/run/canary/orders", "5432")


def test_what_the_settings_leave_out_is_what_the_engine_takes(tmp_path: Path) -> None:
    environment = postgresql(LOCAL, tmp_path, user="", name="")
    assert (environment["PGUSER"], environment["PGDATABASE"]) == ("postgres", "postgres")
    _, lines = mysql(LOCAL, tmp_path, user="", name="")
    assert 'user = "root"' in lines
    assert not any("database" in line for line in lines)


@pytest.mark.parametrize("engine", list(Engine))
def test_a_server_without_a_password_gives_none(engine: Engine, tmp_path: Path) -> None:
    _, environment = client_command(server(engine), LOCAL, None, tmp_path)
    assert not {"PGPASSWORD", "MYSQL_PWD"} & environment.keys()


@pytest.mark.parametrize("engine", list(Engine))
def test_no_password_is_in_the_arguments_or_in_a_file(engine: Engine, tmp_path: Path) -> None:
    argv, environment = client_command(server(engine), LOCAL, Secret(PASSWORD), tmp_path)
    assert "hunter2" not in " ".join(argv)
    assert all("hunter2" not in path.read_text() for path in tmp_path.iterdir())
    assert [key for key, value in environment.items() if "hunter2" in value] == [
        "PGPASSWORD" if engine is Engine.POSTGRESQL else "MYSQL_PWD"
    ]


def test_mysql_is_told_by_environment_and_a_private_file(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    environment, lines = mysql("127.0.0.1:13306", folder)
    assert environment == {
        "MYSQL_HOME": str(folder),
        "MYSQL_HOST": "127.0.0.1",
        "MYSQL_TCP_PORT": "13306",
        "MYSQL_PWD": PASSWORD,
    }
    assert lines[:5] == ["[client]", 'user = "reader"', "host = 127.0.0.1", "port = 13306", "protocol = tcp"]
    assert lines[-2:] == ["[mysql]", 'database = "orders"']
    assert (folder / "my.cnf").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_mysql_uses_a_socket_where_there_is_one(tmp_path: Path) -> None:
    environment, lines = mysql("/run/canary/orders/mysql.sock", tmp_path)
    assert 'socket = "/run/canary/orders/mysql.sock"' in lines
    assert "MYSQL_HOST" not in environment


def test_a_home_folder_in_the_authorities_path_is_spelled_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert postgresql(LOCAL, tmp_path, ca_file="~/ca.pem")["PGSSLROOTCERT"] == "/home/me/ca.pem"
    _, lines = mysql(LOCAL, tmp_path, tls=TlsMode.VERIFY_CA, ca_file="~/ca.pem")
    assert 'ssl-ca = "/home/me/ca.pem"' in lines


def test_the_systems_authorities_are_meant_where_none_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq looks for ~/.postgresql/root.crt only, and fails without it."""
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    assert postgresql(LOCAL, tmp_path, tls=TlsMode.VERIFY_FULL)["PGSSLROOTCERT"] == __file__
    assert "PGSSLROOTCERT" not in postgresql(LOCAL, tmp_path, tls=TlsMode.REQUIRE)


TLS_LINES = [
    (TlsMode.DISABLE, ["loose-skip-ssl", "loose-ssl-mode = DISABLED"]),
    (TlsMode.PREFER, ["loose-ssl-mode = PREFERRED", "loose-skip-ssl-verify-server-cert"]),
    (TlsMode.REQUIRE, ["loose-ssl", "loose-ssl-mode = REQUIRED", "loose-skip-ssl-verify-server-cert"]),
    (TlsMode.VERIFY_CA, ["loose-ssl", "loose-ssl-mode = VERIFY_CA", "loose-skip-ssl-verify-server-cert"]),
    (TlsMode.VERIFY_FULL, ["loose-ssl", "loose-ssl-mode = VERIFY_IDENTITY", "loose-ssl-verify-server-cert"]),
]


@pytest.mark.parametrize(("tls", "expected"), TLS_LINES, ids=[tls.value for tls, _ in TLS_LINES])
def test_mysql_uses_tls_as_the_settings_say(
    tls: TlsMode, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MariaDB's client warns of an option that is MySQL's alone, so it is not given it."""
    for mariadb in (False, True):
        monkeypatch.setattr("canary_tui.monitor.clients._is_mariadb", lambda _program, is_it=mariadb: is_it)
        _, lines = mysql(LOCAL, tmp_path, tls=tls)
        told = [line for line in lines if "ssl" in line and not line.startswith("ssl-ca")]
        assert told == [line for line in expected if not (mariadb and "ssl-mode" in line)]


STRANGE = ['we"ird', "back\\slash", "new\nline = 1", "#comment", " spaces ", "a\\nb"]


@pytest.mark.skipif(not shutil.which("my_print_defaults"), reason="my_print_defaults is not installed")
@pytest.mark.parametrize("name", STRANGE)
def test_mysqls_own_reader_understands_strange_names(name: str, tmp_path: Path) -> None:
    mysql(LOCAL, tmp_path, name=name)
    read = subprocess.run(
        ["my_print_defaults", f"--defaults-file={tmp_path / 'my.cnf'}", "mysql"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert read.stdout == f"--database={name}\n"
