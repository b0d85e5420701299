"""Keys in our blocks of ``servers.yaml`` that are no settings: each is said, with our word for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.servers import vocabulary
from canary_tui.servers.blocks import shown
from canary_tui.servers.model import TlsMode
from canary_tui.servers.nodes import Scalar
from canary_tui.servers.problems import Problem

if TYPE_CHECKING:
    from canary_tui.servers.blocks import Block
    from canary_tui.servers.engine_facts import Engine
    from canary_tui.servers.nodes import Document, Mapping, Node

MAX_WARNINGS = 50
"""Keys that are named; further ones are counted."""
NAMED = 5
"""Keys that the one warning of a newer version names."""


class UnknownKeys:
    """The keys of one file that have no effect."""

    def __init__(self, file: str, document: Document) -> None:
        self._file = file
        self._aliases = document.aliases
        # By where the key stands: what is merged into many blocks is said once.
        self._found: dict[int, Problem] = {}
        self._left_out = 0

    def add(self, block: Block, text: str) -> None:
        """Take an unknown key of a block. One of the whole file that others refer to is there for that."""
        key, value = block.unknown[text]
        if self._is_new(key) and (block.path or not self._is_referred_to(value)):
            now = block.node("tls")
            tls = shown(now.text) if isinstance(now, Scalar) else TlsMode.PREFER.value
            self._put(key, block.at(text), vocabulary.unknown(block.kind, text, tls))

    def add_beside_password(self, node: Mapping, path: str) -> None:
        """Take what stands beside a password's source: repeated only where it is sure to be no password."""
        for key, _ in node.pairs:
            text = key.text if isinstance(key, Scalar) else ""
            if text in vocabulary.KEYS["password"] or vocabulary.foreign(text) or not self._is_new(key):
                continue
            if vocabulary.fold(text) in vocabulary.FOLDED["password"]:
                self._put(key, f"{path}.{text}", vocabulary.unknown("password", text, ""))
            else:
                self._put(key, path, "has a key beside it that is no setting and has no effect")

    def leave_out(self, block: Block, engine: Engine) -> None:
        """Take the settings out of a block that mean nothing with its engine, and say so."""
        unused = [key for key in block.values if f"{block.kind}.{key}" in engine.facts.unused]
        for key in unused:
            node = block.values.pop(key)
            if key in block.own and self._is_new(node):
                message = f"has no effect: engine: {engine.value} has no login and no query"
                self._put(node, block.at(key), message)

    def warnings(self, newer: Problem | None) -> tuple[Problem, ...]:
        """Return one for each key; for a file of a newer version one that names the first of them."""
        found, more = sorted(self._found.values(), key=lambda warning: warning.line), self._left_out
        if newer is None:
            rest = (Problem(self._file, 0, "", f"{more} more keys have no effect"),) if more else ()
            return (*found, *rest)
        paths = [warning.path for warning in found]
        more += len(paths[NAMED:])
        named = ", ".join(paths[:NAMED]) + (f" and {more} more" if more else "")
        effect = f"what is not understood has no effect: {named}" if paths else "all of it is understood"
        return (Problem(newer.file, newer.line, newer.path, f"{newer.message}; {effect}"),)

    def _is_new(self, key: Node) -> bool:
        """Whether a key is to be named."""
        if key.start in self._found or len(self._found) < MAX_WARNINGS:
            return key.start not in self._found
        self._left_out += 1
        return False

    def _put(self, key: Node, path: str, message: str) -> None:
        self._found[key.start] = Problem(self._file, key.line, path, message)

    def _is_referred_to(self, value: Node) -> bool:
        return any(value.start <= alias.target.start < value.end for alias in self._aliases)
