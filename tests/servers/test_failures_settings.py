"""The matrix: a password or a file of authorities that cannot be had on this machine."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, PasswordCommand, TlsMode
from canary_tui.servers.secrets import Passwords
from tests.servers.matrix import Case
from tests.servers.scene import Scene, with_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage


async def variable_unset(scene: Scene, case: Case) -> None:
    server = scene.server(PG)
    right = scene.postgres.password
    scene.world.close()
    await scene.fails(server, case)
    assert scene.advice("read -rs CANARY_TEST_ORDERS && export CANARY_TEST_ORDERS")
    scene.world.password("orders", right)
    await scene.passes(server)


async def variable_empty(scene: Scene, case: Case) -> None:
    server = scene.server(MY, password="")
    await scene.fails(server, case)
    scene.world.password("orders", scene.mariadb.password)
    await scene.passes(server)


async def named_nowhere(engine: Engine, scene: Scene, case: Case) -> None:
    """The remedies' file is written as they say, in a home of the user's own."""
    home = scene.world.folder / "home"
    home.mkdir()
    scene.world.tools.passwords = Passwords(home=home, environ={})
    server = with_database(scene.server(engine), password=None)
    await scene.fails(server, case)
    password = scene.real(engine).password
    if engine is PG:
        path, lines = home / ".pgpass", [scene.advice("127.0.0.1:", PASSWORD=password)]
    else:
        path = home / ".my.cnf"
        lines = [scene.advice("[client]"), scene.advice("host="), scene.advice("user=")]
        lines.append(scene.advice("password=", PASSWORD=password))
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    await scene.passes(server)


async def bad_command(command: tuple[str, ...], scene: Scene, case: Case) -> None:
    server = scene.server(PG)
    await scene.fails(with_database(server, password=PasswordCommand(command)), case)
    right = ("sh", "-c", f"printf '%s\\n' '{scene.postgres.password}'")
    assert scene.advice("command: [sh, -c, 'LINE']")
    await scene.passes(with_database(server, password=PasswordCommand(right)))


async def slow_command(scene: Scene, case: Case) -> None:
    scene.world.tools.passwords = Passwords(command_limit=0.2)
    server = scene.server(PG)
    sleeping = (sys.executable, "-c", "import time; time.sleep(30)")
    await scene.fails(with_database(server, password=PasswordCommand(sleeping)), case)
    scene.world.tools.passwords = Passwords()
    right = ("printf", "%s\\n", scene.postgres.password)
    await scene.passes(with_database(server, password=PasswordCommand(right)))


def _absent(path: Path) -> None:
    path.unlink(missing_ok=True)


def _no_pem(path: Path) -> None:
    path.write_text("this is no certificate\n")


def _folder(path: Path) -> None:
    path.mkdir()


async def bad_ca_file(engine: Engine, spoil: Callable[[Path], None], scene: Scene, case: Case) -> None:
    path = scene.world.folder / "ca.pem"
    spoil(path)
    server = scene.server(engine, tls=TlsMode.VERIFY_CA, ca_file=str(path))
    await scene.fails(server, case)
    assert str(path) in scene.failure.summary
    assert scene.advice(f"openssl x509 -in {path}")
    await scene.passes(with_database(server, ca_file=str(scene.authority.ca)))


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
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, scene: Scene) -> None:
    await case.run(scene, case)
