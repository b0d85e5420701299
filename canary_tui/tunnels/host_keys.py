"""Known hosts: which host keys a person has trusted, in a file of our own in OpenSSH's format.

Format: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. Hashed names, ``@revoked``, ``@cert-authority`` and
``[host]:port`` are understood. Nothing is ever written here but what a person accepted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed, HostKeyOffer, KnownKey, Stage
from canary_tui.ownership import others_may_change
from canary_tui.paths import expanded, file_state, private_folder, replace_file, settled
from canary_tui.tunnels.known_lines import OddLine, entries, odd_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from canary_tui.tunnels.known_lines import Line

SINCE = "trusted="
"""Marks the time in the comment of a line that we wrote."""
LARGEST = 16 * 1024**2
"""Bytes of a known-hosts file: a hundred thousand keys."""
TOLD = 5
"""How many odd lines are told of one by one."""
EVIDENCE_FILES = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")


class Trust(Enum):
    """What the known-hosts file says about an offered key."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


class HostEntry:
    """What a known-hosts file says about one host and port. Raises OddLine."""

    def __init__(self, text: str | Sequence[Line], host: str, port: int) -> None:
        self.host = host
        self.port = port
        # The bracketed name is matched as it stands: an entry without a port is for port 22 alone.
        name = host_pattern(host, port)
        lines = entries(text) if isinstance(text, str) else text
        self._lines = [line for line in lines if line.names(name)]
        self.keys = self._keys("")
        self.authorities = self._keys("@cert-authority")
        self.revoked = self._keys("@revoked")

    def _keys(self, marker: str) -> list[asyncssh.SSHKey]:
        # A line that is odd has no say about which list it belongs to: its marker may be what is odd.
        found = [line.key() for line in self._lines if line.odd or line.marker == marker]
        return [key for key in found if key is not None]

    @property
    def algorithms(self) -> list[str]:
        """Return the host key algorithms of the trusted keys, to ask for those first."""
        return [algorithm.decode() for key in self.keys for algorithm in key.sig_algorithms]

    def judge(self, key: asyncssh.SSHKey) -> Trust:
        """Say what the file says about a key."""
        if key in self.revoked:
            return Trust.REVOKED
        if key in self.keys:
            return Trust.TRUSTED
        return Trust.CHANGED if self.keys else Trust.UNKNOWN

    def offer(self, key: asyncssh.SSHKey) -> HostKeyOffer:
        """Return the question to put to a person about ``key``."""
        return HostKeyOffer(
            host=self.host,
            port=self.port,
            key_type=key.get_algorithm(),
            fingerprint=key.get_fingerprint(),
            public_line=public_text(key),
            known=tuple(
                KnownKey(key_type=k.get_algorithm(), fingerprint=k.get_fingerprint(), since=self._since(k))
                for k in self.keys
            ),
            evidence=(*self._passed_over(), *evidence(self.host, self.port, key)),
        )

    def _passed_over(self) -> Iterator[str]:
        for line in self._lines:
            if line.marker == "" and line.key() is None:
                kind = Source.KNOWN_HOSTS.text(line.kind)
                yield f"line {line.number} of our own file has a key of a type that we do not know: {kind}"

    def _since(self, key: asyncssh.SSHKey) -> str:
        ours = f"{host_pattern(self.host, self.port)} {public_text(key)} {SINCE}"
        times = [line.text.removeprefix(ours) for line in self._lines if line.text.startswith(ours)]
        return Source.KNOWN_HOSTS.text(times[0]) if times else ""


class KnownHosts:
    """The known-hosts file of one user (mode 0600).

    ``warn`` is told of each line that is not understood, once as long as the file stays as it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warn: Callable[[str], None] | None = None
        self._seen: tuple[int, ...] = ()
        self._known: tuple[Line, ...] = ()
        self._odd: list[Line] = []

    def entry(self, host: str, port: int) -> HostEntry:
        """Return what is known of a host.

        Raises Failed (``settings_invalid``) for a file that is wrong, and for a line of it that names this
        host and is not understood.
        """
        facts = {"known_hosts_path": str(self.path)}
        try:
            if exposed := others_may_change(self.path):
                facts["exposed"] = exposed
                raise PermissionError(errno.EPERM, f"not used: {exposed}")
            return HostEntry(self._lines(), host, port)
        except OddLine as odd:
            facts["known_hosts_line"] = str(odd.number)
            detail = f"{self.path}:{odd.number}: {odd.why}"
        except OSError as error:
            detail = f"{self.path}: {error.strerror or error}"
        raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=detail, facts=facts)

    def pin(self, offer: HostKeyOffer, *, replace: bool = False) -> None:
        """Trust exactly the offered key, as a person decided.

        With ``replace`` the host's other keys are taken out; their lines are kept as comments. A key that is
        trusted already is not written down twice.
        Raises Failed (``settings_invalid``) for a file that is wrong, OSError when it cannot be written;
        it is then as it was.
        """
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = f"{host_pattern(offer.host, offer.port)} {offer.public_line} {SINCE}{stamp}"
        private_folder(self.path.parent)
        with locked(self.path):
            entry = self.entry(offer.host, offer.port)
            if not replace and offer.public_line in map(public_text, entry.keys):
                return
            text = self._read()
            lines = text.removesuffix("\n").split("\n") if text else []
            if replace:
                lines = [_retire(old, entry, stamp) for old in lines]
            replace_file(self.path, _bytes("\n".join([*lines, line, ""])))

    def _lines(self) -> tuple[Line, ...]:
        """Read the file where it has changed since it was read last, and tell of odd lines."""
        state = file_state(self.path)
        if state and state == self._seen:
            return self._known
        lines = tuple(entries(self._read()))
        self._known, self._seen = lines, state if settled(self.path) else ()
        before, self._odd = self._odd, odd_lines(lines)
        if self.warn is not None and self._odd != before:
            for line in self._odd[:TOLD]:
                self.warn(f"{self.path}:{line.number}: passed over: {line.odd}")
            if more := len(self._odd[TOLD:]):
                self.warn(f"{self.path}: {more} more lines are passed over")
        return lines

    def _read(self) -> str:
        try:
            return _text(_content(self.path))
        except FileNotFoundError:
            return ""


def _content(path: Path) -> bytes:
    """Return a file's bytes. Raises OSError for what is none, or much too large to be one of these."""
    # Not to wait for somebody who writes into a pipe.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        if found.st_size > LARGEST:
            raise OSError(errno.EFBIG, f"it is larger than {LARGEST // 1024**2} MB")
        return file.read(LARGEST)


def _text(data: bytes) -> str:
    """Decode so that ``_bytes`` gives back every byte: comments may be in any encoding."""
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def host_pattern(host: str, port: int) -> str:
    """Return a host as known-hosts files name it: ``host``, or ``[host]:port`` for other ports than 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def public_text(key: asyncssh.SSHKey) -> str:
    """Return ``<type> <base64>``, a public key without its comment."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def evidence(host: str, port: int, key: asyncssh.SSHKey) -> tuple[str, ...]:
    """Say what other known-hosts files of this machine hold about a key: for a person to weigh."""
    said = []
    for name in EVIDENCE_FILES:
        try:
            verdict = HostEntry(_text(_content(expanded(name))), host, port).judge(key)
        except (OSError, ValueError):
            continue  # evidence that cannot be read is no evidence
        if verdict is Trust.TRUSTED:
            said.append(f"{name} trusts this very key for this host")
        elif verdict is Trust.CHANGED:
            said.append(f"{name} has another key for this host")
        elif verdict is Trust.REVOKED:
            said.append(f"{name} has this key marked as revoked")
    return tuple(said)


def _retire(line: str, entry: HostEntry, stamp: str) -> str:
    """Turn a line that trusts a key of this host into a comment."""
    if line.startswith(("#", "@")) or not line.strip():
        return line
    if HostEntry(line, entry.host, entry.port).keys:
        return f"# replaced {stamp}: {line}"
    return line


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that every program editing ``path`` takes (flock(2) on a file beside it)."""
    lock = path.with_name(f".{path.name}.lock")
    with lock.open("a") as file:
        lock.chmod(0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
