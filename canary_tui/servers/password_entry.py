"""The entry ``password:`` of servers.yaml: where a database password comes from, never the password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.servers import fields
from canary_tui.servers.model import PasswordCommand, PasswordEnv, PasswordKeyring, PasswordSource
from canary_tui.servers.nodes import Mapping, Node, Scalar, Sequence, key_text
from canary_tui.servers.vocabulary import KEYS

if TYPE_CHECKING:
    from canary_tui.servers.blocks import Block
    from canary_tui.servers.unknown import UnknownKeys

WAYS = "{env: VARIABLE}, {command: [program, argument, …]} or {keyring: true}"


def password_source(database: Block, unknown: UnknownKeys) -> PasswordSource | None:
    """Return where the password of a ``database:`` block comes from; None where no source is named.

    What stands there is never repeated in a mistake: it may be the password.
    """
    node, path = database.node("password"), database.at("password")
    if node is None:
        return None
    if not isinstance(node, Mapping):
        message = f"holds no password itself; say where it comes from: {WAYS}"
        database.reader.problem(node, path, message)
        return None
    ways = [(key_text(key), value) for key, value in node.pairs if key_text(key) in KEYS["password"]]
    try:
        source = _source(*ways[0]) if len(ways) == 1 else _source(None, node)
    except ValueError:
        database.reader.problem(node, path, f"is not one of {WAYS}")
        return None
    unknown.add_beside_password(node, path)
    return source


def _source(way: str | None, value: Node) -> PasswordSource | None:
    """Return the source, or None for a keyring that is switched off. Raises ValueError."""
    if way == "env" and isinstance(value, Scalar):
        return PasswordEnv(fields.variable(value.text))
    if way == "keyring" and isinstance(value, Scalar):
        return PasswordKeyring() if fields.boolean(value.text) else None
    if way == "command" and isinstance(value, Sequence):
        words = tuple(item.text for item in value.items if isinstance(item, Scalar))
        if len(words) == len(value.items):
            return PasswordCommand(fields.command(words))
    raise ValueError
