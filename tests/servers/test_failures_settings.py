"""The matrix: a password or a file of authorities that cannot be had on this machine."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, PasswordCommand, TlsMode
from canary_tui.servers.passwords import Passwords
from tests.servers.failure_case import Case, FailureCase
from tests.servers.world import with_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage


async def variable_unset(case: FailureCase) -> None:
    server = case.server(PG)
    right = case.postgres.password
    case.world.close()
    await case.fails(server)
    assert case.advice("read -rs CANARY_TEST_ORDERS && export CANARY_TEST_ORDERS")
    case.world.password("orders", right)
    await case.works(server)


async def variable_empty(case: FailureCase) -> None:
    server = case.server(MY, password="")
    await case.fails(server)
    case.world.password("orders", case.mariadb.password)
    await case.works(server)


async def named_nowhere(engine: Engine, case: FailureCase) -> None:
    """The remedies' file is written as they say, in a home of the user's own."""
    home = case.world.folder / "home"
    home.mkdir()
    case.world.tools.passwords = Passwords(home=home, environ={})
    server = with_database(case.server(engine), password=None)
    await case.fails(server)
    password = case.database(engine).password
    if engine is PG:
        path, lines = home / ".pgpass", [case.advice("127.0.0.1:", PASSWORD=password)]
    else:
        path = home / ".my.cnf"
        lines = [case.advice("[client]"), case.advice("host="), case.advice("user=")]
        lines.append(case.advice("password=", PASSWORD=password))
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    await case.works(server)


async def bad_command(command: tuple[str, ...], case: FailureCase) -> None:
    server = case.server(PG)
    await case.fails(with_database(server, password=PasswordCommand(command)))
    right = ("sh", "-c", f"printf '%s\\n' '{case.postgres.password}'")
    assert case.advice("command: [sh, -c, 'LINE']")
    await case.works(with_database(server, password=PasswordCommand(right)))


async def slow_command(case: FailureCase) -> None:
    case.world.tools.passwords = Passwords(command_limit=0.2)
    server = case.server(PG)
    sleeping = (sys.executable, "-c", "import time; time.sleep(30)")
    await case.fails(with_database(server, password=PasswordCommand(sleeping)))
    case.world.tools.passwords = Passwords()
    right = ("printf", "%s\\n", case.postgres.password)
    await case.works(with_database(server, password=PasswordCommand(right)))


def _absent(path: Path) -> None:
    path.unlink(missing_ok=True)


def _no_pem(path: Path) -> None:
    path.write_text("this is no certificate\n")


def _folder(path: Path) -> None:
    path.mkdir()


async def bad_ca_file(engine: Engine, spoil: Callable[[Path], None], case: FailureCase) -> None:
    path = case.world.folder / "ca.pem"
    spoil(path)
    server = case.server(engine, tls=TlsMode.VERIFY_CA, ca_file=str(path))
    await case.fails(server)
    assert str(path) in case.failure.summary
    assert case.advice(f"openssl x509 -in {path}")
    await case.works(with_database(server, ca_file=str(case.authority.ca)))


CASES = (
    Case("its variable is not set", C.PASSWORD_MISSING, S.SETTINGS, variable_unset),
    Case("its variable is empty", C.PASSWORD_MISSING, S.SETTINGS, variable_empty),
    Case("PostgreSQL asks, nothing has one", C.PASSWORD_MISSING, S.LOGIN, partial(named_nowhere, PG)),
    Case("MariaDB asks, nothing has one", C.PASSWORD_MISSING, S.LOGIN, partial(named_nowhere, MY)),
    Case(
        "no such program", C.PASSWORD_COMMAND_FAILED, S.SETTINGS, partial(bad_command, ("/no/such/program",))
    ),
    Case("command says no", C.PASSWORD_COMMAND_FAILED, S.SETTINGS, partial(bad_command, ("false",))),
    Case("command prints nothing", C.PASSWORD_COMMAND_FAILED, S.SETTINGS, partial(bad_command, ("true",))),
    Case("command takes too long", C.PASSWORD_COMMAND_FAILED, S.SETTINGS, slow_command),
    Case("no such CA file", C.CA_FILE_UNREADABLE, S.SETTINGS, partial(bad_ca_file, PG, _absent)),
    Case(
        "CA file without a certificate", C.CA_FILE_UNREADABLE, S.SETTINGS, partial(bad_ca_file, MY, _no_pem)
    ),
    Case("CA file is a folder", C.CA_FILE_UNREADABLE, S.SETTINGS, partial(bad_ca_file, PG, _folder)),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)
