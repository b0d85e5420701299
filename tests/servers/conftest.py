"""The real servers: shared ones, started when first asked for, and factories for tests that break them."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from canary_tui.monitor.event_flow import EventFlow
from canary_tui.monitor.events import AnyEvent
from canary_tui.monitor.local_ports import FIRST_PORTS
from canary_tui.servers.model import Server
from tests.harness.accounts import remove_login_account
from tests.harness.certs import Authority, Certificate
from tests.harness.daemon import Daemon
from tests.harness.dropbear import Dropbear
from tests.harness.folders import workspace
from tests.harness.mariadb import MariaDB
from tests.harness.needs import require
from tests.harness.pgbouncer import PgBouncer
from tests.harness.postgres import Postgres
from tests.harness.sshd import Sshd
from tests.servers.breakable import Breakable
from tests.servers.cli import Canary
from tests.servers.failure_case import FailureCase
from tests.servers.world import World

AnyDaemon = TypeVar("AnyDaemon", bound=Daemon)
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


@pytest.fixture(autouse=True)
def _no_event_within_an_event(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No fold, and nobody who listens, emits anything while an event is being taken."""
    take, taking, nested = EventFlow.take, set[int](), list[AnyEvent]()

    def watched(flow: EventFlow, event: AnyEvent) -> None:
        if id(flow) in taking:
            nested.append(event)
        taking.add(id(flow))
        try:
            take(flow, event)
        finally:
            taking.discard(id(flow))

    monkeypatch.setattr(EventFlow, "take", watched)
    yield
    assert not nested


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
def certificate(authority: Authority) -> Certificate:
    """What stand-ins show in TLS, for the name of the shared databases."""
    return authority.issue([DATABASE_NAME])


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
def breakable(server_folder: Path, authority: Authority) -> Iterator[Breakable]:
    """The databases that a test may break, when it mends them again."""
    databases = Breakable(server_folder, authority)
    yield databases
    databases.close()


@pytest.fixture
def failure_case(
    world: World,
    sshd: Sshd,
    postgres: Postgres,
    server_folder: Path,
    authority: Authority,
    make_sshd: Callable[..., Sshd],
    breakable: Breakable,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FailureCase]:
    """A case of the matrix of failures; all is put back, and seen to be left by everybody, at the end."""
    case = FailureCase(
        world,
        sshd,
        postgres,
        folder=server_folder,
        authority=authority,
        make_sshd=make_sshd,
        breakable=breakable,
        monkeypatch=monkeypatch,
    )
    yield case
    case.close()


@pytest.fixture
def world(tmp_path: Path, sshd: Sshd) -> Iterator[World]:
    """A user with empty files; what they install on the shared sshd is taken back."""
    user = World(tmp_path)
    yield user
    user.close()
    sshd.deauthorize()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all examples of a test."""
    with asyncio.Runner() as one:
        yield one


@pytest.fixture
def canary(world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Canary:
    """Commands in this process, on the user's files."""
    return Canary(world, monkeypatch, capfd)


@pytest.fixture
def home(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    folder = world.folder / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def server(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    """A server that works with its first key, in the servers file."""
    made = world.server(postgres, sshd)
    world.write(made)
    return made


@pytest.fixture
def make_sshd(server_folder: Path) -> Iterator[Callable[..., Sshd]]:
    """Start an sshd of the test's own; takes what :class:`Sshd` takes, but for the folder."""
    require("sshd")
    yield from _factory(Sshd, server_folder)


@pytest.fixture
def own_sshd(make_sshd: Callable[..., Sshd]) -> Sshd:
    """An sshd that nobody else uses."""
    return make_sshd()


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


def _factory(kind: Callable[..., AnyDaemon], base: Path) -> Iterator[Callable[..., AnyDaemon]]:
    with ExitStack() as servers:

        def make(*arguments: object, **options: object) -> AnyDaemon:
            folder = base / f"own-{next(_number)}"
            servers.callback(shutil.rmtree, folder, ignore_errors=True)
            server = kind(folder, *arguments, **options)
            servers.enter_context(server)
            return server

        yield make
