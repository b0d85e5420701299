"""An entry with mistakes takes one server out of the list, and no other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from canary_tui.monitor.board import Board, Health
from canary_tui.monitor.events import FleetLoaded, TunnelChanged, TunnelState
from canary_tui.servers.editing import NotListed, added, changed, removed
from canary_tui.servers.file import BadFile, ServersFile
from canary_tui.servers.fleet import Fleet
from canary_tui.servers.model import Database, Engine, Server, SshServer
from canary_tui.servers.reading import parse

FILE = """\
servers:
- name: a   # first
  engine: mysql
  database: {host: a.example}
  ssh: {host: j, user: u, local_port: 15001}
- name: b
  engine: mysql
  database: {host: b.example, port: 99999}   # mistyped
  ssh: {host: j, user: u, local_port: 15002, key: shared}
- name: c
  engine: mysql
  database: {host: c.example}
  ssh: {host: j, user: u, local_port: 15003}
"""
GOOD = FILE.replace("99999", "3307")
MISTAKE = "servers.yaml:8: servers[1].database.port: 99999 is not a port (1–65535)"


def fleet(text: str = FILE) -> Fleet:
    return parse(text, "servers.yaml").fleet


def broken(text: str) -> list[tuple[str, str]]:
    return [(entry.name, entry.mistakes) for entry in fleet(text).broken]


def test_the_good_servers_of_a_file_with_one_bad_entry_are_used() -> None:
    assert [server.name for server in fleet().servers] == ["a", "c"]
    assert broken(FILE) == [("b", MISTAKE)]
    assert [entry.name for entry in fleet().entries] == ["a", "b", "c"]
    assert fleet().get("b") is None
    with pytest.raises(BadFile) as caught:
        fleet().need("b")
    assert str(caught.value) == MISTAKE
    assert fleet().need("c").database.host == "c.example"
    with pytest.raises(KeyError):
        fleet().need("d")


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("- name: x\n", "x"),
        ("- name: x\n  engine: oracle\n  database: {host: h}\n", "x"),
        ("- name: x\n  engine: mysql\n  database: h\n", "x"),
        ("- name: x\n  engine: mysql\n  database: {host: h, password: hunter2}\n", "x"),
        ("- name: x\n  engine: mysql\n  database: {host: h}\n  ssh: [j]\n", "x"),
        ("- name: x\n  engine: mysql\n  database: {host: h}\n  ssh: {host: j, user: u, listen: both}\n", "x"),
        ("- name: x\n  engine: mysql\n  engine: mysql\n  database: {host: h}\n", "x"),
        ("- name: x y\n  engine: mysql\n  database: {host: h}\n", "servers[3]"),
        ("- engine: mysql\n  database: {host: h}\n", "servers[3]"),
        ("- name: a\n  engine: mysql\n  database: {host: h}\n", "servers[3]"),
        ("-\n", "servers[3]"),
        ("- words\n", "servers[3]"),
        ("- [a, b]\n", "servers[3]"),
    ],
)
def test_a_mistake_of_an_entry_is_that_servers_alone(entry: str, name: str) -> None:
    read = fleet(GOOD + entry)
    assert [server.name for server in read.servers] == ["a", "b", "c"]
    assert [bad.name for bad in read.broken] == [name]
    assert "hunter2" not in read.broken[0].mistakes


@pytest.mark.parametrize(
    "text",
    [
        FILE + "defaults: {probe: {every: 0s}}\n",
        FILE + "history: {raw: soon}\n",
        FILE + "version: banana\n",
        FILE + "servers: []\n",
        FILE + "- name: [\n",
        "- " + FILE,
    ],
)
def test_a_mistake_of_the_file_is_every_servers(text: str) -> None:
    with pytest.raises(BadFile):
        parse(text, "servers.yaml")


def test_of_two_with_one_name_or_one_local_port_the_second_is_wrong() -> None:
    assert broken(GOOD.replace("name: c", "name: a")) == [
        ("servers[2]", "servers.yaml:10: servers[2].name: a is the name of another server too (line 2)")
    ]
    assert broken(GOOD.replace("15003", "15002")) == [
        ("c", "servers.yaml:13: servers[2].ssh.local_port: 15002 is the local port of b too (line 9)")
    ]


# As it was last good


def test_a_server_that_was_good_is_used_as_it_was() -> None:
    kept = fleet().keeping(fleet(GOOD))
    assert kept.servers == fleet(GOOD).servers
    assert [entry.name for entry in kept.broken] == ["b"]
    assert kept.need("b").database.port == 3307
    again = fleet(FILE.replace("99999", "nonsense")).keeping(kept)
    assert again.servers == kept.servers


def test_one_that_is_switched_off_or_taken_out_while_it_is_wrong_is_not_kept() -> None:
    off = fleet(FILE.replace("- name: b\n", "- name: b\n  enabled: false\n")).keeping(fleet(GOOD))
    assert [server.name for server in off.servers] == ["a", "c"]
    gone = fleet(removed(FILE, "servers.yaml", "b")[0]).keeping(fleet(GOOD))
    assert [entry.name for entry in gone.entries] == ["a", "c"]


# Edits


def test_other_servers_are_edited_byte_for_byte_beside_it() -> None:
    server = fleet().need("c")
    text, now = changed(FILE, "servers.yaml", "c", msgspec.structs.replace(server, enabled=False))
    assert text == FILE.replace("- name: c\n", "- name: c\n  enabled: false\n")
    assert not now.need("c").enabled
    new = Server(name="d", engine=Engine.MYSQL, database=Database(host="d", port=3306))
    text, now = added(FILE, "servers.yaml", new)
    assert text.startswith(FILE)
    assert [entry.name for entry in now.entries] == ["a", "b", "c", "d"]
    text, now = removed(FILE, "servers.yaml", "a")
    assert text == FILE[:9] + FILE[FILE.index("- name: b") :]
    assert [entry.name for entry in now.entries] == ["b", "c"]


def test_a_wrong_entry_is_removed_by_name_and_by_place_and_not_changed() -> None:
    text, now = removed(FILE, "servers.yaml", "b")
    assert text == FILE[: FILE.index("- name: b")] + FILE[FILE.index("- name: c") :]
    assert not now.broken
    twice = GOOD.replace("name: c", "name: b")
    text, now = removed(twice, "servers.yaml", "servers[2]")
    assert text == GOOD[: GOOD.index("- name: c")]
    with pytest.raises(BadFile, match="99999 is not a port"):
        changed(FILE, "servers.yaml", "b", fleet().need("a"))
    with pytest.raises(NotListed):
        changed(FILE, "servers.yaml", "z", fleet().need("a"))


def test_an_edit_may_put_right_what_was_wrong_elsewhere() -> None:
    clash = GOOD.replace("15003", "15001")
    server = fleet(clash).need("a")
    assert server.ssh is not None
    wanted = msgspec.structs.replace(server, ssh=msgspec.structs.replace(server.ssh, local_port=15009))
    text, now = changed(clash, "servers.yaml", "a", wanted)
    assert text == clash.replace("15001", "15009", 1)
    assert [one.name for one in now.servers] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "changes", [{"name": "c"}, {"name": "b"}, {"name": "no name"}, {"ssh": ("local_port", 15003)}]
)
def test_an_edit_that_would_make_an_entry_wrong_is_refused(changes: dict[str, object]) -> None:
    """The clash may then be said of this entry, or of the one that stands below it."""
    server = fleet().need("a")
    if isinstance(ssh := changes.get("ssh"), tuple):
        assert server.ssh is not None
        changes = {"ssh": msgspec.structs.replace(server.ssh, **{ssh[0]: ssh[1]})}
    with pytest.raises(BadFile):
        changed(FILE, "servers.yaml", "a", msgspec.structs.replace(server, **changes))


def test_what_a_wrong_entry_takes_by_an_alias_stays_when_its_anchor_goes() -> None:
    text = FILE.replace("a.example", "&h a.example").replace("b.example", "*h")
    new, now = removed(text, "servers.yaml", "a")
    assert "*h" not in new
    assert now.broken[0].read.database.host == "a.example"


def test_a_key_or_a_port_that_a_wrong_entry_names_is_taken() -> None:
    assert [(s.ssh.local_port, s.ssh.key) for s in fleet().named if s.ssh] == [
        (15001, ""),
        (15002, "shared"),
        (15003, ""),
    ]


# What a screen shows


def board(*texts: str) -> Board:
    """Return the board after readings of these texts, one after the other."""
    made, last = Board(), Fleet()
    for at, text in enumerate(texts):
        last = fleet(text).keeping(last)
        made.apply(FleetLoaded(at=float(at), fleet=last))
    return made


def test_a_wrong_entry_is_listed_with_its_mistake_and_never_opened() -> None:
    rows = board(FILE).publish().rows
    assert [(row.server.name, row.health) for row in rows] == [
        ("a", Health.UNKNOWN),
        ("b", Health.BROKEN),
        ("c", Health.UNKNOWN),
    ]
    assert rows[1].mistakes == (MISTAKE,)
    assert not rows[1].server.enabled
    assert board(FILE).publish().problems == ()


def test_one_that_runs_is_shown_with_its_mistake_and_one_that_is_put_right_without() -> None:
    row = board(GOOD, FILE).row("b")
    assert row is not None
    assert (row.mistakes, row.health, row.server.database.port) == ((MISTAKE,), Health.UNKNOWN, 3307)
    right = board(FILE, GOOD).row("b")
    assert right is not None
    assert (right.mistakes, right.health, right.since) == ((), Health.UNKNOWN, 1.0)
    assert right.server.enabled


def test_a_late_event_does_not_hide_that_an_entry_is_wrong() -> None:
    made = board(GOOD, FILE.replace("- name: b\n", "- name: b\n  enabled: false\n"))
    made.apply(TunnelChanged(at=9.0, server="b", state=TunnelState.CLOSED))
    made.start_over(10.0)
    row = made.row("b")
    assert row is not None
    assert (row.health, row.since, len(row.mistakes)) == (Health.BROKEN, 1.0, 1)


def test_warnings_are_published_with_the_list() -> None:
    published = board(GOOD.replace("name: b\n", "name: b\n  sslmode: require\n")).publish()
    assert published.warnings == (
        "servers.yaml:7: servers[1].sslmode: has no effect here; it would be database.tls",
    )
    assert board(GOOD.replace("name: b\n", "name: b\n  sslmode: x\n"), GOOD).publish().warnings == ()


def test_a_change_on_disk_beside_a_wrong_entry(tmp_path: Path) -> None:
    file = ServersFile(tmp_path / "servers.yaml")
    file.path.write_text(FILE)
    file.set_value("a", ("ssh", "key"), "a")
    with pytest.raises(BadFile, match="99999"):
        file.set_value("b", ("ssh", "key"), "b")
    file.add(
        Server(
            name="d",
            engine=Engine.MYSQL,
            database=Database(host="d", port=3306),
            ssh=SshServer(host="j", user="u"),
        )
    )
    assert [entry.name for entry in file.load().entries] == ["a", "b", "c", "d"]
    assert "99999}   # mistyped\n" in file.path.read_text()
