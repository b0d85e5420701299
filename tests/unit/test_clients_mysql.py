"""How mysql and mariadb are told where to go, and with which TLS."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from canary_tui.databases.client_environment import NOWHERE
from canary_tui.databases.mysql.client_environment import CLIENTS
from canary_tui.databases.ways import Direct, LocalPort, LocalSocket
from canary_tui.monitor.clients import SHOWN
from canary_tui.servers.model import Engine, TlsMode
from tests.unit.client_commands import BIN, PASSWORD, PORT, client, mysql, postgresql


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
