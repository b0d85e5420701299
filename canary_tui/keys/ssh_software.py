"""Which SSH server it is, by its version line, and what a line of its ``authorized_keys`` may say.

A server ignores a *whole line* with an option that it does not know, and its user is locked out. So an option
is used only where the server is known to have it (sshd(8), dropbear(8)); any other server gets those that
OpenSSH and what was made from it have had from the beginning.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

Version = tuple[int, int]

UNKNOWN: Version = (0, 0)
_BANNER = re.compile(
    r"SSH-[0-9.]+-(?:OpenSSH|dropbear)_(?:for_Windows_)?(?P<major>[0-9]{1,4})\.(?P<minor>[0-9]{1,4})"
)
NO_SESSIONS = ("no-agent-forwarding", "no-X11-forwarding", "no-pty")
"""What was there before ``restrict``, in every server."""


class Family(StrEnum):
    """Whose settings an SSH server has."""

    OPENSSH = "openssh"
    DROPBEAR = "dropbear"
    OTHER = "other"


class SshSoftware(msgspec.Struct, frozen=True, kw_only=True):
    """An SSH server's kind and version, and the options that a line for it may have."""

    family: Family
    """Whose remedies hold for it."""
    name: str
    """As a sentence says it: ``OpenSSH 7.4``, ``dropbear 2022.83``, ``not OpenSSH``."""
    options: tuple[str, ...] = NO_SESSIONS
    """What comes first in a line: everything off but port forwarding."""
    permit_open: bool = True
    """``permitopen`` limits forwards to a host and port."""
    permit_listen: bool = False
    """``permitlisten`` limits reverse forwards."""

    @property
    def beyond(self) -> frozenset[str]:
        """Which checks of an audit no line can close on this server."""
        listen = () if self.permit_listen else ("reverse_forward", "reverse_forward_port_1")
        reach = () if self.permit_open else ("other_port", "other_host")
        return frozenset((*listen, *reach))


def _openssh(version: Version) -> SshSoftware:
    name = f"OpenSSH {version[0]}.{version[1]}"
    options = ("restrict", "port-forwarding") if version >= (7, 2) else (*NO_SESSIONS, "no-user-rc")
    return SshSoftware(family=Family.OPENSSH, name=name, options=options, permit_listen=version >= (7, 8))


def _dropbear(version: Version) -> SshSoftware:
    number = f"{version[0]}.{version[1]:02}" if version > UNKNOWN else "of a version that it does not say"
    name = f"dropbear {number}"
    return SshSoftware(family=Family.DROPBEAR, name=name, permit_open=version >= (2022, 83))


USUAL = _openssh((7, 8))
"""What a server is taken for that has not been seen yet: OpenSSH of 2018 and newer."""


def software(banner: str) -> SshSoftware:
    """Return which server shows this version line; an empty one is that of a server not seen yet."""
    if not banner:
        return USUAL
    found = _BANNER.match(banner)
    version = (int(found["major"]), int(found["minor"])) if found else UNKNOWN
    if "dropbear" in banner.lower():
        return _dropbear(version)
    if found is not None:
        return _openssh(version)
    if "openssh" in banner.lower():
        return SshSoftware(family=Family.OPENSSH, name="OpenSSH of a version that it does not say")
    return SshSoftware(family=Family.OTHER, name="not OpenSSH")
