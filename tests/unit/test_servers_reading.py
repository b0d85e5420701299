"""``servers.yaml`` is read field by field."""

from __future__ import annotations

from pathlib import Path

import pytest

from canary_tui.servers.file import ServersFile, read
from canary_tui.servers.fleet import Fleet, HistoryLimits
from canary_tui.servers.model import Engine, Listen, PasswordCommand, PasswordEnv, PasswordKeyring, TlsMode
from canary_tui.servers.reading import parse
from tests.unit.servers_texts import ENTRY, in_database, mistakes

ROOT = Path(__file__).parents[2]


def test_the_example_file_is_read() -> None:
    fleet = read(ROOT / "servers.example.yaml")
    orders, billing, reports, cache = fleet.servers
    assert orders.tags == ("eu", "orders")
    assert orders.database.password == PasswordEnv("ORDERS_PASSWORD")
    assert orders.ssh is not None
    assert (orders.ssh.port, orders.ssh.local_port, orders.ssh.listen) == (22, 15432, Listen.PORT)
    assert (billing.engine, billing.database.port, billing.database.password) == (
        Engine.MYSQL,
        3306,
        PasswordKeyring(),
    )
    assert (reports.ssh, reports.database.tls) == (None, TlsMode.VERIFY_FULL)
    assert (cache.engine, cache.database.port, cache.user) == (Engine.TCP, 6379, "")
    assert fleet.warnings == ()
    assert fleet.history == HistoryLimits(raw=3 * 86_400, rollups=400 * 86_400, max_size=2_000_000_000)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "servers:\n", "servers: []\n", "{}", "---\n"])
def test_a_file_without_servers_is_an_empty_fleet(tmp_path: Path, text: str) -> None:
    path = tmp_path / "servers.yaml"
    assert read(path) == Fleet()
    path.write_text(text)
    assert read(path) == Fleet()


def test_texts_stay_what_was_written() -> None:
    text = ENTRY.replace("{host: h}", "{host: h, name: no, user: 0123}") + "  tags: [1e3, y]\n"
    server = parse(text, "f").fleet.servers[0]
    assert (server.database.name, server.database.user, server.tags) == ("no", "0123", ("1e3", "y"))


@pytest.mark.parametrize(
    ("word", "value"), [("yes", True), ("On", True), ("TRUE", True), ("no", False), ("off", False)]
)
def test_booleans_may_be_written_in_each_usual_way(word: str, value: bool) -> None:
    assert parse(f"{ENTRY}  enabled: {word}\n", "f").fleet.servers[0].enabled is value


@pytest.mark.parametrize(("word", "value"), [("true", True), ("no", False)])
def test_cleartext_is_allowed_by_a_word_of_the_entrys_own(tmp_path: Path, word: str, value: bool) -> None:
    path = tmp_path / "servers.yaml"
    path.write_text(in_database(f"allow_cleartext: {word}  # between us"))
    server = read(path).servers[0]
    assert server.database.allow_cleartext is value
    assert parse(ENTRY, "f").fleet.servers[0].database.allow_cleartext is False
    path.unlink()
    ServersFile(path).add(server)
    assert read(path).servers == (server,)
    assert ("allow_cleartext" in path.read_text()) is value
    (message,) = mistakes(in_database("allow_cleartext: perhaps"))
    assert message.startswith("servers.yaml:6: servers[0].database.allow_cleartext: ")


def test_each_password_source_is_read() -> None:
    sources = {
        "{env: X}": PasswordEnv("X"),
        "{command: [op, read, 'op://a b']}": PasswordCommand(("op", "read", "op://a b")),
        "{keyring: yes}": PasswordKeyring(),
        "{keyring: no}": None,
        "": None,
    }
    for text, source in sources.items():
        assert parse(in_database(f"password: {text}"), "f").fleet.servers[0].database.password == source


def test_defaults_fill_what_an_entry_leaves_out() -> None:
    text = (
        "defaults: {probe: {every: 30s, timeout: 9s}, key_comment: me}\n" + ENTRY + "  probe: {timeout: 3s}\n"
    )
    fleet = parse(text, "f").fleet
    assert (fleet.servers[0].probe.every, fleet.servers[0].probe.timeout) == (30, 3)
    assert fleet.defaults.key_comment == "me"


def test_aliases_and_merges_are_followed() -> None:
    text = (
        "x-jump: &jump {host: j, user: u}\nservers:\n"
        "- {name: a, engine: mysql, database: {host: h}, ssh: *jump}\n"
        "- {name: b, engine: mysql, database: {host: h}, ssh: {<<: [*jump, {user: no, key: k}], port: 23}}\n"
    )
    a, b = parse(text, "f").fleet.servers
    assert a.ssh is not None
    assert b.ssh is not None
    assert (a.ssh.host, b.ssh.host, b.ssh.user, b.ssh.key, b.ssh.port) == ("j", "j", "u", "k", 23)


def test_a_local_port_shared_by_an_alias_is_noticed() -> None:
    text = "x: &j {host: j, user: u, local_port: 1500}\nservers:\n" + "".join(
        f"- {{name: {name}, engine: mysql, database: {{host: h}}, ssh: *j}}\n" for name in "ab"
    )
    assert "1500 is the local port of a too" in mistakes(text)[0]


def test_five_thousand_complete_servers_are_read(tmp_path: Path) -> None:
    lines = (ROOT / "servers.example.yaml").read_text().splitlines(keepends=True)
    example = "".join(line for line in lines if not line.startswith("      #"))
    entry = example[example.index("  - name: orders-prod") : example.index("  # A MySQL")]
    entries = (
        entry.replace("orders-prod ", f"orders-{n} ", 1).replace("15432", str(10_000 + n))
        for n in range(5000)
    )
    path = tmp_path / "servers.yaml"
    path.write_text("servers:\n" + "".join(entries))
    assert len(read(path).servers) == 5000


def test_other_users_are_accounts_of_this_machine() -> None:
    text = ENTRY + "  ssh:\n    host: j\n    user: u\n    allow_users:\n    - root\n    - nobody-knows-them\n"
    assert mistakes(text) == [
        "servers.yaml:10: servers[0].ssh.allow_users[1]: nobody-knows-them is no user of this machine"
    ]
    ssh = parse(text.replace("nobody-knows-them", "root"), "f").fleet.servers[0].ssh
    assert ssh is not None
    assert ssh.allow_users == ("root", "root")


def test_other_users_cannot_be_let_into_a_socket_of_ones_own_folder() -> None:
    text = ENTRY + "  ssh: {host: j, user: u, listen: socket, allow_users: [root]}\n"
    assert len(mistakes(text)) == 1
    assert "does not go with listen: socket" in mistakes(text)[0]
