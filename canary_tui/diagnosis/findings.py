"""What an audit's findings mean and what to do about them, in the words of the screen and of the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

CLEAN = "The key reaches its database and nothing else."

FINDINGS: dict[str, str] = {
    "database": "The database is not reached with this key: nothing works until it is.",
    "other_port": "The key reaches other ports of the database's host.",
    "other_host": "The key reaches other hosts through the SSH server.",
    "unix_socket": "The key reaches unix sockets of the SSH server, such as Docker's.",
    "shell": "The key opens a shell on the SSH server.",
    "command": "The key runs commands on the SSH server.",
    "agent": "The key may take an SSH agent along to the SSH server.",
    "reverse_forward": "The key opens ports on the SSH server that lead back to this machine.",
    "reverse_forward_port_1": "The key opens port 1 on the SSH server's loopback; only root may.",
    "root_login": "The login is root: an account without privileges limits what no line can.",
}
"""What it means when a check is not as it should be."""

NEEDS_ANOTHER_ACCOUNT = frozenset({"root_login", "reverse_forward_port_1"})
"""Findings that no line of authorized_keys closes (sshd lets root open any port)."""


def what_to_do(findings: Collection[str], beyond: Collection[str] = (), software: str = "") -> str:
    """Return what to do with the line to install; ``findings``: the checks that are not as they should be.

    ``beyond`` are those that no line closes on the SSH server, which is called ``software``.
    """
    if not NEEDS_ANOTHER_ACCOUNT.union(beyond).issuperset(findings):
        rest = " What it leaves open, no line closes there." if set(beyond).intersection(findings) else ""
        return f"Install this line on the SSH server instead of the one that has the same key.{rest}"
    if not set(beyond).issuperset(findings):
        return (
            "No line closes this. Install the line for an account without privileges, and put that account "
            "into this server's settings."
        )
    return (
        f"The SSH server is {software}: no line closes this there. Leave the line as it is; its "
        "administrator can forbid reverse forwards for everybody (dropbear: the option -k)."
    )
