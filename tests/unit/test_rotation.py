"""A change of key in the servers file, in the log, to a tunnel that stands, and in the keys folder."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from canary_tui.keys.rotation import Step, Tried
from canary_tui.keys.rotation_words import changes_told
from canary_tui.keys.store import KeyStore
from canary_tui.monitor.watcher import same_tunnel
from canary_tui.servers.file import NotListed, ServersFile
from canary_tui.servers.fleet import Fleet
from canary_tui.servers.model import Database, Engine, Server, SshServer

FILE = """\
# the jumpbox is Ana's
servers:
  - name: orders
    engine: postgresql
    database: {host: db}
    ssh:
      host: jump     # first floor
      user: u
      key: orders    # made in May
      # below the key
      local_port: 15432
  - {name: billing, engine: mysql, database: {host: db}, ssh: {host: jump, user: u, key: billing}}
"""


def server(key: str = "a", next_key: str = "", old_key: str = "", **changes: str) -> Server:
    ssh = SshServer(host="jump", user="u", key=key, next_key=next_key, old_key=old_key)
    return Server(
        name="orders",
        engine=Engine.POSTGRESQL,
        database=Database(host=changes.get("host", "db"), port=5432),
        ssh=ssh,
    )


# The file


@pytest.fixture
def file(tmp_path: Path) -> ServersFile:
    path = tmp_path / "servers.yaml"
    path.write_text(FILE)
    return ServersFile(path)


def step(file: ServersFile, name: str, **entries: str) -> str:
    """Change entries of a server in one edit and return the file's text."""

    def change(now: Server, _fleet: Fleet) -> Server:
        assert now.ssh is not None
        return msgspec.structs.replace(now, ssh=msgspec.structs.replace(now.ssh, **entries))

    file.update(name, change)
    return file.path.read_text()


def test_each_step_changes_its_own_lines_and_no_other_byte(file: ServersFile) -> None:
    key = "      key: orders    # made in May\n"
    assert step(file, "orders", next_key="orders.1") == FILE.replace(key, f"{key}      next_key: orders.1\n")
    switched = step(file, "orders", key="orders.1", next_key="", old_key="orders")
    new = "      key: orders.1    # made in May\n      old_key: orders\n"
    assert switched == FILE.replace(key, new)
    assert step(file, "orders", old_key="") == FILE.replace("key: orders ", "key: orders.1 ")


def test_each_step_of_a_server_on_one_line_stays_on_it(file: ServersFile) -> None:
    assert "key: billing, next_key: b2}}" in step(file, "billing", next_key="b2")
    assert "key: b2, old_key: billing}}" in step(file, "billing", key="b2", next_key="", old_key="billing")
    assert step(file, "billing", old_key="") == FILE.replace("key: billing}", "key: b2}")


def test_a_switch_is_one_write(file: ServersFile, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        written.append(self.read_text())
        return real(self, target)

    step(file, "orders", next_key="orders.1")
    monkeypatch.setattr(Path, "replace", replace)
    step(file, "orders", key="orders.1", next_key="", old_key="orders")
    assert written == [file.path.read_text()]


def test_what_a_change_raises_leaves_the_file_as_it_is(file: ServersFile) -> None:
    class Refused(Exception):
        pass

    def refuse(_now: Server, _fleet: Fleet) -> Server:
        raise Refused

    with pytest.raises(Refused):
        file.update("orders", refuse)
    with pytest.raises(NotListed):
        file.update("nobody", lambda now, _fleet: now)
    assert file.path.read_text() == FILE


@pytest.mark.parametrize("entry", ["next_key", "old_key"])
def test_the_entries_are_read_and_checked_as_key_is(file: ServersFile, entry: str) -> None:
    file.path.write_text(FILE.replace("key: orders ", f"key: orders\n      {entry}: ~/keys/0123 "))
    ssh = file.load().servers[0].ssh
    assert ssh is not None
    assert getattr(ssh, entry) == "~/keys/0123"
    file.path.write_text(FILE.replace("key: orders ", f'key: orders\n      {entry}: "a\\tb" '))
    (broken,) = file.load().broken
    assert f"servers[0].ssh.{entry}: " in broken.mistakes
    assert "control character" in broken.mistakes


# The log


def lines_of(before: Server, after: Server) -> list[tuple[str, str]]:
    return list(changes_told(Fleet(servers=(before,)), Fleet(servers=(after,))))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (server(), server(next_key="b"), "new key b made: install its line"),
        (
            server(next_key="b"),
            server("b", old_key="a"),
            "key b works and is in use now; remove the line of a",
        ),
        (
            server(),
            server("b", old_key="a"),
            "key b works and is in use now; remove the line of a from u@jump",
        ),
        (server(next_key="b"), server("b"), "key b works and is in use now, instead of a"),
        (server(next_key="b"), server(), "new key b given up; a stays in use"),
        (server("b", old_key="a"), server("b"), "old key a is taken out of the settings"),
    ],
)
def test_each_step_is_told_once_in_the_log(before: Server, after: Server, words: str) -> None:
    [(name, text)] = lines_of(before, after)
    assert name == "orders"
    assert text.startswith(words)
    assert lines_of(after, after) == []


def test_the_log_claims_no_refusal_that_the_file_cannot_show() -> None:
    """A person who leaves the line where it is takes the entry out by hand: the file is then the same."""
    [(_, text)] = lines_of(server("b", old_key="a"), server("b"))
    assert "refused" not in text


@pytest.mark.parametrize("kept", ["", "a"])
@pytest.mark.parametrize("entries", [{"host": "new"}, {"port": 2222}, {"user": "v"}])
def test_an_old_line_that_is_left_in_another_account_is_told(entries: dict[str, Any], kept: str) -> None:
    was = server("b", old_key="a")
    assert was.ssh is not None
    now = msgspec.structs.replace(was, ssh=msgspec.structs.replace(was.ssh, old_key=kept, **entries))
    [(_, text)] = lines_of(was, now)
    assert "remove the line of old key a from u@jump," in text
    assert lines_of(now, now) == []


def test_an_old_line_is_told_when_its_ssh_server_is_taken_out() -> None:
    was = server("b", old_key="a")
    [(_, text)] = lines_of(was, msgspec.structs.replace(was, ssh=None))
    assert "remove the line of old key a from u@jump," in text


@pytest.mark.parametrize(
    "after", [server("c"), server(host="other"), msgspec.structs.replace(server(), ssh=None)]
)
def test_other_changes_of_a_server_are_not_told_as_a_change_of_key(after: Server) -> None:
    assert lines_of(server(), after) == []
    assert list(changes_told(Fleet(), Fleet(servers=(after,)))) == []


# The tunnel


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (server(), server(next_key="b"), True),
        (server(next_key="b"), server("b", old_key="a"), True),
        (server(next_key="b"), server("b"), True),
        (server(), server("b", old_key="a"), True),
        (server("b", old_key="a"), server("b"), True),
        (server(""), server("orders"), True),
        (server(), server("c"), False),
        (server(next_key="b"), server("c"), False),
        (server(next_key="b"), server("b", host="other"), False),
    ],
)
def test_a_change_of_key_needs_no_other_tunnel_but_another_key_does(
    old: Server, new: Server, same: bool
) -> None:
    assert same_tunnel(old, new) is same


# The files


def test_a_further_key_is_named_after_its_server_and_day_and_no_name_is_taken_twice(tmp_path: Path) -> None:
    store, day = KeyStore(tmp_path / "keys"), date(2026, 11, 23)
    names = [store.create_further("orders", "c", day, ()).path.name for _ in range(3)]
    assert names == ["orders.20261123", "orders.20261123-2", "orders.20261123-3"]
    (store.folder / "orders.20261124").write_text("half a key")
    (store.folder / "orders.20261124-2.pub").write_text("what is left of one")
    made = store.create_further("orders", "c", date(2026, 11, 24), {"orders.20261124-3"})
    assert made.path.name == "orders.20261124-4"
    assert (store.folder / "orders.20261124").read_text() == "half a key"


def test_only_files_of_the_keys_folder_are_ours(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    assert store.is_ours("orders.20261123")
    assert not any(store.is_ours(entry) for entry in ("/etc/key", "~/.ssh/id", "~ana", "a/b"))


def test_a_try_is_good_when_nothing_is_wrong() -> None:
    good = {step for step in Step if Tried(server="orders", step=step).good}
    assert good == {Step.NOTHING, Step.SWITCHED, Step.FINISHED}
