"""What every command does alike: exit status, help, files that are wrong, completion; and passwords."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from canary_tui.cli.main import COMMANDS, run
from canary_tui.servers.model import PasswordKeyring
from tests.servers.cli import (
    COMMAND,
    DIRECT,
    LIMIT,
    TUNNEL,
    Canary,
    Outcome,
    at_terminal,
    environment,
    spawn,
)
from tests.servers.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def user(tmp_path: Path) -> World:
    """A user without any server."""
    return World(tmp_path)


@pytest.fixture
def canary(user: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Canary:
    return Canary(user, monkeypatch, capfd)


# password

KEYRING = """
import json, pathlib
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError
FILE = pathlib.Path(__file__).with_name("kept.json")
class Kept(KeyringBackend):
    priority = 1
    def _all(self):
        return json.loads(FILE.read_text()) if FILE.exists() else {}
    def get_password(self, service, username):
        return self._all().get(f"{service}/{username}")
    def set_password(self, service, username, password):
        FILE.write_text(json.dumps(self._all() | {f"{service}/{username}": password}))
    def delete_password(self, service, username):
        kept = self._all()
        if kept.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError("none")
        FILE.write_text(json.dumps(kept))
"""
PASSWORD = "hunter2-secret"


@pytest.fixture
def keyring(user: World) -> dict[str, str]:
    """A keyring that is a file of the test's, as variables of the environment."""
    (user.folder / "testkeyring.py").write_text(KEYRING)
    return {"PYTHONPATH": str(user.folder), "PYTHON_KEYRING_BACKEND": "testkeyring.Kept"}


def test_a_password_is_asked_for_unseen_and_kept_in_the_keyring(
    canary: Canary, user: World, keyring: dict[str, str]
) -> None:
    canary("add", "shop", *DIRECT, "--db-user", "reader")
    question = {"Password of reader on shop:": f"{PASSWORD}\n"}
    outcome = at_terminal(user, ["password", "shop"], question, **keyring)
    assert outcome.status == 0, outcome.out
    assert PASSWORD not in outcome.out
    kept = json.loads((user.folder / "kept.json").read_text())
    assert kept == {"canary-tui/shop: reader@[2001:db8::7]:3306": PASSWORD}
    server = user.tools.file.load().get("shop")
    assert server is not None
    assert server.database.password == PasswordKeyring()
    assert PASSWORD not in user.paths.servers.read_text()
    assert spawn(user, "password", "shop", "--forget", **keyring).status == 0
    assert json.loads((user.folder / "kept.json").read_text()) == {}
    assert spawn(user, "password", "shop", "--forget", **keyring).status == 1


def test_a_machine_without_a_keyring_gets_a_clear_word(canary: Canary, user: World) -> None:
    canary("add", "shop", *DIRECT)
    before = user.paths.servers.read_bytes()
    none = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    outcome = at_terminal(user, ["password", "shop"], {"Password of": f"{PASSWORD}\n"}, **none)
    assert outcome.status == 1
    assert "this system has no keyring; use password: {env: …} or {command: […]} instead" in outcome.out
    assert "Password of" not in outcome.out, "nobody is asked for what cannot be kept"
    assert "Traceback" not in outcome.out
    assert user.paths.servers.read_bytes() == before


def test_without_a_terminal_the_password_is_a_line_of_standard_input(
    canary: Canary, user: World, keyring: dict[str, str]
) -> None:
    canary("add", "shop", *DIRECT)
    outcome = spawn(user, "password", "shop", stdin=f" {PASSWORD} \nmore\n", **keyring)
    assert outcome.status == 0, outcome.err
    assert PASSWORD not in outcome.out + outcome.err
    assert "Warning" not in outcome.err
    (kept,) = json.loads((user.folder / "kept.json").read_text()).values()
    assert kept == f" {PASSWORD} "


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_bytes_that_are_no_text_are_refused_and_not_repeated(
    canary: Canary, user: World, keyring: dict[str, str], errors: str
) -> None:
    canary("add", "shop", *DIRECT)
    reading = {"PYTHONIOENCODING": f"utf-8:{errors}"}
    outcome = spawn(user, "password", "shop", stdin=f"\udcff{PASSWORD}\n", **reading, **keyring)
    assert outcome.status == 2
    assert "is no text" in outcome.err
    assert PASSWORD not in outcome.err


@pytest.mark.parametrize("stdin", ["", "\n", "\r\n"])
def test_an_empty_standard_input_is_no_password(
    canary: Canary, user: World, keyring: dict[str, str], stdin: str
) -> None:
    canary("add", "shop", *DIRECT)
    before = user.paths.servers.read_bytes()
    outcome = spawn(user, "password", "shop", stdin=stdin, **keyring)
    assert (outcome.status, outcome.out) == (2, "")
    assert "no password came on standard input" in outcome.err
    assert not (user.folder / "kept.json").exists()
    assert user.paths.servers.read_bytes() == before


# Every command alike


@pytest.mark.parametrize("command", ["probe", "key", "connect", "remove", "trust", "password"])
def test_an_unknown_name_is_wrong_usage_and_the_known_ones_are_named(canary: Canary, command: str) -> None:
    canary("add", "orders", *TUNNEL)
    canary("add", "shop", *DIRECT)
    outcome = canary(command, "ordres")
    assert (outcome.status, outcome.out) == (2, "")
    assert "there is no server 'ordres'" in outcome.err
    assert "it lists orders, shop" in outcome.err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(canary: Canary, command: str) -> None:
    outcome = canary(command, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: canary {command} [OPTIONS]")


def test_help_and_version(canary: Canary) -> None:
    outcome = canary("--help")
    assert outcome.status == 0
    assert all(f"  {command} " in outcome.out for command in COMMANDS)
    assert "130 interrupted" in " ".join(outcome.out.split())
    version = canary("--version")
    assert (version.status, version.out.split()[:2]) == (0, ["canary,", "version"])


@pytest.mark.parametrize("wrong", [("nonsense",), ("list", "--nonsense"), ("probe", "--nonsense"), ("add",)])
def test_wrong_usage_exits_with_2(canary: Canary, wrong: tuple[str, ...]) -> None:
    outcome = canary(*wrong)
    assert (outcome.status, outcome.out) == (2, "")
    assert "Error: " in outcome.err


def folder(path: Path) -> None:
    path.mkdir()


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def latin(path: Path) -> None:
    path.write_bytes("# café\nservers: []\n".encode("latin-1"))


def huge(path: Path) -> None:
    path.write_bytes(b"# x\n" * 2_500_001)


def tabs(path: Path) -> None:
    path.write_text("servers:\n\t- name: a\n")


def fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [folder, binary, latin, huge, tabs, fifo])
@pytest.mark.parametrize("command", [("list",), ("probe",), ("add", "orders", *TUNNEL)], ids=lambda c: c[0])
def test_a_config_that_cannot_be_read_is_one_message_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None], command: tuple[str, ...]
) -> None:
    path = tmp_path / "mine.yaml"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    status = run(["--config", str(path), *command])
    outcome = Outcome(status, *capsys.readouterr())
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith((str(path), f"{path.name}:"))
    assert len(outcome.err.splitlines()) == 1
    assert before is None or path.read_bytes() == before


def test_another_file_is_named_by_option_or_environment(
    user: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("servers: [{name: shop, engine: mysql, database: {host: db}}]\n")
    assert run(["--config", str(mine), "list"]) == 0
    assert "shop" in capsys.readouterr().out
    monkeypatch.setenv("CANARY_CONFIG", str(mine))
    assert run(["list"]) == 0
    assert "shop" in capsys.readouterr().out


def test_the_application_without_a_terminal_is_wrong_usage(canary: Canary) -> None:
    outcome = canary()
    assert (outcome.status, outcome.out) == (2, "")
    assert "needs a terminal" in outcome.err


def test_a_reader_that_went_away_gets_no_traceback(canary: Canary, user: World) -> None:
    canary("add", "shop", *DIRECT)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [*COMMAND, "list"],
            env=environment(user),
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=LIMIT,
        )
    assert done.stderr == ""


def test_both_names_of_the_command_are_installed(canary: Canary, user: World) -> None:
    from importlib.metadata import entry_points

    from canary_tui.cli.main import main

    for name in ("canary", "canary-tui"):
        (script,) = entry_points(group="console_scripts", name=name)
        assert script.load() is main
    assert spawn(user, "list").status == 0


# Completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_set_up_for_each_shell(user: World, shell: str) -> None:
    outcome = spawn(user, _CANARY_COMPLETE=f"{shell}_source")
    assert outcome.status == 0
    assert "_CANARY_COMPLETE" in outcome.out


def test_server_names_are_completed(canary: Canary, user: World) -> None:
    for name in ("orders", "orders-eu", "shop"):
        canary("add", name, *DIRECT)
    more = {"_CANARY_COMPLETE": "bash_complete", "COMP_WORDS": "canary probe ord", "COMP_CWORD": "2"}
    outcome = spawn(user, **more)
    assert outcome.out.splitlines() == ["plain,orders", "plain,orders-eu"]
    words = {"_CANARY_COMPLETE": "fish_complete", "COMP_WORDS": "canary probe ord", "COMP_CWORD": "ord"}
    assert spawn(user, **words).out.splitlines() == ["plain,orders\tdirect", "plain,orders-eu\tdirect"]
    other = user.folder / "other.yaml"
    other.write_text("servers: [{name: else, engine: mysql, database: {host: db}}]\n")
    more |= {"COMP_WORDS": f"canary --config {other} probe ", "COMP_CWORD": "4"}
    assert spawn(user, **more).out.splitlines() == ["plain,else"]
    other.write_text("servers: [")
    outcome = spawn(user, **more)
    assert (outcome.out.strip(), outcome.err) == ("", ""), (
        "a file that is wrong completes nothing and says nothing"
    )
