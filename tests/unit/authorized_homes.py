"""Homes in which ``authorized_keys`` is changed, and the shells that change it."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.harness.process import find_binary

SHELLS = [
    shell
    for shell in (["sh"], ["dash"], ["bash", "--posix"], ["bash"], ["busybox", "sh"], ["zsh"], ["fish"])
    if find_binary(shell[0])
]
TYPE = "ecdsa-sha2-nistp256"


def public_line(folder: Path, name: str, comment: str = "querycanary.com") -> str:
    file = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-N", "", "-C", comment, "-f", str(file)], check=True
    )
    return file.with_suffix(".pub").read_text().strip()


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two bare public lines: ours and somebody else's."""
    folder = tmp_path_factory.mktemp("keys")
    return public_line(folder, "ours"), public_line(folder, "theirs", comment="someone else's")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home of o'brien"
    folder.mkdir()
    return folder


def run_in(home: Path, command: str, shell: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``command`` as it would be pasted by a person whose home is ``home``; umask as careless as it "
    "gets."""
    return subprocess.run(
        [*(shell or ["sh"]), "-c", command],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        cwd="/",
        umask=0o002,
        capture_output=True,
        text=True,
        check=False,
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def installed(home: Path) -> str:
    return (home / ".ssh" / "authorized_keys").read_text()


def key_count(file: Path) -> int:
    """How many keys ssh-keygen, which reads the file as sshd does, finds in it."""
    listed = subprocess.run(["ssh-keygen", "-lf", str(file)], capture_output=True, text=True, check=True)
    return len(listed.stdout.splitlines())


BARE = f"{TYPE} AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= querycanary.com"
