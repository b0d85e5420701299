"""The ways to install the restricted line, run for real in homes made for the test."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from canary_tui.keys.authorized import restricted_line, script, step_commands
from tests.harness.needs import needs_sshd
from tests.unit.authorized_homes import (
    BARE,
    SHELLS,
    home,
    installed,
    key_count,
    lines,
    mode,
    public_line,
    run_in,
)

__all__ = ["home", "lines"]  # fixtures


@needs_sshd
@pytest.mark.parametrize("before", [None, "", "# note\n{theirs}", "{theirs}\n"])
def test_the_steps_one_by_one_install_the_line(
    home: Path, lines: tuple[str, str], before: str | None
) -> None:
    ours, theirs = lines
    if before is not None:
        (home / ".ssh").mkdir(mode=0o755)
        (home / ".ssh" / "authorized_keys").write_text(before.format(theirs=theirs))
    for command in step_commands(restricted_line(ours, "10.0.3.12", 5432)):
        assert run_in(home, command).stderr == ""
    assert restricted_line(ours, "10.0.3.12", 5432) in installed(home).splitlines()
    assert (theirs in installed(home).splitlines()) is bool(before)
    assert key_count(home / ".ssh" / "authorized_keys") == (2 if before else 1)
    assert (mode(home / ".ssh"), mode(home / ".ssh" / "authorized_keys")) == (0o700, 0o600)


@needs_sshd
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_script_makes_everything_and_running_it_twice_changes_nothing(
    home: Path, lines: tuple[str, str], shell: list[str]
) -> None:
    line = restricted_line(lines[0], "10.0.3.12", 5432)
    for _ in range(2):
        ran = run_in(home, script(line), shell)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert installed(home) == line + "\n"
    assert (mode(home / ".ssh"), mode(home / ".ssh" / "authorized_keys")) == (0o700, 0o600)
    assert [file.name for file in (home / ".ssh").iterdir()] == ["authorized_keys"]
    assert key_count(home / ".ssh" / "authorized_keys") == 1


@needs_sshd
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_script_keeps_every_other_line_and_a_missing_newline_joins_none(
    home: Path, lines: tuple[str, str], shell: list[str]
) -> None:
    ours, theirs = lines
    others = f'# keys of \\n *\n\n  \tcommand="echo \\"%s\\" $HOME" {theirs}'
    (home / ".ssh").mkdir(mode=0o777)
    file = home / ".ssh" / "authorized_keys"
    file.write_text(others)
    file.chmod(0o666)
    for _ in range(2):
        assert run_in(home, script(ours), shell).returncode == 0
        assert installed(home) == f"{others}\n{ours}\n"
    assert (mode(home / ".ssh"), mode(file)) == (0o700, 0o600)
    assert key_count(file) == 2


@needs_sshd
def test_the_script_puts_new_options_on_a_key_that_is_there_already(
    home: Path, lines: tuple[str, str]
) -> None:
    ours, theirs = lines
    new = restricted_line(ours, "10.0.3.12", 5432)
    (home / ".ssh").mkdir()
    old = restricted_line(ours, "localhost", 5432)
    (home / ".ssh" / "authorized_keys").write_text(f"{old}\n{theirs}\n# was: {ours}\n{ours}")
    assert run_in(home, script(new)).returncode == 0
    assert installed(home) == f"{new}\n{theirs}\n# was: {ours}\n"


@needs_sshd
def test_the_script_writes_through_a_link_and_leaves_it_a_link(home: Path, lines: tuple[str, str]) -> None:
    ours, theirs = lines
    (home / ".ssh").mkdir()
    (home / "dotfiles").mkdir()
    (home / "dotfiles" / "keys").write_text(theirs)
    (home / ".ssh" / "authorized_keys").symlink_to("../dotfiles/keys")
    assert run_in(home, script(ours)).returncode == 0
    assert (home / ".ssh" / "authorized_keys").is_symlink()
    assert (home / "dotfiles" / "keys").read_text() == f"{theirs}\n{ours}\n"


@needs_sshd
def test_the_script_copes_with_a_quote_in_the_comment(home: Path, tmp_path: Path) -> None:
    line = public_line(tmp_path, "quoted", comment="o'brien's \"key\" $(id)")
    assert run_in(home, script(line)).returncode == 0
    assert installed(home) == line + "\n"


@needs_sshd
def test_a_script_that_fails_half_way_leaves_the_old_file_whole(home: Path, lines: tuple[str, str]) -> None:
    ours, theirs = lines
    (home / ".ssh").mkdir()
    (home / ".ssh" / "authorized_keys").write_text(theirs + "\n" * 5000)
    ran = run_in(home, f"ulimit -f 1; trap '' XFSZ; {script(ours)}")
    assert ran.returncode != 0
    assert installed(home) == theirs + "\n" * 5000
    assert [file.name for file in (home / ".ssh").iterdir()] == ["authorized_keys"]


def test_the_script_is_one_line_that_fish_and_csh_read_as_sh_does() -> None:
    command = script(restricted_line(BARE, "10.0.3.12", 5432))
    assert "\n" not in command
    assert "!" not in command
    assert "\\'" not in command
    assert "\\\\" not in command
    assert shlex.split(command)[:2] == ["sh", "-c"]
