"""The demo is what it says it is, keeps to its folder, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiomysql
import asyncpg
import asyncssh
import pytest

from canary_tui.demo.fleet import DemoFleet
from tests.harness.needs import needs_mariadb
from tests.servers.demos import CHECKOUT, NAMES, entry_of, needs_demo, processes_in, query, ssh_to, state_of

pytestmark = needs_demo


@pytest.fixture(scope="module")
def fleet() -> Iterator[DemoFleet]:
    """One demo for the tests that only look at it."""
    with DemoFleet() as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
async def test_each_server_is_in_the_state_that_it_announces(fleet: DemoFleet, name: str) -> None:
    announced = {server.name: server.expected for server in fleet.servers}
    assert await state_of(fleet, name) == announced[name]


@needs_mariadb
async def test_mariadb_joins_where_the_machine_has_one(fleet: DemoFleet) -> None:
    assert [server.name for server in fleet.servers] == [*NAMES, "shop"]
    assert await state_of(fleet, "shop") == "ok"
    assert len(await query(fleet, "shop", "select name from products")) == 3
    with pytest.raises(aiomysql.OperationalError):
        await query(fleet, "shop", "create table more (id int)")


async def test_the_orders_can_be_seen_and_not_changed(fleet: DemoFleet) -> None:
    assert len(await query(fleet, "orders", "select customer, item from orders")) == 5
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(fleet, "orders", "delete from orders")


async def test_reports_takes_longer_than_it_should(fleet: DemoFleet) -> None:
    entry = entry_of(fleet, "reports")
    assert entry["probe"]["slow_after"] == "250ms"
    database = entry["database"]
    async with ssh_to(fleet, "reports") as connection:
        reader, writer = await connection.open_connection(database["host"], database["port"])
        asked = time.monotonic()
        writer.write(b"\0\0\0\x08\x04\xd2\x16\x2f")  # SSLRequest
        assert await reader.readexactly(1) == b"N"
        assert time.monotonic() - asked > 0.25  # a lower limit: no load makes it fail


async def test_installing_the_legacy_key_mends_it(fleet: DemoFleet) -> None:
    authorized_keys = fleet.folder / "authorized_keys"
    before = authorized_keys.read_text()
    authorized_keys.write_text(before + (fleet.paths.keys / "legacy.pub").read_text())
    try:
        assert await state_of(fleet, "legacy") == "ok"
        async with ssh_to(fleet, "legacy") as connection:  # a line without limits: the server has its own
            for target in [
                ("127.0.0.1", 22),
                ("localhost", entry_of(fleet, "inventory")["database"]["port"]),
            ]:
                with pytest.raises(asyncssh.ChannelOpenError) as refused:
                    await connection.open_connection(*target)
                assert refused.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
    finally:
        authorized_keys.write_text(before)
    assert await state_of(fleet, "legacy") == "key_not_accepted"


async def test_the_ssh_server_refuses_everything_but_the_servers_own_database(fleet: DemoFleet) -> None:
    async with ssh_to(fleet, "orders") as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("id")
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 9)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_path(str(fleet.folder / "reverse"), "/nowhere")
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection(str(fleet.folder / "mariadb" / "sock"))
        another = entry_of(fleet, "payroll")["database"]
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await connection.open_connection(another["host"], another["port"])
        assert refused.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED


async def test_only_keys_and_only_one_user_log_in(fleet: DemoFleet) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await ssh_to(fleet, "orders", username="root")
    with pytest.raises(asyncssh.PermissionDenied):
        await ssh_to(fleet, "orders", client_keys=None, password="canary")
    ssh = entry_of(fleet, "orders")["ssh"]
    methods = await asyncssh.get_server_auth_methods(ssh["host"], ssh["port"], ssh["user"], config=None)
    assert list(methods) == ["publickey"]


def test_files_are_private(fleet: DemoFleet) -> None:
    ours = [path for path in fleet.folder.rglob("*") if path.lstat().st_uid == os.geteuid()]
    program = fleet.folder / "program"
    for path in ours:
        if not path.is_relative_to(program):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(fleet.folder.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)
    assert {path.name for path in fleet.paths.keys.iterdir()} >= {"orders", "orders.pub", "legacy"}


def test_no_password_is_in_a_file_or_in_a_command_line(fleet: DemoFleet) -> None:
    password = os.environ["CANARY_DEMO_PASSWORD"].encode()
    small = [path for path in fleet.folder.glob("*") if path.is_file()]
    assert small
    assert not [path for path in small if password in path.read_bytes()]
    processes = processes_in(fleet.folder)
    assert processes
    assert not [pid for pid in processes if password in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_a_second_demo_runs_beside_the_first_and_then_is_gone(fleet: DemoFleet) -> None:
    environment = dict(os.environ)
    said: list[str] = []
    with suppress(KeyError), DemoFleet(said.append) as second:
        assert second.folder != fleet.folder
        assert await state_of(second, "orders") == "ok"
        assert await state_of(fleet, "orders") == "ok"
        raise KeyError("on purpose")
    assert said
    assert not second.folder.exists()
    assert not processes_in(second.folder)
    assert dict(os.environ) == environment
    assert await state_of(fleet, "orders") == "ok"


def test_the_databases_keep_their_shared_memory_in_the_folder(fleet: DemoFleet) -> None:
    processes = processes_in(fleet.folder)
    assert processes
    for pid in processes:
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert "/dev/shm/" not in mapped  # noqa: S108 - only looked for


def test_the_folder_of_a_living_demo_is_not_swept(fleet: DemoFleet) -> None:
    script = "import sys, pathlib; from canary_tui.demo.folder import sweep; sweep(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", script, str(fleet.folder.parent)], check=True, cwd=CHECKOUT)
    assert fleet.paths.servers.exists()
