"""``canary list``, ``remove`` and ``key``: what they print, what they change, how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from canary_tui.cli.main import COMMANDS
from tests.servers.cli import DIRECT, TUNNEL, Canary
from tests.servers.cli_alone import canary, user
from tests.servers.world import World

__all__ = ["canary", "user"]  # fixtures


# list


def test_an_empty_list_says_how_to_add(canary: Canary, user: World) -> None:
    outcome = canary("list")
    assert (outcome.status, outcome.out) == (0, "")
    assert "canary add" in outcome.err
    assert canary("list", "--json").out == ""
    assert not user.paths.servers.exists()


def test_list_shows_how_each_server_is_reached(canary: Canary) -> None:
    canary("add", "orders", *TUNNEL, "--local-port", "15999")
    canary("add", "shop", *DIRECT)
    outcome = canary("list")
    assert [line.split() for line in outcome.out.splitlines()] == [
        ["NAME", "ENGINE", "DATABASE", "THROUGH", "LOCAL"],
        ["orders", "postgresql", "10.0.3.12:5432", "me@bastion", ":15999"],
        ["shop", "mysql", "[2001:db8::7]:3306", "direct", "–"],
    ]
    assert (outcome.status, outcome.err) == (0, "")


def test_list_json_has_the_schema_of_the_reference(canary: Canary) -> None:
    canary("add", "orders", *TUNNEL, "--local-port", "15999", "--tag", "eu", "--tls", "require")
    canary("add", "shop", *DIRECT, "--db-name", "shop", "--db-user", "reader")
    one, two = (json.loads(line) for line in canary("list", "--json").out.splitlines())
    assert one == {
        "schema": 1,
        "server": "orders",
        "enabled": True,
        "tags": ["eu"],
        "engine": "postgresql",
        "database": {"host": "10.0.3.12", "port": 5432, "name": "", "user": "", "tls": "require"},
        "ssh": {"host": "bastion", "port": 22, "user": "me", "listen": "port", "local_port": 15999},
    }
    assert two["database"] == {
        "host": "2001:db8::7", "port": 3306, "name": "shop", "user": "reader", "tls": "prefer"
    }  # fmt: skip
    assert two["ssh"] is None


# remove


@pytest.mark.parametrize(("answer", "removed"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_remove_asks_first(canary: Canary, user: World, answer: str, removed: bool) -> None:
    canary("add", "orders", *TUNNEL)
    outcome = canary("remove", "orders", stdin=answer)
    assert outcome.status == (0 if removed else 1)
    assert "Remove orders (me@bastion)?" in outcome.err
    assert (user.tools.file.load().get("orders") is None) is removed
    assert (user.paths.keys / "orders").exists() is not removed


def test_remove_without_an_answer_removes_nothing(canary: Canary, user: World) -> None:
    canary("add", "orders", *TUNNEL)
    assert canary("remove", "orders").status == 130
    assert user.tools.file.load().get("orders") is not None


def test_a_removed_servers_key_is_moved_aside(canary: Canary, user: World) -> None:
    canary("add", "orders", *TUNNEL)
    key = (user.paths.keys / "orders").read_bytes()
    outcome = canary("remove", "orders", "--yes")
    (aside,) = (path for path in user.paths.keys.iterdir() if path.suffix != ".pub")
    assert (aside.read_bytes(), aside.name[:15]) == (key, "orders.removed-")
    assert f"Its key is kept at {aside}." in outcome.err
    assert canary("add", "orders", *TUNNEL).status == 0, "the name is free again"


def test_a_key_that_another_server_uses_stays(canary: Canary, user: World) -> None:
    canary("add", "orders", *TUNNEL)
    user.tools.file.set_value("orders", ("ssh", "key"), "shared")
    (user.paths.keys / "orders").rename(user.paths.keys / "shared")
    canary("add", "billing", *TUNNEL)
    user.tools.file.set_value("billing", ("ssh", "key"), "shared")
    canary("remove", "orders", "--yes")
    assert (user.paths.keys / "shared").exists()


# key


def test_each_format_of_a_key_is_one_item_on_stdout(canary: Canary, user: World) -> None:
    restricted = canary("add", "orders", *TUNNEL).out
    key = user.tools.keys.load(user.paths.keys / "orders")
    assert canary("key", "orders").out == restricted
    assert canary("key", "orders", "--format", "restricted").out == restricted
    assert canary("key", "orders", "--format", "line").out == f"{key.line}\n"
    assert canary("key", "orders", "--format", "fingerprint").out == f"{key.fingerprint}\n"
    script = canary("key", "orders", "--format", "script")
    assert "chmod 700" in script.out
    assert "chmod 600" in script.out
    assert key.line.split()[1] in script.out
    assert script.status == 0


def test_the_private_key_is_never_printed(canary: Canary, user: World) -> None:
    canary("add", "orders", *TUNNEL)
    secret = (user.paths.keys / "orders").read_text().splitlines()[4]
    for form in ("restricted", "line", "script", "fingerprint"):
        outcome = canary("key", "orders", "--format", form)
        assert secret not in outcome.out + outcome.err


def test_a_server_written_by_hand_gets_its_key_and_its_entry(canary: Canary, user: World) -> None:
    text = (
        "servers:\n  - name: orders  # mine\n    engine: mysql\n    database: {host: db}\n"
        "    ssh: {host: bastion, user: me}\n"
    )
    user.paths.servers.write_text(text)
    outcome = canary("key", "orders", "--format", "line")
    assert outcome.status == 0
    server = user.tools.file.load().get("orders")
    assert server is not None
    assert server.ssh is not None
    assert server.ssh.key == "orders"
    assert "# mine" in user.paths.servers.read_text()
    assert canary("key", "orders", "--format", "line").out == outcome.out


def test_a_key_that_is_gone_is_named_and_never_made_anew(canary: Canary, user: World) -> None:
    canary("add", "orders", *TUNNEL)
    (user.paths.keys / "orders").unlink()
    outcome = canary("key", "orders")
    assert (outcome.status, outcome.out) == (1, "")
    assert str(user.paths.keys / "orders") in outcome.err
    assert not (user.paths.keys / "orders").exists()


def test_a_direct_server_has_no_key(canary: Canary) -> None:
    canary("add", "shop", *DIRECT)
    outcome = canary("key", "shop")
    assert (outcome.status, outcome.out) == (2, "")
    assert "reached directly" in outcome.err


# docs/reference.md


def shape(value: object) -> object:
    """Return a record's keys and types."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return type(value)


def documented(command: str) -> object:
    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    return json.loads(
        text.partition(f"### `canary {command} --json`")[2].split("```")[1].removeprefix("json")
    )


def test_the_reference_shows_lists_json_as_it_is(canary: Canary) -> None:
    canary("add", "orders", *TUNNEL, "--tag", "eu")
    assert shape(json.loads(canary("list", "--json").out)) == shape(documented("list"))


def test_the_reference_shows_probes_json_as_it_is(canary: Canary) -> None:
    canary("add", "gone", "--engine", "mysql", "--db-host", "127.0.0.1", "--db-port", "1")
    record = json.loads(canary("probe", "gone", "--json").out)
    shown = documented("probe")
    assert isinstance(shown, dict)
    assert shape(record) == shape(shown)
    assert shape(record["stages"][-1]) == shape(shown["stages"][-1])


def test_a_direct_server_s_stage_is_called_after_its_database_and_keeps_its_name_in_json(
    canary: Canary,
) -> None:
    canary("add", "gone", "--engine", "mysql", "--db-host", "127.0.0.1", "--db-port", "1")
    said = canary("probe", "gone").out
    assert "    database connect: The database 127.0.0.1:1 refuses the connection" in said
    assert "SSH connect" not in said
    assert json.loads(canary("probe", "gone", "--json").out)["failure"]["stage"] == "connect"


def test_the_reference_has_every_command() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    assert all(f"| `canary {command}" in text for command in COMMANDS)
