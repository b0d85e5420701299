"""What is shipped, and what is imported before the first thing is shown."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
LIMIT = 60.0
HEAVY = {"asyncssh", "asyncpg", "aiomysql", "pymysql", "yaml", "cryptography", "textual", "keyring"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from this checkout without a network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=LIMIT,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> set[str]:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist(built: Path) -> set[str]:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def sheets() -> set[str]:
    found = {path.name for path in (ROOT / "styles").glob("*.tcss")}
    assert "canary.tcss" in found
    return found


def test_the_wheel_holds_the_styles_and_the_example(wheel: set[str]) -> None:
    assert {f"canary_tui/styles/{sheet}" for sheet in sheets()} <= wheel
    assert "canary_tui/servers.example.yaml" in wheel
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_the_wheel_holds_every_module_and_nothing_else(wheel: set[str]) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "canary_tui").rglob("*.py")}
    assert modules <= wheel
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"canary_tui"}


def test_the_sdist_holds_what_a_build_and_a_test_run_need(sdist: set[str]) -> None:
    assert {f"styles/{sheet}" for sheet in sheets()} <= sdist
    assert {
        "servers.example.yaml", "pyproject.toml", "README.md", "LICENSE", "Makefile", "constraints.txt",
        "canary_tui/cli/main.py", "tests/conftest.py",
    } <= sdist  # fmt: skip


def test_an_installed_wheel_finds_its_styles(built: Path, tmp_path: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)  # noqa: S202 - built a moment ago
    code = "from canary_tui.tui.styles import style_sheets; print(*style_sheets(), sep='\\n')"
    found = python(code, cwd=tmp_path).splitlines()
    assert {Path(line) for line in found} == {tmp_path / "canary_tui" / "styles" / s for s in sheets()}


def python(code: str, *, cwd: Path = ROOT) -> str:
    """Run a program in a fresh interpreter that sees ``cwd`` first, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_by(arguments: Sequence[str]) -> set[str]:
    """Return the top-level packages in memory after a command line has run."""
    code = (
        "import sys\n"
        "from canary_tui.cli.main import run\n"
        f"status = run({list(arguments)!r})\n"
        "print('\\nLOADED', *{name.partition('.')[0] for name in sys.modules})\n"
        "sys.exit(status)\n"
    )
    return set(python(code).rpartition("LOADED ")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    assert not imported_by(arguments) & HEAVY


def test_probe_never_imports_textual(tmp_path: Path) -> None:
    empty = tmp_path / "servers.yaml"
    empty.write_text("")
    loaded = imported_by(["--config", str(empty), "probe"])
    assert "yaml" in loaded, "the file was read"
    assert not loaded & {"textual", "rich", "textual_plotext"}


def test_list_needs_neither_ssh_nor_database_libraries(tmp_path: Path) -> None:
    empty = tmp_path / "servers.yaml"
    empty.write_text("")
    loaded = imported_by(["--config", str(empty), "list"])
    assert not loaded & {"asyncssh", "asyncpg", "aiomysql", "pymysql", "cryptography", "textual"}


SCREEN = """
import asyncio, sys
from pathlib import Path

from canary_tui.monitor.local import LocalMonitor
from canary_tui.paths import Paths
from canary_tui.tui.app import CanaryApp

paths = Paths.below(Path(FOLDER))

async def main():
    monitor = LocalMonitor(paths)
    app = CanaryApp(monitor, paths.state)
    monitor.start()
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            async with asyncio.timeout(30):
                while not app.facts.rows:
                    await pilot.pause()
            await pilot.pause()
    finally:
        monitor.stop(3.0)

asyncio.run(main())
print(*sorted({"asyncssh", "asyncpg", "aiomysql", "pymysql", "cryptography"} & set(sys.modules)))
"""


def test_the_list_is_painted_without_ssh_and_database_libraries(tmp_path: Path) -> None:
    """Only what is open needs them: nothing is, in this list."""
    (tmp_path / "servers.yaml").write_text(
        "servers: [{name: shop, engine: mysql, enabled: false, database: {host: 127.0.0.1, port: 1}}]\n"
    )
    assert python(SCREEN.replace("FOLDER", repr(str(tmp_path)))) == "\n"
