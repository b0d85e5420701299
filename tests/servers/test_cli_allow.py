"""A servers file from elsewhere names servers, and runs nothing that a person has not allowed."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.accounts import as_user
from tests.servers.cli import COMMAND, Outcome, at_terminal, environment, spawn

if TYPE_CHECKING:
    from tests.servers.world import World

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

FILE = """
servers:
  - name: orders
    engine: {engine}
    database: {{host: {host}, port: 1, user: reader, password: {{command: [{command}]}}}}
"""


class Foreign:
    """A servers file in a folder that is not the user's configuration folder, and what its command leaves."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "cloned" / "servers.yaml"
        self.file.parent.mkdir()
        self.mark = folder / "cloned" / "it ran"
        self.write()

    def write(self, *, host: str = "127.0.0.1", engine: str = "postgresql", more: str = "") -> None:
        text = f"open({str(self.mark)!r}, 'w'); print('pw'){more}"
        command = f'"{sys.executable}", "-c", "{text}"'
        self.file.write_text(FILE.format(host=host, engine=engine, command=command))

    def ran(self) -> bool:
        there = self.mark.exists()
        self.mark.unlink(missing_ok=True)
        return there


@pytest.fixture
def foreign(tmp_path: Path) -> Foreign:
    return Foreign(tmp_path)


def failure(outcome: Outcome) -> dict[str, object]:
    found: dict[str, object] = json.loads(outcome.out)["failure"]
    return found


def probed(world: World, foreign: Foreign) -> Outcome:
    return spawn(world, "--config", str(foreign.file), "probe", "orders", "--json")


def test_it_runs_nothing_unasked_and_says_how_to_allow_it(world: World, foreign: Foreign) -> None:
    found = failure(probed(world, foreign))
    assert not foreign.ran()
    assert (found["stage"], found["cause"]) == ("settings", "password_command_failed")
    assert f"canary allow {foreign.file}" in str(found["remedies"])
    for command in (["connect", "orders", "--", "true"], ["watch"]):
        process = subprocess.Popen(
            [*COMMAND, "--config", str(foreign.file), *command],
            env=environment(world),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if command == ["watch"]:
            assert process.stdout is not None
            for line in process.stdout:
                if "nobody has allowed" in line:
                    break
            process.terminate()
        process.communicate(timeout=30)
        assert not foreign.ran(), command


def test_what_is_allowed_is_that_command_for_that_server_and_nothing_else(
    world: World, foreign: Foreign
) -> None:
    shown = spawn(world, "allow", str(foreign.file), "--yes")
    assert shown.status == 0
    assert "orders: reader@127.0.0.1:1\n  runs: " in shown.out
    assert failure(probed(world, foreign))["cause"] == "connection_refused"
    assert foreign.ran()
    assert "allowed already" in spawn(world, "allow", str(foreign.file)).out
    for change in ({"host": "127.0.0.2"}, {"engine": "mysql"}, {"more": "; print(1)"}):
        foreign.write(**change)
        assert failure(probed(world, foreign))["cause"] == "password_command_failed", change
        assert not foreign.ran(), change
    foreign.write()
    probed(world, foreign)
    assert foreign.ran()
    other = foreign.file.rename(foreign.file.with_name("other.yaml"))
    foreign.file = other
    probed(world, foreign)
    assert not foreign.ran()


def test_it_is_taken_back_with_forget(world: World, foreign: Foreign) -> None:
    spawn(world, "allow", str(foreign.file), "--yes")
    assert spawn(world, "allow", str(foreign.file), "--forget").status == 0
    probed(world, foreign)
    assert not foreign.ran()


def test_without_a_terminal_yes_is_needed_and_a_no_allows_nothing(world: World, foreign: Foreign) -> None:
    refused = spawn(world, "allow", str(foreign.file))
    assert refused.status == 2
    assert "--yes" in refused.err
    answered = at_terminal(world, ["allow", str(foreign.file)], {"run this as you?": "n\n"})
    assert answered.status == 1
    probed(world, foreign)
    assert not foreign.ran()
    assert at_terminal(world, ["allow", str(foreign.file)], {"run this as you?": "y\n"}).status == 0
    probed(world, foreign)
    assert foreign.ran()


def test_a_file_without_commands_and_a_missing_one_are_said(world: World, foreign: Foreign) -> None:
    foreign.file.write_text("servers: []\n")
    nothing = spawn(world, "allow", str(foreign.file))
    assert (nothing.status, nothing.out) == (0, "")
    assert "names no command" in nothing.err
    missing = spawn(world, "allow", str(foreign.file.with_name("no.yaml")))
    assert missing.status == 2
    assert "there is no file" in missing.err


def test_a_damaged_list_of_what_is_allowed_allows_nothing(world: World, foreign: Foreign) -> None:
    spawn(world, "allow", str(foreign.file), "--yes")
    for damage in ("{", "[]", '{"x": 1}'):
        world.paths.allowed.write_text(damage)
        probed(world, foreign)
        assert not foreign.ran(), damage
    assert spawn(world, "allow", str(foreign.file), "--yes").status == 0
    world.paths.allowed.chmod(0o666)
    probed(world, foreign)
    assert not foreign.ran()


def test_a_file_in_ones_own_folder_needs_no_permission_a_link_of_ones_own_neither(
    world: World, foreign: Foreign
) -> None:
    world.paths.servers.symlink_to(foreign.file)
    spawn(world, "probe", "orders")
    assert foreign.ran()
    said = spawn(world, "allow", str(environment(world)["XDG_CONFIG_HOME"]) + "/canary-tui/servers.yaml")
    assert "needs no permission" in said.err


@pytest.mark.parametrize("mode", [0o666, 0o622])
def test_a_servers_file_that_others_may_write_is_refused_with_chmod(
    world: World, foreign: Foreign, mode: int
) -> None:
    text = foreign.file.read_text()
    world.paths.servers.write_text(text)
    world.paths.servers.chmod(mode)
    for command in (["list"], ["probe"], ["watch"], ["key", "orders"], ["remove", "orders", "--yes"]):
        outcome = spawn(world, *command)
        assert outcome.status == 2, command
        assert "every user may write" in outcome.err, command
        assert "chmod o-w" in outcome.err, command
    assert not foreign.ran()
    assert world.paths.servers.read_text() == text


def as_nobody(folder: Path, *arguments: str) -> Outcome:
    """Run ``canary`` as nobody, whose home is ``folder``."""
    done = subprocess.run(
        [*as_user("nobody"), *COMMAND, *arguments],
        env={"HOME": str(folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@as_root
def test_roots_files_need_no_permission_and_other_users_files_are_not_read(
    server_folder: Path,
) -> None:
    home = server_folder / "nobodys"
    home.mkdir()
    os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
    shared = server_folder / "shared.yaml"
    mark = home / "ran"
    command = f'"{sys.executable}", "-c", "open({str(mark)!r}, \'w\'); print(1)"'
    shared.write_text(FILE.format(host="127.0.0.1", engine="postgresql", command=command))
    shared.chmod(0o644)
    said = as_nobody(home, "--config", str(shared), "probe", "orders")
    assert "refuses the connection" in said.out
    assert mark.exists()
    mark.unlink()
    os.chown(shared, 54321, -1)
    refused = as_nobody(home, "--config", str(shared), "probe", "orders")
    assert refused.status == 2
    assert "neither you nor root" in refused.err
    assert not mark.exists()
    os.chown(shared, pwd.getpwnam("nobody").pw_uid, -1)
    asked = as_nobody(home, "--config", str(shared), "probe", "orders")
    assert "nobody has allowed" in asked.out + asked.err
    assert not mark.exists()
