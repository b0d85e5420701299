"""A change of a server's key as facts: the key that is to come, the one that goes, and what a try has shown.

The servers file says how far it is: ``next_key`` is tried and not in use yet; ``old_key`` is in use no
more and its line is still to be removed. Each step is one edit of that file, so a change that is broken
off anywhere leaves a key that works.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Failure
from canary_tui.keys.authorized import KeyInfo

if TYPE_CHECKING:
    from canary_tui.servers.model import Server


class OldKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is in use no more, and how its line is removed."""

    line: str
    """The bare public line: type, key, comment."""
    fingerprint: str
    path: str
    """The private key's file."""
    account: str
    """``user@host``: whose ``authorized_keys`` has the line."""
    script: str
    """One command that removes the line there."""
    needed_by: tuple[str, ...] = ()
    """Servers that log in to the same account with this key: the line must stay for them."""
    lost: bool = False
    """Its private key is gone: whether it is refused cannot be seen."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """How far the change of one server's key is. Without ``next`` and ``old`` none is under way."""

    server: str
    next: KeyInfo | None = None
    """The new key: made, tried at each test, not in use yet."""
    old: OldKey | None = None
    trouble: str = ""
    """Why the new or the old key cannot be shown, with its file; empty when all is well."""
    pending: bool = False
    """A new key is named in the settings, whether its file can be read or not."""
    leaving: bool = False
    """An old key is named in the settings, whether its file can be read or not."""
    made: bool = False
    """The new key was made by this very call."""


class Step(StrEnum):
    """What a try of the keys came to."""

    NOTHING = "nothing"
    """No change of key is under way."""
    FAILED = "failed"
    """It could not be found out, or not be written down; the failure says why."""
    NOT_ACCEPTED = "not_accepted"
    """The new key did not open the way to the database; the old one stays in use."""
    SWITCHED = "switched"
    """The new key opened the way and is in use from now on."""
    STILL_ACCEPTED = "still_accepted"
    """The old key may still log in: its line is not removed yet."""
    FINISHED = "finished"
    """The old key is refused."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What a try of the new or the old key has shown, and what was done about it."""

    server: str
    step: Step
    failure: Failure | None = None
    fingerprint: str = ""
    """Of the key that was tried."""
    old: OldKey | None = None
    """The key whose line is to be removed now."""
    aside: str = ""
    """Where the old key's files were moved to."""

    @property
    def good(self) -> bool:
        """Whether all went as it should: what a command ends with status 0 for."""
        return self.step in {Step.NOTHING, Step.SWITCHED, Step.FINISHED}


def account(server: Server) -> tuple[str, int, str] | None:
    """Return whose ``authorized_keys`` has a server's line: host, port, user. None for a direct one."""
    ssh = server.ssh
    return (ssh.host.lower(), ssh.port, ssh.user) if ssh else None


def same_key(was: Server, now: Server) -> bool:
    """Whether what stands with the key of ``was`` may go on: the same key, or the one that follows it."""
    return (
        now.key_name == was.key_name
        or (was.ssh is not None and now.key_name == was.ssh.next_key)
        or (now.ssh is not None and now.ssh.old_key == was.key_name)
    )
