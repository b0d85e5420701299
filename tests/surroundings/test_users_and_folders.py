"""No HOME, no account, ``~user`` of nobody, folders that cannot be used: one sentence and a status."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.surroundings.canary import Home, direct, fleet

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
NOBODY = 54_321
"""A user id without an account."""
EVERY: tuple[list[str], ...] = (["list"], ["probe"], ["key", "a"], ["log"], ["watch"], ["connect", "a"], [])
TUNNELLED = """\
  - name: tunnelled
    engine: postgresql
    database: {host: 127.0.0.1, port: 1}
    ssh: {host: 127.0.0.1, port: 1, user: me, key: KEY}
"""


@pytest.fixture
def nobodys() -> Iterator[Home]:
    """A folder of a user who has no account, and no HOME."""
    folder = Path(tempfile.mkdtemp(prefix="canary-nobody-"))
    os.chown(folder, NOBODY, NOBODY)
    yield Home(folder, {"HOME": ""})
    shutil.rmtree(folder)


@as_root
@pytest.mark.parametrize("command", EVERY, ids=str)
def test_who_has_neither_home_nor_account_is_told_so(nobodys: Home, command: list[str]) -> None:
    ended = nobodys.run(*command, variables={"HOME": None}, uid=NOBODY)
    assert ended.status == 2
    assert f"this user (uid {NOBODY}) has no home folder; set HOME, or XDG_CONFIG_HOME" in ended.sentence


@as_root
@pytest.mark.parametrize("home", ["", "relative", "/nonexistent"])
def test_a_home_that_is_no_place_is_none(nobodys: Home, home: str) -> None:
    ended = nobodys.run("list", variables={"HOME": home}, uid=NOBODY)
    assert ended.status == 2
    assert "has no home folder" in ended.sentence


@as_root
def test_without_home_and_account_config_and_xdg_are_enough(nobodys: Home) -> None:
    names = ("XDG_DATA_HOME", "XDG_STATE_HOME")
    known: dict[str, Any] = {"variables": dict.fromkeys(names, str(nobodys.folder)), "uid": NOBODY}
    config = ("--config", str(nobodys.folder / "mine.yaml"))
    added = ("--engine", "mysql", "--db-host", "127.0.0.1", "--db-port", "1")
    assert nobodys.run(*config, "add", "plain", *added, **known).status == 0
    unnamed = nobodys.run(*config, "add", "far", *added, "--ssh-host", "127.0.0.1", **known)
    assert unnamed.status == 2
    assert b"--ssh-user is needed: this user has no account" in unnamed.err
    tunnel = ("--ssh-host", "127.0.0.1", "--ssh-port", "1", "--ssh-user", "me")
    assert nobodys.run(*config, "add", "far", *added, *tunnel, **known).status == 0
    assert nobodys.run(*config, "key", "far", **known).out.startswith(b"restrict,")
    probed = nobodys.run(*config, "probe", **known)
    assert probed.status == 1
    assert probed.out.count(b"refuses the connection") == 2
    assert probed.err == b""
    assert nobodys.run(*config, "connect", "plain", "--", "true", **known).status == 0
    assert nobodys.run(*config, "connect", "far", "--", "true", **known).status == 125
    assert nobodys.run(*config, "remove", "far", "--yes", **known).status == 0


@as_root
def test_an_account_without_home_variable_uses_the_accounts_home(nobodys: Home) -> None:
    ended = nobodys.run("list", variables={"HOME": None})
    assert ended.status == 0
    assert b"/root/.config" in ended.err or ended.out, "root's own"


WHO = "~canary-nobody-at-all"


def test_a_key_of_nobody_is_a_failure_in_settings_everywhere(home: Home) -> None:
    home.write(fleet(TUNNELLED.replace("KEY", f"{WHO}/.ssh/id"), direct()))
    wrong = f"ssh.key: {WHO}/.ssh/id: there is no user {WHO[1:]} on this machine"
    probed = home.run("probe", "--json", "tunnelled")
    assert probed.status == 1
    assert b'"stage":"settings","cause":"settings_invalid"' in probed.out
    assert wrong.encode() in probed.out
    for command in (["key"], ["audit"]):
        ended = home.run(*command, "tunnelled")
        assert (ended.status, wrong in ended.sentence) == (1, True), ended
    for more, status in (([], 1), (["--", "true"], 125)):
        connected = home.run("connect", "tunnelled", *more)
        assert connected.status == status
        assert wrong.encode() in connected.err
        assert b"Traceback" not in connected.err


def test_a_key_of_nobody_is_in_nobody_elses_way(home: Home) -> None:
    home.write(fleet(TUNNELLED.replace("KEY", f"{WHO}/.ssh/id")))
    tunnel = ("--ssh-host", "127.0.0.1", "--ssh-port", "1", "--ssh-user", "me")
    assert home.run("add", "other", "--engine", "mysql", "--db-host", "h", *tunnel).status == 0
    assert home.run("rotate", "other").status == 0
    assert home.run("rotate", "other", "--cancel").status == 0
    removed = home.run("remove", "other", "--yes")
    assert removed.status == 0
    assert b"Its key is kept at" in removed.err
    assert home.run("remove", "tunnelled", "--yes").status == 0


@pytest.mark.parametrize("tls", ["verify-ca", "verify-full", "require"])
def test_a_ca_file_of_nobody_is_a_failure_in_settings(home: Home, tls: str) -> None:
    database = f"{{host: 127.0.0.1, port: 1, tls: {tls}, ca_file: {WHO}/ca.pem}}"
    home.write(f"servers: [{{name: a, engine: mysql, database: {database}}}]")
    probed, connected = home.run("probe", "--json"), home.run("connect", "a", "--", "true")
    assert probed.status == 1
    assert connected.status == 125
    assert f"there is no user {WHO[1:]}" in connected.sentence
    if tls != "require":  # it asks no authority
        assert b'"cause":"ca_file_unreadable"' in probed.out


@pytest.mark.parametrize("command", [["list"], ["watch"]], ids=str)
def test_a_config_of_nobody_is_wrong_usage(home: Home, command: list[str]) -> None:
    by_option = home.run("--config", f"{WHO}/s.yaml", *command)
    by_variable = home.run(*command, variables={"CANARY_CONFIG": f"{WHO}/s.yaml"})
    for ended in (by_option, by_variable):
        assert ended.status == 2
        assert ended.sentence == f"{WHO}/s.yaml: there is no user {WHO[1:]} on this machine"


def test_home_in_paths_is_ones_own_and_other_users(home: Home) -> None:
    (home.folder / "mine.yaml").write_text(fleet(direct("mine")))
    assert b"mine" in home.run("--config", "~/mine.yaml", "list").out
    assert home.run("--config", "~root/of-no-interest.yaml", "list").status in {0, 2}


@pytest.mark.parametrize("kind", ["missing", "file"])
@pytest.mark.parametrize("command", [["probe"], ["log"]], ids=str)
def test_a_home_that_is_none_says_so_or_is_empty(tmp_path: Path, command: list[str], kind: str) -> None:
    place = tmp_path / "gone"
    if kind == "file":
        place.write_text("no folder")
    user = Home(place)
    ended = user.run(*command, cwd=tmp_path)
    assert b"Traceback" not in ended.err
    assert (ended.status, bool(ended.err)) in {(0, True), (2, True)}


def test_what_writes_into_a_home_that_is_a_file_ends_with_two(tmp_path: Path) -> None:
    place = tmp_path / "gone"
    place.write_text("no folder")
    for command in (["add", "a", "--engine", "mysql", "--db-host", "h"], ["watch"]):
        ended = Home(place).run(*command, cwd=tmp_path)
        assert ended.status == 2
        assert str(place) in ended.sentence


@as_root
def test_a_state_folder_that_cannot_be_written_ends_watch_and_no_probe(nobodys: Home) -> None:
    nobodys.write(fleet(direct()))
    (nobodys.folder / ".local").mkdir(mode=0o755)
    known: dict[str, Any] = {"variables": {"HOME": str(nobodys.folder)}, "uid": NOBODY}
    ended = nobodys.run("watch", **known)
    assert ended.status == 2
    assert "Permission denied" in ended.sentence
    assert nobodys.run("probe", **known).status == 1
    assert nobodys.run("list", **known).out.startswith(b"NAME")


def test_a_folder_that_is_gone_under_us_harms_no_command(home: Home) -> None:
    gone = "mkdir here && cd here && rmdir ../here"
    ended = home.shell(f"{gone} && canary list && canary probe; echo $?; canary --config x.yaml list")
    assert ended.status == 2
    assert b"orders" in ended.out
    assert ended.out.endswith(b"\n1\n")
    assert "No such file or directory" in ended.sentence


@pytest.mark.parametrize("umask", ["000", "022", "077", "0777"])
def test_any_umask_leaves_private_files_that_can_be_read_again(home: Home, umask: str) -> None:
    tunnel = "--ssh-host 127.0.0.1 --ssh-port 1 --ssh-user me"
    added = (
        f"canary add far --engine mysql --db-host h {tunnel} >/dev/null && canary key far && canary probe far"
    )
    ended = home.shell(f"umask {umask}; {added}")
    assert ended.status == 1, ended
    assert ended.out.startswith(b"restrict,")
    for path in (home.folder / ".local").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.suffix == ".pub", path
        assert path.stat().st_mode & 0o400, path


@pytest.mark.parametrize("name", [b"\xff\xfe.yaml", "ü–x.yaml".encode()])
def test_any_file_name_may_be_given_and_is_named_back(home: Home, name: bytes) -> None:
    path = os.fsencode(home.folder) + b"/" + name
    empty = home.run(b"--config", path, "list")
    assert empty.status == 0
    assert "No servers yet in" in empty.sentence
    Path(os.fsdecode(path)).write_text("servers: 3\n")
    wrong = home.run(b"--config", path, "probe")
    assert wrong.status == 2
    assert b"Traceback" not in wrong.err
    assert b"servers" in wrong.err
