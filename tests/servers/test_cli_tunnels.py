"""``canary probe`` over real servers."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.servers.model import PasswordEnv
from tests.servers.cli import LIMIT, Canary, at_terminal, finish, spawn, start
from tests.servers.world import World

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


def test_probe_prints_each_server_with_its_stages(
    canary: Canary, world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd), world.server(postgres, name="direct"))
    outcome = canary("probe")
    assert (outcome.status, outcome.err) == (0, "")
    first, stages, second, direct = outcome.out.splitlines()
    assert first.split()[:3] == ["●", "orders", f"{sshd.user}@{sshd.host}:{sshd.port}"]
    assert [word for word in stages.split() if word.isalpha()] == [
        "settings", "resolve", "connect", "handshake", "auth", "forward", "database", "login", "query",
    ]  # fmt: skip
    assert second.split()[1:3] == ["direct", "direct"]
    assert "forward" not in direct


def test_a_failing_probe_says_where_why_and_what_to_do(
    canary: Canary, world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd, install=False), world.server(postgres, name="direct"))
    outcome = canary("probe", "orders", "direct")
    assert outcome.status == 1
    assert outcome.out.startswith("✕ orders")
    assert "SSH login: " in outcome.out
    assert "      - " in outcome.out
    assert "● direct" in outcome.out


def test_only_the_named_servers_are_probed_and_each_once(
    canary: Canary, world: World, postgres: Postgres
) -> None:
    for name in ("a", "b", "c"):
        world.write(world.server(postgres, name=name))
    seen = postgres.connections_seen()
    outcome = canary("probe", "c", "a", "c")
    assert [line.split()[1] for line in outcome.out.splitlines()[::2]] == ["c", "a"]
    assert postgres.connections_seen() == seen + 2


def test_a_server_that_is_off_is_probed_only_by_name(
    canary: Canary, world: World, postgres: Postgres
) -> None:
    world.write(msgspec.structs.replace(world.server(postgres), enabled=False))
    outcome = canary("probe")
    assert (outcome.status, outcome.out) == (0, "")
    assert "Nothing to probe" in outcome.err
    assert canary("probe", "orders").out.startswith("● orders")


def test_wrong_settings_have_their_json_and_exit_1(canary: Canary, world: World, postgres: Postgres) -> None:
    world.write(world.server(postgres, password=PasswordEnv(env="CANARY_TEST_NOT_SET")))
    outcome = canary("probe", "--json")
    record = msgspec.json.decode(outcome.out)
    assert outcome.status == 1
    assert (record["failure"]["stage"], record["failure"]["cause"]) == ("settings", "password_missing")
    assert "CANARY_TEST_NOT_SET" in record["failure"]["detail"]


@pytest.fixture
def unknown_password(world: World, sshd: Sshd, postgres: Postgres) -> World:
    """A user of whose first server nothing on this machine has the password; the second is well."""
    world.write(world.server(postgres, sshd, password=None), world.server(postgres, name="direct"))
    return world


@pytest.mark.parametrize(
    ("typed", "status", "words"),
    [
        ("{}\n", 0, "● orders"),
        ("not-{}\n", 1, "with this password"),
        ("\n", 1, "and there is none"),
    ],
)
def test_at_a_terminal_probe_asks_for_a_password_that_no_source_has(
    unknown_password: World, postgres: Postgres, typed: str, status: int, words: str
) -> None:
    question = f"Password of {postgres.user} on orders:"
    outcome = at_terminal(unknown_password, ["probe"], {question: typed.format(postgres.password)})
    assert outcome.status == status, outcome.out
    shown, asked, after = outcome.out.partition(question)
    assert asked
    assert "● direct" in shown, "the others' results do not wait for the answer"
    assert "orders" not in shown
    assert words in after
    assert postgres.password not in outcome.out


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_ctrl_c_at_the_question_ends_probe_with_130(
    unknown_password: World, postgres: Postgres, key: str
) -> None:
    outcome = at_terminal(unknown_password, ["probe"], {f"Password of {postgres.user} on orders:": key})
    assert outcome.status == 130, outcome.out
    assert "interrupted" in outcome.out
    assert "Traceback" not in outcome.out


def test_without_a_terminal_probe_asks_nobody(unknown_password: World) -> None:
    outcome = spawn(unknown_password, "probe", stdin="a line that is not for it\n")
    assert outcome.status == 1
    assert "Password of" not in outcome.out + outcome.err
    assert "✕ orders" in outcome.out


def test_colour_is_for_terminals_and_never_with_no_color(world: World, postgres: Postgres) -> None:
    world.write(world.server(postgres))
    assert "\x1b[" not in spawn(world, "probe").out
    assert "\x1b[3" in at_terminal(world, ["probe"], {}).out
    assert "\x1b[3" not in at_terminal(world, ["probe"], {}, NO_COLOR="1").out


def test_ctrl_c_while_probing_exits_with_130(world: World) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        database = f"{{host: 127.0.0.1, port: {port}}}"
        world.paths.servers.write_text(f"servers: [{{name: a, engine: mysql, database: {database}}}]")
        process = start(world, "probe")
        silent.settimeout(LIMIT)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            outcome = finish(process)
    assert (outcome.status, outcome.out) == (130, "")
    assert outcome.err.strip() == "interrupted"
