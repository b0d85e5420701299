"""The lines of a known-hosts file: which are about a host, and which are not understood.

Format: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. A line that is not understood is named with its number and harms
the hosts that it names, and no other.
"""

from __future__ import annotations

import binascii
import hmac
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.pattern import HostPatternList

from canary_tui.diagnosis.printable import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MARKERS = frozenset({"", "@cert-authority", "@revoked"})
KEY_TYPES = frozenset({
    "ssh-rsa", "ssh-dss", "ssh-ed25519", "ssh-ed448",
    "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"
})  # fmt: skip
"""Those whose keys are read. Lines with others (one that is yet to come) are passed over, as ssh(1) does."""
LONGEST = 32 * 1024
"""Characters of a line: an RSA key of 16,384 bits takes 2,800."""

_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SPECIAL = re.compile(r"[*?|/!]")


class OddLine(ValueError):
    """A line that names the host that is asked about, and is not understood."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number}: {why}")
        self.number = number
        self.why = why


@dataclass(frozen=True)
class Line:
    """One line with an entry. ``hosts`` is its list of patterns; ``odd`` says why it is not understood."""

    number: int
    text: str
    marker: str = ""
    hosts: str = ""
    kind: str = ""
    data: str = ""
    odd: str = ""

    def names(self, host: str) -> bool:
        """Whether it is about ``host``, as known-hosts files spell it: ``name`` or ``[name]:port``."""
        if self.odd and self.hosts.startswith("|"):
            # Whose it is cannot be known. A key that is revoked there is not trusted anywhere.
            return self.marker == "@revoked"
        if not _SPECIAL.search(self.hosts):
            return host in self.hosts.lower().split(",")
        if self.hosts.startswith("|"):
            return _is_hash_of(self.hosts, host)
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            address = None
        matches: bool = HostPatternList(self.hosts.lower()).matches(host, "", address)
        return matches

    def key(self) -> asyncssh.SSHKey | None:
        """Return its key; None for one of a type that is not known. Raises OddLine."""
        if self.odd:
            raise OddLine(self.number, self.odd)
        if self.kind not in KEY_TYPES:
            return None
        try:
            return asyncssh.import_public_key(f"{self.kind} {self.data}")
        except (ValueError, LookupError, ArithmeticError) as error:
            words = Source.KNOWN_HOSTS.text(str(error))
            raise OddLine(self.number, f"its key cannot be read: {words}") from None


def entries(text: str) -> Iterator[Line]:
    """Give the lines of a file, but for empty ones and comments."""
    # Only these end a line: str.splitlines() would end it at a form feed in a comment as well.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        entry = line.strip(" \t\r")
        if entry and not entry.startswith("#"):
            yield _read(number, entry)


def odd_lines(lines: Iterable[Line]) -> list[Line]:
    """Return the lines that are not understood."""
    return [line for line in lines if line.odd]


def _read(number: int, text: str) -> Line:
    head = text[:LONGEST].split(None, 4) or [""]
    marker = head.pop(0) if head[0].startswith("@") else ""
    hosts, kind, data = [*head, "", "", ""][:3]
    # The key ends where its comment begins.
    return Line(number, text[:LONGEST], marker, hosts, kind, data, _why_odd(text, marker, hosts, kind, data))


def _why_odd(text: str, marker: str, hosts: str, kind: str, data: str) -> str:
    if len(text) > LONGEST:
        return f"it is longer than {LONGEST // 1024} kB"
    if _NO_TEXT.search(f"{hosts}{kind}{data}"):
        return "it is not text"
    if marker not in MARKERS:
        return f"{Source.KNOWN_HOSTS.text(marker)!r} is none of the markers @cert-authority and @revoked"
    if not data:
        return "it has no host, key type and key"
    if hosts.startswith("|") and not _HASHED.fullmatch(hosts):
        return "its hashed name is damaged"
    if not _KEY_TYPE.fullmatch(kind):
        return f"{Source.KNOWN_HOSTS.text(kind)!r} is no key type"
    return _why_odd_key(kind, data)


def _why_odd_key(kind: str, data: str) -> str:
    known = kind in KEY_TYPES
    try:
        blob = binascii.a2b_base64(data.encode("ascii"), strict_mode=True)
    except ValueError:
        return "its key is not base64" if known else ""
    # A key begins with the name of its type (RFC 4253 §6.6).
    name = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii", "replace")
    misspelt = known or name in KEY_TYPES
    return f"its key is not of the type {kind}" if misspelt and name != kind else ""


_KEY_TYPE = re.compile(r"[A-Za-z0-9@.+-]+")
_HASHED = re.compile(r"\|1\|[A-Za-z0-9+/]{27}=\|[A-Za-z0-9+/]{27}=")
"""A salt and HMAC-SHA1, 20 bytes each (ssh_config(5), HashKnownHosts)."""


def _is_hash_of(hashed: str, host: str) -> bool:
    _, _, salt, digest = hashed.split("|")
    found = hmac.digest(binascii.a2b_base64(salt), host.encode("utf-8", "surrogateescape"), "sha1")
    return found == binascii.a2b_base64(digest)
