"""The command that removes a key's line, in every shell in which people paste it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from canary_tui.keys.authorized import removal, restricted_line
from tests.harness.needs import needs_sshd
from tests.unit.authorized_homes import BARE, SHELLS, home, installed, key_count, lines, mode, run_in

__all__ = ["home", "lines"]  # fixtures


def write(home: Path, text: str) -> Path:
    """Make the account's file of keys."""
    (home / ".ssh").mkdir(mode=0o700)
    file = home / ".ssh" / "authorized_keys"
    file.write_text(text)
    return file


@needs_sshd
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_exactly_the_lines_of_the_key_go_and_running_it_twice_changes_nothing(
    home: Path, lines: tuple[str, str], shell: list[str]
) -> None:
    ours, theirs = lines
    others = f'# was: {ours}\n\n  \tcommand="echo \\"%s\\" $HOME" {theirs}\n'
    limited = restricted_line(ours, "10.0.3.12", 5432)
    file = write(home, f"{limited}\n{others}{ours.rsplit(' ', 1)[0]}")
    for said in ("The key is removed from", "The key is not in"):
        ran = run_in(home, removal(ours), shell)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith(said)
        assert installed(home) == others
    assert (mode(file), key_count(file)) == (0o600, 1)
    assert [one.name for one in (home / ".ssh").iterdir()] == ["authorized_keys"]


@needs_sshd
def test_the_last_line_leaves_an_empty_file(home: Path, lines: tuple[str, str]) -> None:
    write(home, lines[0])
    assert run_in(home, removal(restricted_line(lines[0], "h", 1))).returncode == 0
    assert installed(home) == ""


@needs_sshd
def test_without_the_line_not_a_byte_changes_and_without_the_file_none_is_made(
    home: Path, lines: tuple[str, str]
) -> None:
    ours, theirs = lines
    assert "There is no" in run_in(home, removal(ours)).stdout
    assert not (home / ".ssh").exists()
    file = write(home, f"{theirs}\nno newline")
    before = file.stat()
    assert run_in(home, removal(ours)).returncode == 0
    assert installed(home) == f"{theirs}\nno newline"
    assert (file.stat().st_ino, file.stat().st_mode) == (before.st_ino, before.st_mode)


@needs_sshd
def test_it_writes_through_a_link_and_leaves_it_a_link(home: Path, lines: tuple[str, str]) -> None:
    ours, theirs = lines
    file = write(home, f"{ours}\n{theirs}\n")
    file.rename(home / "keys")
    file.symlink_to("../keys")
    assert run_in(home, removal(ours)).returncode == 0
    assert file.is_symlink()
    assert (home / "keys").read_text() == f"{theirs}\n"


@needs_sshd
def test_a_removal_that_fails_half_way_leaves_the_old_file_whole(home: Path, lines: tuple[str, str]) -> None:
    ours, theirs = lines
    text = f"{ours}\n{theirs}" + "\n" * 5000
    write(home, text)
    assert run_in(home, f"ulimit -f 1; trap '' XFSZ; {removal(ours)}").returncode != 0
    assert installed(home) == text
    assert [one.name for one in (home / ".ssh").iterdir()] == ["authorized_keys"]


def test_it_is_one_line_that_fish_and_csh_read_as_sh_does() -> None:
    command = removal(BARE)
    assert not any(sign in command for sign in ("\n", "!", "\\'", "\\\\"))
    assert shlex.split(command)[:2] == ["sh", "-c"]
    assert shlex.split(command)[3:] == ["sh", BARE.split()[1]]


@pytest.mark.parametrize("bad", ["hello", f"{BARE}\nssh-rsa AAAA evil", ""])
def test_a_text_that_is_no_one_key_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"no public key|no line breaks"):
        removal(bad)
