"""The settings form: what its fields hold, and what is wrong with them."""

from __future__ import annotations

import msgspec
import pytest

from canary_tui.servers.model import PasswordCommand, PasswordEnv, PasswordKeyring
from canary_tui.tui.presenters import form
from tests.screens import samples


def test_form_and_server_say_the_same() -> None:
    for one in (samples.server(), samples.server("direct", tunnel=False)):
        assert form.build(form.values_of(one), one) == one
        open_one = msgspec.structs.replace(
            one, database=msgspec.structs.replace(one.database, allow_cleartext=True)
        )
        assert form.build(form.values_of(open_one), open_one) == open_one


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ({"password_from": "variable", "password_env": "PW"}, PasswordEnv(env="PW")),
        (
            {"password_from": "command", "password_command": "op read 'a b'"},
            PasswordCommand(command=("op", "read", "a b")),
        ),
        ({"password_from": "keyring"}, PasswordKeyring()),
        ({"password_from": "ask", "password_env": "left over"}, None),
    ],
)
def test_password_sources_survive_the_form(values: dict[str, str], source: object) -> None:
    built = form.build(form.values_of(samples.server()) | values)
    assert built.database.password == source
    assert form.build(form.values_of(built), built) == built


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("name", "", "is empty"),
        ("name", "a/b", "is no server name"),
        ("name", "x" * 300, "is no server name"),
        ("name", "taken", "is the name of another server"),
        ("db_port", "0", "0 is not a port"),
        ("db_port", "65536", "65536 is not a port"),
        ("ssh_port", "22x", "22x is not a port"),
        ("local_port", "-1", "-1 is not a port"),
        ("db_host", "a b", "has a space"),
        ("ssh_host", "user@host:22", "has a user in it"),
        ("ssh_host", "[::1]", "has brackets"),
        ("ssh_user", "", "is empty"),
        ("every", "0s", "is out of range"),
        ("every", "soon", "is no duration"),
        ("timeout", "2m", "is out of range"),
        ("query", " ", "is empty"),
        ("db_user", "a\tb", "has a line break or a control character"),
    ],
)
def test_wrong_fields_are_named(field: str, text: str, said: str) -> None:
    values = form.values_of(samples.server()) | {field: text}
    assert said in form.problem(field, values, {"taken"})
    assert list(form.problems(values, {"taken"})) == [field]


def test_fields_that_are_hidden_are_not_checked() -> None:
    values = form.blank() | {"name": "x", "db_host": "h", "ssh_enabled": "off", "ssh_host": "not a host"}
    assert form.problems(values) == {}
    assert form.build(values).ssh is None


def test_surrounding_spaces_are_not_part_of_a_value() -> None:
    values = form.values_of(samples.server()) | {"ssh_port": "22 ", "name": " shop "}
    assert form.problems(values) == {}
    assert form.build(values).name == "shop"
