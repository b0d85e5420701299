"""Who may use the local end: its own user and those that the settings name, root or not."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.events import TunnelState
from canary_tui.servers.model import Listen
from tests.harness.ports import eventually
from tests.servers.held_tunnel import held_tunnel, mysql, psql
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tell")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_there(path: Path) -> bool:
    return path.exists()


@contextmanager
def open_to_all(path: Path, folder: Path) -> Iterator[None]:
    """Move a socket to where everybody gets to it."""
    moved = path.rename(folder / path.name)
    moved.chmod(0o777)
    try:
        yield
    finally:
        moved.unlink()


@as_root
async def test_another_user_is_not_served_and_is_named_in_the_log(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    async with held_tunnel(world, world.server(postgres, sshd)) as at_work:
        await at_work.until(TunnelState.UP)
        said = await psql(postgres, f"host=127.0.0.1 port={at_work.port}", user="nobody")
        assert "server closed the connection unexpectedly" in said
        uid = pwd.getpwnam("nobody").pw_uid
        assert f"a client of another user (nobody, uid {uid}, port " in at_work.refused[0]
        assert "canary-tui" not in said, "strangers are told nothing"


@as_root
async def test_a_user_that_the_settings_name_is_served(world: World, sshd: Sshd, postgres: Postgres) -> None:
    server = with_ssh(world.server(postgres, sshd), allow_users=("nobody",))
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.UP)
        assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}", user="nobody") == "hello"
        assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}") == "hello", "and so are we"
        assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}", user="daemon") != "hello"
        assert [reason.partition(",")[0] for reason in at_work.refused] == [
            "a client of another user (daemon"
        ]


async def test_an_account_that_was_removed_lets_nobody_in(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = with_ssh(world.server(postgres, sshd), allow_users=("nobody-knows-them",))
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.UP)
        assert await psql(postgres, f"host=127.0.0.1 port={at_work.port}") == "hello"


async def test_psql_finds_the_socket_in_its_folder(world: World, sshd: Sshd, postgres: Postgres) -> None:
    async with held_tunnel(world, with_ssh(world.server(postgres, sshd), listen=Listen.SOCKET)) as at_work:
        await at_work.until(TunnelState.UP)
        path = Path(at_work.supervisor.local)
        assert mode_of(path.parent) == 0o700
        assert await psql(postgres, f"host={path.parent} port={postgres.port}") == "hello"
    assert not is_there(path), "what was bound is taken away"


async def test_mysql_uses_the_socket(world: World, sshd: Sshd, mariadb: MariaDB) -> None:
    async with held_tunnel(world, with_ssh(world.server(mariadb, sshd), listen=Listen.SOCKET)) as at_work:
        await at_work.until(TunnelState.UP)
        assert await mysql(mariadb, [f"--socket={at_work.supervisor.local}"]) == "hello"


@as_root
async def test_another_user_does_not_get_to_the_socket_even_when_its_folder_is_opened(
    world: World, sshd: Sshd, postgres: Postgres, server_folder: Path
) -> None:
    with_socket = with_ssh(world.server(postgres, sshd), listen=Listen.SOCKET)
    async with held_tunnel(world, with_socket) as at_work:
        await at_work.until(TunnelState.UP)
        path = Path(at_work.supervisor.local)
        address = f"host={path.parent} port={postgres.port}"
        assert "Permission denied" in await psql(postgres, address, user="nobody")
        with open_to_all(path, server_folder):
            said = await psql(postgres, f"host={server_folder} port={postgres.port}", user="nobody")
        assert "server closed the connection unexpectedly" in said
        assert "a client of another user (nobody, uid " in at_work.refused[0]


async def test_a_socket_that_another_process_serves_is_not_taken_from_it(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = with_ssh(world.server(postgres, sshd), listen=Listen.SOCKET)
    async with held_tunnel(world, server) as first:
        await first.until(TunnelState.UP)
        async with held_tunnel(world, server) as second:
            await second.until(TunnelState.WAITING)
            assert second.supervisor.failure is not None
            assert second.supervisor.failure.cause.value == "local_port_taken"
            async with held_tunnel(
                world, server, any_port=True
            ) as third:  # canary connect, beside the monitor
                await third.until(TunnelState.UP)
                folder = Path(third.supervisor.local).parent
                assert await psql(postgres, f"host={folder} port={postgres.port}") == "hello"
        folder = Path(first.supervisor.local).parent
        assert await psql(postgres, f"host={folder} port={postgres.port}") == "hello"


async def test_a_socket_that_was_left_behind_is_replaced(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    folder = world.paths.runtime / "orders"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(folder / f".s.PGSQL.{postgres.port}"))
    async with held_tunnel(world, with_ssh(world.server(postgres, sshd), listen=Listen.SOCKET)) as at_work:
        await at_work.until(TunnelState.UP)
        await eventually(lambda: at_work.supervisor.local)
        assert await psql(postgres, f"host={folder} port={postgres.port}") == "hello"
