"""The real servers: shared ones, started when first asked for, and factories for tests that break them."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from canary_tui.monitor.local_ports import FIRST_PORTS
from tests.harness.accounts import remove_login_account
from tests.harness.certs import Authority
from tests.harness.daemon import Daemon
from tests.harness.dropbear import Dropbear
from tests.harness.folders import workspace
from tests.harness.mariadb import MariaDB
from tests.harness.needs import require
from tests.harness.pgbouncer import PgBouncer
from tests.harness.postgres import Postgres
from tests.harness.sshd import Sshd
from tests.servers.scene import Scene
from tests.servers.stand import Stand
from tests.servers.world import World

Server = TypeVar("Server", bound=Daemon)
_number = itertools.count(1)

DATABASE_NAME = "db.internal"
"""What the certificates of the shared TLS databases are for; 127.0.0.1 is deliberately not among them."""


@pytest.fixture(scope="session", autouse=True)
def _local_ports_of_its_own() -> Iterator[None]:
    """Each process of a run chooses local ports from a range of its own: what one closes, no other opens."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with pytest.MonkeyPatch.context() as patch:
        for engine, first in FIRST_PORTS.items():
            patch.setitem(FIRST_PORTS, engine, first + 200 * worker)
        yield


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that unprivileged servers can pass through, which pytest's own (0700) is not."""
    with workspace() as folder:
        yield folder
    remove_login_account()


@pytest.fixture(scope="session")
def authority(server_folder: Path) -> Authority:
    """The authority that signed the certificates of the shared databases."""
    return Authority(server_folder / "authority")


@pytest.fixture(scope="session")
def sshd(server_folder: Path) -> Iterator[Sshd]:
    """The shared sshd. Leave it as it was: no settings, no restarts, and take back authorized keys."""
    require("sshd")
    with Sshd(server_folder / "sshd") as server:
        yield server


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Postgres]:
    """The shared PostgreSQL without TLS."""
    require("postgres")
    with Postgres(server_folder / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_tls(server_folder: Path, authority: Authority) -> Iterator[Postgres]:
    """The shared PostgreSQL with TLS, for ``db.internal``."""
    require("postgres")
    with Postgres(server_folder / "postgres-tls", tls=authority.issue([DATABASE_NAME])) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(server_folder: Path) -> Iterator[MariaDB]:
    """The shared MariaDB without TLS."""
    require("mariadb")
    with MariaDB(server_folder / "mariadb") as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_tls(server_folder: Path, authority: Authority) -> Iterator[MariaDB]:
    """The shared MariaDB with TLS, for ``db.internal``."""
    require("mariadb")
    with MariaDB(server_folder / "mariadb-tls", tls=authority.issue([DATABASE_NAME])) as server:
        yield server


@pytest.fixture(scope="session")
def breakable(server_folder: Path, authority: Authority) -> Iterator[tuple[Postgres, MariaDB]]:
    """Databases with TLS, for ``localhost``, that a case may break when it mends them again."""
    require("postgres", "mariadb")
    with ExitStack() as servers:
        made: list[Daemon] = [
            Postgres(server_folder / "broken-postgres", tls=authority.issue(["localhost"])),
            MariaDB(server_folder / "broken-mariadb", tls=authority.issue(["localhost"])),
        ]
        postgres, mariadb = (servers.enter_context(server) for server in made)
        assert isinstance(postgres, Postgres)
        assert isinstance(mariadb, MariaDB)
        yield postgres, mariadb


@pytest.fixture
async def scene(
    world: World,
    server_folder: Path,
    sshd: Sshd,
    breakable: tuple[Postgres, MariaDB],
    authority: Authority,
) -> AsyncIterator[Scene]:
    """What a case of the matrix plays on; put back, and seen to be left by everybody, at the end."""
    played = Scene(world, server_folder, sshd, *breakable, authority)
    yield played
    await played.close()


@pytest.fixture
def world(tmp_path: Path, sshd: Sshd) -> Iterator[World]:
    """A user with empty files; what they install on the shared sshd is taken back."""
    user = World(tmp_path)
    yield user
    user.close()
    sshd.deauthorize()


@pytest.fixture
def make_sshd(server_folder: Path) -> Iterator[Callable[..., Sshd]]:
    """Start an sshd of the test's own; takes what :class:`Sshd` takes, but for the folder."""
    require("sshd")
    yield from _factory(Sshd, server_folder)


@pytest.fixture
def make_dropbear(server_folder: Path) -> Iterator[Callable[..., Dropbear]]:
    """Start a dropbear of the test's own; takes what :class:`Dropbear` takes, but for the folder."""
    require("dropbear")
    yield from _factory(Dropbear, server_folder)


@pytest.fixture
def make_pgbouncer(server_folder: Path) -> Iterator[Callable[..., PgBouncer]]:
    """Start a PgBouncer of the test's own; takes what :class:`PgBouncer` takes, but for the folder."""
    require("pgbouncer")
    yield from _factory(PgBouncer, server_folder)


@pytest.fixture
def make_postgres(server_folder: Path) -> Iterator[Callable[..., Postgres]]:
    """Start a PostgreSQL of the test's own; takes what :class:`Postgres` takes, but for the folder."""
    require("postgres")
    yield from _factory(Postgres, server_folder)


@pytest.fixture
def make_mariadb(server_folder: Path) -> Iterator[Callable[..., MariaDB]]:
    """Start a MariaDB of the test's own; takes what :class:`MariaDB` takes, but for the folder."""
    require("mariadb")
    yield from _factory(MariaDB, server_folder)


@pytest.fixture
def stand(
    world: World,
    sshd: Sshd,
    postgres: Postgres,
    make_sshd: Callable[..., Sshd],
    monkeypatch: pytest.MonkeyPatch,
) -> Stand:
    """Where a case of the matrix of failures stands."""
    return Stand(world, sshd, postgres, make_sshd, monkeypatch)


def _factory(kind: Callable[..., Server], base: Path) -> Iterator[Callable[..., Server]]:
    with ExitStack() as servers:

        def make(*arguments: object, **options: object) -> Server:
            folder = base / f"own-{next(_number)}"
            servers.callback(shutil.rmtree, folder, ignore_errors=True)
            server = kind(folder, *arguments, **options)
            servers.enter_context(server)
            return server

        yield make
