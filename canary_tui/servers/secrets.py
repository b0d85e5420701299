"""A password in our hands: it cannot print itself, and it is for one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.words import endpoint

if TYPE_CHECKING:
    from canary_tui.servers.model import Server


class Secret:
    """A password that cannot print itself: ``repr`` and ``str`` are ``•••``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the password. Called once, where a driver is given it."""
        return self._value

    def __repr__(self) -> str:
        return "•••"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(("secret", self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def destination(server: Server) -> str:
    """Name the place that a password of a server is for: ``orders: reader@10.0.3.12:5432 behind bastion:22``.

    Another servers file may give the same name to another place, and must not get the password there.
    """
    database, ssh = server.database, server.tunnel
    behind = f" behind {endpoint(ssh.host.lower(), str(ssh.port))}" if ssh is not None else ""
    return f"{server.name}: {server.user}@{endpoint(database.host.lower(), str(database.port))}{behind}"


def missing(detail: str, **facts: str) -> Failed:
    """Return the failure of a source that has no password; ``detail`` says why."""
    return Failed(Cause.PASSWORD_MISSING, stage=Stage.SETTINGS, detail=detail, facts=facts)
