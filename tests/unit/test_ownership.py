"""Files count by owner and mode: what somebody else could have changed is not used."""

from __future__ import annotations

import grp
import os
import pwd
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from canary_tui import ownership
from canary_tui.databases.tls import check_authorities
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.keys.store import KeyStore
from canary_tui.ownership import others_may_change
from canary_tui.paths import Paths, private_folder
from canary_tui.servers.file import BadFile, ServersFile
from canary_tui.servers.model import Database, TlsMode
from canary_tui.servers.passfiles import Ignored, my_cnf, pgpass
from canary_tui.tunnels.host_keys import KnownHosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
NOBODY = 65534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of this user's in a folder of this user's."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    path = folder / "file"
    path.write_text("")
    path.chmod(0o600)
    return path


@pytest.fixture
def shared_group() -> Iterator[int]:
    """A group that has another member besides this user."""
    name = f"canary{os.getpid()}"
    subprocess.run(["groupadd", "--users", "nobody", name], check=True, capture_output=True)
    try:
        yield grp.getgrnam(name).gr_gid
    finally:
        subprocess.run(["groupdel", name], check=True, capture_output=True)


def test_a_file_of_ones_own_counts_and_so_does_one_that_is_not_there(file: Path) -> None:
    assert others_may_change(file) == ""
    assert others_may_change(file.parent / "missing" / "deeper") == ""
    file.chmod(0o644)
    assert others_may_change(file) == ""


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o777])
@pytest.mark.parametrize("what", ["file", "folder", "above"])
def test_what_every_user_may_write_is_refused_with_the_command_that_closes_it(
    file: Path, what: str, mode: int
) -> None:
    place = {"file": file, "folder": file.parent, "above": file.parent.parent}[what]
    place.chmod(mode | (0o100 if place.is_dir() else 0))
    assert others_may_change(file) == f"every user may write {place}; chmod o-w {place}"
    subprocess.run(["sh", "-c", f"chmod o-w {place}"], check=True)
    assert others_may_change(file) == ""


def test_a_sticky_folder_passes_for_nobody_can_replace_there_what_is_not_theirs(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert others_may_change(file) == ""


def test_a_folder_with_a_space_and_a_quote_is_quoted_for_the_shell(tmp_path: Path) -> None:
    folder = tmp_path / "it's; touch here"
    folder.mkdir()
    folder.chmod(0o777)
    command = others_may_change(folder / "x").rpartition("; chmod")[2]
    subprocess.run(["sh", "-c", f"chmod{command}"], check=True, cwd=tmp_path)
    assert others_may_change(folder / "x") == ""
    assert not (tmp_path / "here").exists()


@as_root
def test_a_file_of_another_users_is_refused_and_so_is_one_in_their_folder_or_behind_their_link(
    file: Path, tmp_path: Path
) -> None:
    os.chown(file, NOBODY, NOBODY)
    assert "belongs to nobody, neither you nor root" in others_may_change(file)
    os.chown(file, 0, 0)
    os.chown(file.parent, NOBODY, NOBODY)
    assert f"{file.parent} belongs to nobody" in others_may_change(file)
    os.chown(file.parent, 0, 0)
    link = tmp_path / "link"
    link.symlink_to(file)
    assert others_may_change(link) == ""
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    assert f"{link} belongs to nobody" in others_may_change(link)


@as_root
def test_an_owner_without_a_name_is_told_by_number(file: Path) -> None:
    os.chown(file, 54321, -1)
    assert "belongs to the user 54321" in others_may_change(file)


@as_root
def test_a_group_may_write_where_it_has_no_other_member(file: Path, shared_group: int) -> None:
    file.chmod(0o660)
    assert others_may_change(file) == ""  # root's own group, as Ubuntu's umask 002 leaves a user's files
    os.chown(file, -1, shared_group)
    name = grp.getgrgid(shared_group).gr_name
    assert others_may_change(file) == f"the group {name} (nobody) may write {file}; chmod g-w {file}"
    os.chown(file, -1, 54321)
    assert "the group 54321, whose members the system does not tell" in others_may_change(file)


@as_root
def test_a_group_that_is_another_users_own_is_not_ones_own(file: Path) -> None:
    os.chown(file, -1, pwd.getpwnam("nobody").pw_gid)
    file.chmod(0o620)
    assert "the group nogroup (" in others_may_change(file)


def test_an_access_list_is_not_taken_for_a_group_of_ones_own(file: Path) -> None:
    def entry(tag: int, may: int, who: int = 0xFFFFFFFF) -> bytes:
        return struct.pack("<HHI", tag, may, who)

    # acl(5), in the kernel's form: the owner, nobody by name, the group, the mask, everybody else.
    entries = entry(1, 6), entry(2, 6, NOBODY), entry(4, 0), entry(0x10, 6), entry(0x20, 0)
    try:
        os.setxattr(file, ownership.ACCESS_LIST, struct.pack("<I", 2) + b"".join(entries))
    except OSError:
        pytest.skip("this file system keeps no access lists")
    assert f"an access list lets others write {file}; setfacl -b {file}" in others_may_change(file)


def test_links_are_followed_as_the_kernel_follows_them(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    (open_to_all / "deep").mkdir(parents=True)
    open_to_all.chmod(0o777)
    (open_to_all / "deep" / "file").write_text("")
    (tmp_path / "dots").symlink_to("open/deep/../deep")
    (tmp_path / "absolute").symlink_to(open_to_all / "deep")
    (tmp_path / "twice").symlink_to("absolute")
    for way in ("dots", "absolute", "twice"):
        assert "every user may write" in others_may_change(tmp_path / way / "file"), way
    (tmp_path / "loop").symlink_to("loop")
    assert others_may_change(tmp_path / "loop" / "x") == ""


def servers_file(path: Path) -> None:
    ServersFile(path).load()


def new_server_file(path: Path) -> None:
    ServersFile(path).remove("nobody")


def known_hosts(path: Path) -> None:
    KnownHosts(path).entry("bastion", 22)


def key(path: Path) -> None:
    path.unlink()
    KeyStore(path.parent).load(KeyStore(path.parent).create(path.name, "c").path)


def authorities(path: Path) -> None:
    check_authorities(Database(host="db", port=1, tls=TlsMode.VERIFY_FULL, ca_file=str(path)))


def pgpass_file(path: Path) -> None:
    pgpass(path, "h", 1, "d", "u")


def my_cnf_file(path: Path) -> None:
    my_cnf(path, "h", 1, "u")


def folder(path: Path) -> None:
    private_folder(path.parent)


@pytest.mark.parametrize(
    "use", [servers_file, new_server_file, known_hosts, key, authorities, pgpass_file, my_cnf_file, folder]
)
def test_every_file_that_says_what_is_trusted_is_held_to_it(file: Path, use: Callable[[Path], None]) -> None:
    file.parent.chmod(0o777)
    with pytest.raises((BadFile, Failed, Ignored, OSError)) as caught:
        use(file)
    error = caught.value
    words = error.detail if isinstance(error, Failed) else str(error)
    assert f"every user may write {file.parent}; chmod o-w {file.parent}" in words
    if isinstance(error, Failed):
        assert error.cause in {Cause.SETTINGS_INVALID, Cause.KEY_PERMISSIONS, Cause.CA_FILE_UNREADABLE}
        assert error.facts["exposed"] in words


def test_a_file_that_was_closed_again_is_seen_to_have_changed(file: Path) -> None:
    servers = ServersFile(file)
    closed = servers.signature()
    file.parent.chmod(0o777)
    assert servers.signature() != closed
    file.parent.chmod(0o700)
    assert servers.signature() == closed


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The session's runtime folder, as it should be."""
    monkeypatch.delenv("CANARY_CONFIG", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    session = tmp_path / "run"
    session.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    return session


def test_sockets_stand_in_the_sessions_runtime_folder(runtime: Path) -> None:
    assert Paths.of_user().runtime == runtime / "canary-tui"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("trouble", ["mode", "above", "missing", "file", "relative", "empty", "inside"])
def test_a_runtime_folder_that_is_not_private_is_passed_over(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    match trouble:
        case "mode":
            runtime.chmod(0o755)
        case "above":
            runtime.parent.chmod(0o777)
        case "missing":
            runtime.rmdir()
        case "file":
            runtime.rmdir()
            runtime.touch(0o600)
        case "relative":
            monkeypatch.chdir(runtime.parent)
            monkeypatch.setenv("XDG_RUNTIME_DIR", "run")
        case "empty":
            monkeypatch.setenv("XDG_RUNTIME_DIR", "")
        case "inside":
            (runtime / "canary-tui").mkdir()
            (runtime / "canary-tui").chmod(0o777)
    assert Paths.of_user().runtime == Paths.of_user().state / "run"


@as_root
def test_a_runtime_folder_of_another_users_is_passed_over(runtime: Path) -> None:
    os.chown(runtime, NOBODY, NOBODY)
    assert Paths.of_user().runtime == Paths.of_user().state / "run"
