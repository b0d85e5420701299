"""The ways in which a key file cannot be used, and what is said about each."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys.store import MAX_KEY_BYTES

if TYPE_CHECKING:
    from pathlib import Path


def keygen(*arguments: str | Path) -> str:
    done = subprocess.run(["ssh-keygen", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def world_readable(path: Path) -> None:
    path.chmod(0o644)


def encrypted(path: Path) -> None:
    keygen("-p", "-q", "-N", "secret words", "-f", path)


def encrypted_pem(path: Path) -> None:
    keygen("-p", "-q", "-m", "PEM", "-N", "secret words", "-f", path)


def public(path: Path) -> None:
    path.write_bytes(path.with_name("orders.pub").read_bytes())
    path.chmod(0o644)


def huge(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n" * MAX_KEY_BYTES)


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


UNUSABLE = [
    (missing, Cause.KEY_MISSING, "no such file"),
    (empty, Cause.KEY_UNREADABLE, "is empty"),
    (directory, Cause.KEY_UNREADABLE, "Is a directory"),
    (fifo, Cause.KEY_UNREADABLE, "is no file"),
    (world_readable, Cause.KEY_PERMISSIONS, "has mode 0644; 0600 is needed"),
    (encrypted, Cause.KEY_UNREADABLE, "is protected by a passphrase"),
    (encrypted_pem, Cause.KEY_UNREADABLE, "is protected by a passphrase"),
    (public, Cause.KEY_UNREADABLE, "is a public key; the private one is needed"),
    (huge, Cause.KEY_UNREADABLE, "is too large for a key"),
    (binary, Cause.KEY_UNREADABLE, "Invalid private key"),
    (truncated, Cause.KEY_UNREADABLE, ""),
]
