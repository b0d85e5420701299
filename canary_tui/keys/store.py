"""The keys folder: makes each server's key, reads it, moves it aside. A key is never overwritten."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import msgspec

from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.ownership import others_may_change
from canary_tui.paths import NoHome, create_file, expanded, private_folder

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from canary_tui.servers.model import Server

ALGORITHM = "ecdsa-sha2-nistp256"
MAX_KEY_BYTES = 64 * 1024


class StoredKey(msgspec.Struct, frozen=True):
    """A private key that was read, and what may be shown of it."""

    path: Path
    private: asyncssh.SSHKey
    line: str
    """``ecdsa-sha2-nistp256 AAAA… comment``."""
    fingerprint: str
    created: float
    """Unix time, seconds (the file's modification time)."""

    def __repr__(self) -> str:
        return f"StoredKey({self.path}, {self.fingerprint})"


class KeyStore:
    """The keys of one user, in OpenSSH format: ``<name>`` (0600) and ``<name>.pub``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, entry: str) -> Path:
        """Return the file that a ``key:`` entry names: one in the keys folder, or a path.

        A ``~user/…`` of nobody stays as it is written: no such file exists.
        """
        if "/" in entry or entry.startswith("~"):
            with suppress(NoHome):
                return self.folder / expanded(entry)
        return self.folder / entry

    def is_ours(self, entry: str) -> bool:
        """Whether a ``key:`` entry names a file of the keys folder; one of another place is left alone."""
        return "/" not in entry and not entry.startswith("~")

    def create(self, name: str, comment: str) -> StoredKey:
        """Make an ECDSA P-256 key called ``name``.

        The files come into being with their permissions and their whole content at once.
        Raises FileExistsError where a key of that name stands, OSError when it cannot be written.
        """
        private = asyncssh.generate_private_key(ALGORITHM, comment=comment)
        folder = private_folder(self.folder)
        path = folder / name
        if path.with_name(f"{name}.pub").exists():
            raise FileExistsError(f"{path}.pub is there already; a key is never overwritten")
        try:
            create_file(path, private.export_private_key("openssh"))
        except FileExistsError:
            raise FileExistsError(f"{path} is there already; a key is never overwritten") from None
        try:
            create_file(path.with_name(f"{name}.pub"), private.export_public_key("openssh"))
        except OSError:
            path.unlink()  # ours, made a moment ago: half a key would stand in the way of the next try
            raise
        return self.load(path)

    def create_further(self, name: str, comment: str, day: date, taken: Collection[str]) -> StoredKey:
        """Make another key for the server ``name``: ``<name>.<YYYYMMDD>``, with ``-2`` … where one stands.

        ``taken`` are names that are not to be used though no file has them. Raises OSError.
        """
        stem = f"{name}.{day:%Y%m%d}"
        for entry in chain([stem], (f"{stem}-{number}" for number in count(2))):
            if entry in taken or (self.folder / entry).exists():
                continue  # a file that no server names was left by a change of key that was broken off
            try:
                return self.create(entry, comment)
            except FileExistsError:
                continue
        raise AssertionError("unreachable")

    def load(self, path: Path, *, any_mode: bool = False) -> StoredKey:
        """Read a private key.

        Raises Failed: ``key_missing``, ``key_permissions`` (others may read it; it is not mended
        silently, for it may have been read already) or ``key_unreadable``. ``any_mode`` is for a key
        that is in use no more: that others may read it is no reason to leave it unchecked.
        """
        facts = {"key_path": str(path)}

        def failed(cause: Cause, detail: str) -> Failed:
            return Failed(cause, stage=Stage.SETTINGS, detail=detail, facts=facts)

        try:
            data, status = _read(path)
        except FileNotFoundError:
            raise failed(Cause.KEY_MISSING, f"{path}: no such file") from None
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise failed(Cause.KEY_UNREADABLE, f"{path}: {words}") from None
        if what := _what_it_is(data):
            raise failed(Cause.KEY_UNREADABLE, f"{path}: {what}")
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077 and not any_mode:
            raise failed(Cause.KEY_PERMISSIONS, f"{path} has mode {mode:04o}; 0600 is needed")
        if not any_mode and (reason := others_may_change(path)):
            facts["exposed"] = reason
            raise failed(Cause.KEY_PERMISSIONS, f"{path} is not used: {reason}")
        try:
            private = asyncssh.import_private_key(data)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
            # asyncssh has no exception of its own for a passphrase that was not given.
            words = "is protected by a passphrase" if "passphrase" in str(error).lower() else str(error)
            raise failed(Cause.KEY_UNREADABLE, f"{path}: {words}") from None
        return StoredKey(
            path=path,
            private=private,
            line=_line(private),
            fingerprint=private.get_fingerprint(),
            created=status.st_mtime,
        )

    def public(self, path: Path) -> tuple[str, str]:
        """Return the public line and the fingerprint of a key that is in use no more.

        From the private key, whatever its mode; where that cannot be read, from the ``.pub`` beside it.
        Raises Failed, as ``load``, when neither can be read.
        """
        try:
            key = self.load(path, any_mode=True)
        except Failed as failed:
            try:
                public = asyncssh.import_public_key(_read(path.with_name(f"{path.name}.pub"))[0])
                return _line(public), public.get_fingerprint()
            except (OSError, ValueError):  # asyncssh's KeyImportError is a ValueError
                raise failed from None
        return key.line, key.fingerprint

    def of_server(self, server: Server, comment: str) -> tuple[StoredKey, bool]:
        """Return the server's key, and whether its ``key:`` entry is to be written.

        A server written by hand has no entry: the key of its name is taken if there is one, else
        made. An entry whose file is gone is ``key_missing``, never silently a new key.
        """
        if server.ssh is not None and server.ssh.key:
            _check_user(server.ssh.key)
            return self.load(self.path(server.ssh.key)), False
        path = self.folder / server.name
        if not path.exists():
            try:
                return self.create(server.name, comment), True
            except FileExistsError:
                pass  # made a moment ago by another run, or only its .pub is left: load tells
            except OSError as error:
                raise Failed(
                    Cause.KEY_UNREADABLE,
                    stage=Stage.SETTINGS,
                    detail=f"the key cannot be written: {error}",
                    facts={"key_path": str(path)},
                ) from None
        return self.load(path), True

    def discard(self, key: StoredKey) -> None:
        """Take back a key that was made a moment ago and that nobody has seen: what it was for failed."""
        key.path.unlink(missing_ok=True)
        key.path.with_name(f"{key.path.name}.pub").unlink(missing_ok=True)

    def set_aside(self, name: str) -> Path | None:
        """Move a key of the keys folder away, under a name with the time; None when there is none."""
        path = self.folder / name
        if not path.is_file():
            return None
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        aside = _free_name(path.with_name(f"{name}.removed-{stamp}"))
        path.rename(aside)
        public = path.with_name(f"{name}.pub")
        if public.exists():
            public.rename(aside.with_name(f"{aside.name}.pub"))
        return aside

    def bring_back(self, aside: Path, name: str) -> None:
        """Undo ``set_aside``. Raises FileExistsError where a key of that name stands again."""
        path, public = self.folder / name, aside.with_name(f"{aside.name}.pub")
        os.link(aside, path)  # link(2) never overwrites, as rename(2) does
        try:
            if public.exists():
                os.link(public, path.with_name(f"{name}.pub"))
        except OSError:
            path.unlink()
            raise
        aside.unlink()
        public.unlink(missing_ok=True)


def _line(key: asyncssh.SSHKey) -> str:
    """Return ``<type> <base64> <comment>``; the comment is whatever the file says."""
    kind, blob, *comment = key.export_public_key("openssh").split(b" ", 2)
    return " ".join([kind.decode(), blob.decode().strip(), *map(Source.KEY_COMMENT.text, comment)]).strip()


def _free_name(path: Path) -> Path:
    tries = 0
    free = path
    while free.exists():
        tries += 1
        free = path.with_name(f"{path.name}-{tries}")
    return free


def _check_user(entry: str) -> None:
    """Raise Failed (``settings_invalid``) for a ``~user/…`` of nobody."""
    try:
        expanded(entry)
    except NoHome as error:
        detail = f"ssh.key: {error.filename}: {error.strerror}"
        raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=detail) from None


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    # Without O_NONBLOCK, opening a FIFO waits for somebody to write to it.
    def at_once(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NONBLOCK)

    with open(path, "rb", opener=at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is no file")
        data = file.read(MAX_KEY_BYTES + 1)
    if len(data) > MAX_KEY_BYTES:
        raise ValueError("is too large for a key")
    return data, status


def _what_it_is(data: bytes) -> str:
    if not data.strip():
        return "is empty"
    if data.startswith((b"ssh-", b"ecdsa-", b"sk-")):
        return "is a public key; the private one is needed"
    return ""
