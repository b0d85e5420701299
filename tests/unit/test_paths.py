"""Where a user's things are kept: another servers file is another world."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from canary_tui.monitor.lock import Lock
from canary_tui.paths import Paths
from canary_tui.servers.model import NAME_PATTERN


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folders."""
    for name in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name.lower()))
    monkeypatch.delenv("CANARY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_files_are_monitored_side_by_side_and_share_only_keys_and_known_hosts(home: Path) -> None:
    usual, mine, other = (Paths.of_user(file) for file in (None, home / "b.yaml", home / "c" / "b.yaml"))
    assert len({paths.state for paths in (usual, mine, other)}) == 3
    assert len({paths.runtime for paths in (usual, mine, other)}) == 3
    assert {(paths.keys, paths.known_hosts) for paths in (mine, other)} == {(usual.keys, usual.known_hosts)}
    locks = [Lock(paths) for paths in (usual, mine, other)]
    try:
        assert [lock.acquire() for lock in locks] == [None, None, None]
        assert Lock(Paths.of_user(home / "b.yaml")).acquire() == locks[1].signature
    finally:
        for lock in locks:
            lock.release()


def test_one_file_is_one_world_however_it_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / "b.yaml"
    file.write_text("servers: []\n")
    (home / "link.yaml").symlink_to(file)
    monkeypatch.setenv("HOME", str(home))
    named = [Paths.of_user(Path(name)) for name in (str(file), "b.yaml", "~/b.yaml", "link.yaml")]
    monkeypatch.setenv("CANARY_CONFIG", str(file))
    assert len({(paths.state, paths.runtime) for paths in (*named, Paths.of_user())}) == 1


def test_the_usual_file_is_the_usual_world_however_it_is_named(home: Path) -> None:
    usual = Paths.of_user()
    usual.servers.parent.mkdir(parents=True)
    kept = home / "dotfiles.yaml"
    kept.write_text("servers: []\n")
    usual.servers.symlink_to(kept)
    assert Paths.of_user(usual.servers) == usual
    assert Paths.of_user(kept).state == usual.state
    assert Paths.of_user(kept).runtime == usual.runtime


@pytest.mark.parametrize("name", ["staging.yaml", ".yaml", "über alles.yml", "x" * 250, "\udcff.yaml"])
def test_the_folder_of_another_file_is_told_by_its_name_and_short(home: Path, name: str) -> None:
    usual, paths = Paths.of_user(), Paths.of_user(home / name)
    assert paths.state.parent == usual.state
    assert len(bytes(paths.state.name, "ascii")) <= 41
    assert paths.state.name[0].isalnum()
    assert len(bytes(paths.runtime.name, "ascii")) <= 9, "a socket's path may have 107 bytes"
    if name == "staging.yaml":
        assert paths.state.name.startswith("staging-")


def test_the_sockets_of_another_file_are_in_no_folder_of_a_server(home: Path) -> None:
    usual, paths = Paths.of_user(), Paths.of_user(home / "b.yaml")
    assert paths.runtime.parent == usual.runtime
    assert not re.match(NAME_PATTERN, paths.runtime.name)
