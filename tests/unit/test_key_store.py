"""The keys folder: private from the first byte, never overwritten, never silently mended."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.keys.store import KeyStore
from canary_tui.paths import create_file
from canary_tui.servers.model import Database, Engine, Server, SshServer
from tests.unit.spoilt_keys import UNUSABLE, keygen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


COMMENT = "querycanary.com"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "data" / "canary-tui" / "keys")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def server(key: str = "") -> Server:
    ssh = SshServer(host="bastion", user="ssh_user", key=key)
    return Server(name="orders", engine=Engine.POSTGRESQL, database=Database(host="db", port=5432), ssh=ssh)


def test_files_and_folders_are_private_whatever_the_umask(store: KeyStore, umask: int) -> None:
    key = store.create("orders", COMMENT)
    assert (mode(key.path), mode(store.folder / "orders.pub")) == (0o600, 0o600)
    for folder in (store.folder, store.folder.parent, store.folder.parent.parent):
        assert mode(folder) == 0o700


def test_files_are_private_from_their_first_byte(
    store: KeyStore, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    sync = os.fsync

    def look(descriptor: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        sync(descriptor)

    monkeypatch.setattr("canary_tui.paths.os.fsync", look)
    store.create("orders", COMMENT)
    assert set(seen) == {0o600, 0o700}


def test_the_public_line_has_its_three_fields(store: KeyStore) -> None:
    key = store.create("orders", COMMENT)
    kind, data, comment = key.line.split()
    assert (kind, comment) == ("ecdsa-sha2-nistp256", COMMENT)
    assert data.startswith("AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABB")
    assert (store.folder / "orders.pub").read_text().strip() == key.line


def test_ssh_keygen_accepts_both_files(store: KeyStore) -> None:
    key = store.create("orders", COMMENT)
    for path in (key.path, store.folder / "orders.pub"):
        bits, fingerprint, comment, kind = keygen("-l", "-f", path).split()
        assert (bits, fingerprint, comment, kind) == ("256", key.fingerprint, COMMENT, "(ECDSA)")
    assert keygen("-y", "-f", key.path).split()[:2] == key.line.split()[:2]


def test_each_server_has_a_key_of_its_own(store: KeyStore) -> None:
    assert store.create("a", COMMENT).fingerprint != store.create("b", COMMENT).fingerprint


@pytest.mark.parametrize("standing", ["orders", "orders.pub"])
def test_a_key_is_never_overwritten(store: KeyStore, standing: str) -> None:
    store.folder.mkdir(parents=True)
    path = store.folder / standing
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="never overwritten"):
        store.create("orders", COMMENT)
    assert path.read_text() == "precious"
    assert names(store.folder) == [standing]


def test_the_private_key_shows_nowhere(store: KeyStore) -> None:
    key = store.create("orders", COMMENT)
    assert repr(key) == f"StoredKey({key.path}, {key.fingerprint})"


@pytest.mark.parametrize(("spoil", "cause", "words"), UNUSABLE, ids=[case[0].__name__ for case in UNUSABLE])
def test_a_key_file_that_cannot_be_used_is_named(
    store: KeyStore, spoil: Callable[[Path], None], cause: Cause, words: str
) -> None:
    path = store.create("orders", COMMENT).path
    spoil(path)
    with pytest.raises(Failed) as caught:
        store.load(path)
    assert (caught.value.cause, caught.value.stage) == (cause, Stage.SETTINGS)
    assert str(path) in caught.value.detail
    assert words in caught.value.detail
    assert caught.value.facts["key_path"] == str(path)


def test_a_key_that_others_may_read_is_not_silently_mended(store: KeyStore) -> None:
    path = store.create("orders", COMMENT).path
    path.chmod(0o640)
    with pytest.raises(Failed):
        store.load(path)
    assert mode(path) == 0o640


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes: what a full disk does, without one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_is_full_leaves_nothing_behind(store: KeyStore) -> None:
    store.folder.mkdir(parents=True)
    with files_of_at_most(64), pytest.raises(OSError, match="File too large"):
        store.create("orders", COMMENT)
    assert names(store.folder) == []


def test_a_disk_that_fills_up_between_the_two_files_leaves_no_half_key(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_for_public(path: Path, data: bytes) -> None:
        if path.suffix == ".pub":
            raise OSError(errno.ENOSPC, "No space left on device")
        create_file(path, data)

    monkeypatch.setattr("canary_tui.keys.store.create_file", full_for_public)
    with pytest.raises(OSError, match="No space left"):
        store.create("orders", COMMENT)
    assert names(store.folder) == []
    monkeypatch.undo()
    assert store.create("orders", COMMENT).path.exists()


def test_a_folder_that_cannot_be_written_is_one_clear_failure(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_arguments: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system", "/keys")

    monkeypatch.setattr("canary_tui.paths.os.open", read_only)
    with pytest.raises(Failed) as caught:
        store.of_server(server(), COMMENT)
    assert caught.value.cause is Cause.KEY_UNREADABLE
    assert "Read-only file system" in caught.value.detail


def test_the_key_of_a_server_without_an_entry_is_made_once(store: KeyStore) -> None:
    first, entry_to_write = store.of_server(server(), COMMENT)
    again, still_to_write = store.of_server(server(), COMMENT)
    assert entry_to_write
    assert still_to_write, "the entry is not written yet"
    assert first.fingerprint == again.fingerprint


def test_an_entry_whose_file_is_gone_never_gets_a_new_key(store: KeyStore) -> None:
    with pytest.raises(Failed) as caught:
        store.of_server(server(key="orders"), COMMENT)
    assert caught.value.cause is Cause.KEY_MISSING
    assert not store.folder.exists()


def test_an_entry_may_be_a_path(store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    own = KeyStore(tmp_path / ".ssh").create("mine", "me@laptop")
    for entry in (str(own.path), "~/.ssh/mine"):
        key, to_write = store.of_server(server(key=entry), COMMENT)
        assert (key.fingerprint, to_write) == (own.fingerprint, False)


def test_a_key_that_is_set_aside_can_be_brought_back(store: KeyStore) -> None:
    key = store.create("orders", COMMENT)
    aside = store.set_aside("orders")
    assert aside is not None
    assert names(store.folder) == [aside.name, f"{aside.name}.pub"]
    assert mode(aside) == 0o600
    store.bring_back(aside, "orders")
    assert names(store.folder) == ["orders", "orders.pub"]
    assert store.load(key.path).fingerprint == key.fingerprint


def test_keys_set_aside_within_one_second_are_all_kept(store: KeyStore) -> None:
    fingerprints = set()
    for _ in range(3):
        fingerprints.add(store.create("orders", COMMENT).fingerprint)
        store.set_aside("orders")
    kept = [path for path in store.folder.iterdir() if path.suffix != ".pub"]
    assert {store.load(path).fingerprint for path in kept} == fingerprints
    assert len(kept) == 3


@pytest.mark.parametrize("standing", ["orders", "orders.pub"])
def test_bringing_a_key_back_overwrites_none(store: KeyStore, standing: str) -> None:
    store.create("orders", COMMENT)
    aside = store.set_aside("orders")
    assert aside is not None
    path = store.folder / standing
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        store.bring_back(aside, "orders")
    assert path.read_text() == "precious"
    assert names(store.folder) == sorted([standing, aside.name, f"{aside.name}.pub"])


@pytest.mark.parametrize("name", ["nothing", "..", "."])
def test_there_is_nothing_to_set_aside_but_a_key(store: KeyStore, name: str) -> None:
    store.create("orders", COMMENT)
    assert store.set_aside(name) is None
    assert names(store.folder) == ["orders", "orders.pub"]
