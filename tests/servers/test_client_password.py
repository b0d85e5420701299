"""What a client that we start is trusted with: its own password, with the TLS that it was meant to go by."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from canary_tui.servers.model import TlsMode
from tests.harness.certs import Authority
from tests.harness.mysql8 import Mysql8
from tests.servers.cli import Canary
from tests.servers.elsewhere import MARIADB_IN_A_SHELL, MYSQL, PSQL, TLS, WAYS, reached
from tests.servers.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


@pytest.fixture(autouse=True)
def _at_home(home: Path) -> None:
    """No test reads the files of whoever runs it."""


@pytest.mark.parametrize("mode", [TlsMode.PREFER, TlsMode.REQUIRE])
def test_authorities_in_the_home_do_not_take_tls_away(
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
    outcome = canary("connect", "s1", "--", *TLS)
    assert (outcome.status, outcome.out) == (0, "t\n"), outcome.err


def test_a_certificate_in_the_home_does_not_take_tls_away(
    world: World, sshd: Sshd, postgres_tls: Postgres, canary: Canary, home: Path
) -> None:
    """With `prefer` libpq goes on without TLS when it cannot use it."""
    reached(world, postgres_tls, sshd, "direct", tls=TlsMode.PREFER)
    (home / ".postgresql").mkdir()
    (home / ".postgresql/postgresql.crt").write_text("no certificate")
    outcome = canary("connect", "s1", "--", *TLS)
    assert (outcome.status, outcome.out) == (0, "t\n"), outcome.err


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
    # psql says so itself where no probe comes first.
    assert outcome.status in ({2, 125} if database is postgres else {125}), outcome.err
    if why == "seen before":
        world.tools.known_tls.forget(server)
        assert canary("connect", "s1", "--", *command).out == f"{database.port}\n"


CLEAR = ("host all all 127.0.0.0/8 password",)


@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.PREFER, TlsMode.REQUIRE])
def test_psql_gives_no_direct_server_the_password_in_clear(
    mode: TlsMode, world: World, sshd: Sshd, make_postgres: Callable[..., Postgres], authority: Authority,
    canary: Canary,
) -> None:  # fmt: skip
    """There is no local end of ours that would cut it off, and psql 15 knows no PGREQUIREAUTH."""
    database = make_postgres(hba=CLEAR, tls=authority.issue(["db.internal"]))
    reached(world, database, sshd, "direct", tls=mode)
    outcome = canary("connect", "s1", "--", *PSQL)
    assert (outcome.status, outcome.out) == (125, ""), outcome.err
    assert "password" in outcome.err
    assert database.logins_seen() == 0
    world.write(world.server(database, name="allowed", tls=mode, allow_cleartext=True))
    assert canary("connect", "allowed", "--", *PSQL).out == f"{database.port}\n"


@pytest.mark.parametrize("plugin", ["mysql_clear_password", "sha256_password", "caching_sha2_password"])
@pytest.mark.parametrize("command", [MYSQL, MARIADB_IN_A_SHELL], ids=["mysql", "sh"])
def test_mysql_gives_no_direct_server_a_password_that_it_could_read(
    command: list[str], plugin: str, world: World, mariadb: MariaDB, canary: Canary
) -> None:
    with Mysql8(plugin, mariadb.password) as server:
        world.write(world.server(mariadb, name="s1", host=server.host, port=server.port))
        outcome = canary("connect", "s1", "--", *command)
        assert (outcome.status, outcome.out) == (125, ""), outcome.err
        assert server.shown == []


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
