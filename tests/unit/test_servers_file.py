"""The file on disk: locked, atomic, merged onto what is there now, and never half written."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from canary_tui.servers import file as module
from canary_tui.servers.file import BadFile, NotListed, NotSaved, ServersFile, read
from canary_tui.servers.model import Database, Engine, PasswordEnv, Server, SshServer

TEXT = "# ours\nservers:\n- {name: a, engine: mysql, database: {host: h}, ssh: {host: j, user: u}}\n"


def server(name: str) -> Server:
    return Server(name=name, engine=Engine.MYSQL, database=Database(host="db", port=3306))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "servers.yaml"
    path.write_text(TEXT)
    return path


def left_over(path: Path) -> set[str]:
    return {entry.name for entry in path.parent.iterdir()} - {path.name, ".servers.yaml.lock"}


def test_the_first_server_makes_a_private_file_in_a_private_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "servers.yaml"
    fleet = ServersFile(path).add(server("a"))
    assert fleet == read(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_each_edit_returns_what_the_file_then_says(path: Path) -> None:
    file = ServersFile(path)
    assert file.add(server("b")).get("b") == server("b") == file.load().get("b")
    assert file.update("b", lambda *_: server("c")) == file.load()
    assert file.set_value("a", ("enabled",), False) == file.load()
    assert file.set_value("a", ("ssh", "local_port"), 15001) == file.load()
    assert file.set_value("a", ("ssh", "key"), "a") == file.load()
    assert file.set_value("a", ("database", "password"), PasswordEnv("X")) == file.load()
    first = file.load().servers[0]
    assert first.ssh == SshServer(host="j", user="u", key="a", local_port=15001)
    assert (first.enabled, first.database.password) == (False, PasswordEnv("X"))
    assert file.remove("c").get("c") is None
    assert path.read_text().startswith("# ours\nservers:\n- {name: a, enabled: false, engine: mysql")
    assert left_over(path) == set()


def test_a_path_that_is_none_is_refused(path: Path) -> None:
    for wrong in [("ssh", "nothing"), ("nothing",), ("name", "x"), ("a", "b"), ("ssh", "host", "x")]:
        with pytest.raises(KeyError):
            ServersFile(path).set_value("a", wrong, "x")
    with pytest.raises(NotListed):
        ServersFile(path).set_value("z", ("enabled",), True)
    assert path.read_text() == TEXT


def test_mode_link_and_byte_order_mark_stay(tmp_path: Path) -> None:
    target = tmp_path / "real.yaml"
    target.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    target.chmod(0o640)
    link = tmp_path / "servers.yaml"
    link.symlink_to("real.yaml")
    ServersFile(link).set_value("a", ("ssh", "port"), 2222)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    new = TEXT.replace("host: j, user", "host: j, port: 2222, user").replace("\n", "\r\n")
    assert target.read_bytes() == b"\xef\xbb\xbf" + new.encode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_the_group_stays(path: Path) -> None:
    os.chown(path, -1, 65534)
    ServersFile(path).add(server("b"))
    assert path.stat().st_gid == 65534


def test_a_wrong_file_is_not_touched(path: Path) -> None:
    path.write_text(TEXT + "history: nonsense\n")
    with pytest.raises(BadFile, match=r"servers.yaml:4: history"):
        ServersFile(path).add(server("b"))
    assert path.read_text() == TEXT + "history: nonsense\n"


def test_a_server_that_cannot_be_listed_is_not_written(path: Path) -> None:
    with pytest.raises(BadFile, match="another server too"):
        ServersFile(path).add(server("a"))
    assert path.read_text() == TEXT


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotSaved, match=f"servers.yaml was not changed: {os.strerror(number)}") as caught:
        ServersFile(path).add(server("b"))
    assert caught.value.errno == number
    assert path.read_text() == TEXT
    assert left_over(path) == set()


def test_a_read_only_folder_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(NotSaved, match="was not changed: Read-only file system"):
        ServersFile(path).remove("a")
    assert path.read_text() == TEXT


def test_a_folder_that_is_a_file_is_named(path: Path) -> None:
    with pytest.raises(NotSaved, match="was not changed: "):
        ServersFile(path / "servers.yaml").add(server("b"))


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    link = tmp_path / "servers.yaml"
    link.symlink_to(link)
    with pytest.raises((BadFile, NotSaved), match="symbolic links"):
        ServersFile(link).add(server("b"))


def test_an_edit_that_changes_nothing_writes_nothing(path: Path) -> None:
    file = ServersFile(path)
    before = file.signature()
    file.set_value("a", ("enabled",), True)
    assert file.signature() == before


def test_the_signature_changes_with_the_file(path: Path) -> None:
    file = ServersFile(path)
    seen = {file.signature()}
    file.set_value("a", ("enabled",), False)
    seen.add(file.signature())
    path.unlink()
    seen.add(file.signature())
    path.write_text("servers: []\n")
    seen.add(file.signature())
    assert len(seen) == 4


def test_a_lock_that_is_never_released_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_TIME_LIMIT", 0.05)
    with path.with_name(".servers.yaml.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(NotSaved, match="another program holds"):
            ServersFile(path).add(server("b"))


def test_edits_from_many_threads_all_arrive(path: Path) -> None:
    names = [f"t{number}" for number in range(12)]
    threads = [threading.Thread(target=ServersFile(path).add, args=(server(name),)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.name for one in read(path).servers} == {"a", *names}


def test_a_change_saved_by_an_editor_in_between_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, outside = os.fsync, ["host: other"]

    def meanwhile(descriptor: int) -> None:
        real(descriptor)
        if outside:
            path.write_text(TEXT.replace("host: j", outside.pop()))

    monkeypatch.setattr(os, "fsync", meanwhile)
    ServersFile(path).set_value("a", ("enabled",), False)
    found = read(path).servers[0]
    assert found.ssh == SshServer(host="other", user="u")
    assert found.enabled is False
    assert left_over(path) == set()
