"""One block of settings: its fields taken one by one, each mistake put on the reader's list."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from canary_tui.servers import fields, vocabulary
from canary_tui.servers.nodes import Mapping, Node, Scalar, Sequence, key_text
from canary_tui.servers.vocabulary import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

MOST_COMPARED = 50
"""Unknown keys of a block that are compared with a setting that is missing."""


class Reader(Protocol):
    """What a block reports to."""

    def problem(self, where: Node | int, path: str, message: str) -> None:
        """Put a mistake on the list."""

    def unknown(self, block: Block, key: str) -> None:
        """Warn of a key of a block that is no setting."""

    def scalar(self, node: Node, path: str, convert: Callable[[str], T], default: T) -> T:
        """Return a value, or ``default`` when it is wrong, which is then on the list."""


class Block:
    """One mapping's fields, taken one by one; each mistake goes to the reader's list."""

    def __init__(self, reader: Reader, node: Node | None, path: str, kind: str) -> None:
        self.reader = reader
        self.path = path
        self.line = node.line if node else 1
        self.given = isinstance(node, Mapping)
        self.values: dict[str, Node] = {}
        self.kind = kind
        self.own: frozenset[str] = frozenset()
        """Keys that stand in the block itself, and are not merged in."""
        self.unknown: dict[str, tuple[Node, Node]] = {}
        """Keys that are no settings, with their values."""
        if isinstance(node, Mapping):
            self._fill(node)
            for key in self.unknown:
                reader.unknown(self, key)
        elif node is not None and not (isinstance(node, Scalar) and node.null):
            reader.problem(
                node, path, f"is {what(node)}, where settings ({', '.join(KEYS[kind][:3])}, …) belong"
            )

    def _fill(self, node: Mapping) -> None:
        lines: dict[str, int] = {}
        for key, value in node.pairs:
            text = key_text(key)
            if text is None:
                self.reader.problem(key, self.path, f"has {what(key)} where a setting's name belongs")
            elif text in lines:
                self.reader.problem(key, self.at(text), f"stands there twice (line {lines[text]} too)")
            else:
                lines[text] = key.line
                self._take(key, text, value)
        self.own = frozenset(lines)
        if "<<" in self.values:
            for key, text, value in merged(self.values.pop("<<")):
                self._take(key, text, value)

    def _take(self, key: Node, text: str, value: Node) -> None:
        if text in KEYS[self.kind] or text == "<<":
            self.values.setdefault(text, value)
        elif not vocabulary.foreign(text):
            self.unknown.setdefault(text, (key, value))

    def at(self, key: str) -> str:
        """Return the path of a field of this block."""
        return f"{self.path}.{shown(key)}" if self.path else shown(key)

    def node(self, key: str) -> Node | None:
        """Return a field's node, or None when it is left out or says nothing."""
        node = self.values.get(key)
        return None if node is None or (isinstance(node, Scalar) and node.null) else node

    def get(self, key: str, convert: Callable[[str], T], default: T) -> T:
        """Return a field's value; ``default`` when it is left out or wrong."""
        node = self.node(key)
        if node is None:
            return default
        return self.reader.scalar(node, self.at(key), convert, default)

    def need(self, key: str, convert: Callable[[str], T], placeholder: T, hint: str = "") -> T:
        """Return the value of a field that may not be left out."""
        if self.node(key) is None:
            other = f" ({other} is not its name)" if (other := self.misnamed(key)) else ""
            self.reader.problem(self.line, self.at(key), f"is missing{other}{hint}")
            return placeholder
        return self.get(key, convert, placeholder)

    def misnamed(self, setting: str) -> str:
        """Return the key that stands there instead of a setting that is missing; empty when none does."""
        first = islice(self.unknown, MOST_COMPARED)
        return next((shown(text) for text in first if vocabulary.ours(self.kind, text) == setting), "")

    def texts(self, key: str, convert: Callable[[str], str] = fields.some_words) -> tuple[str, ...]:
        """Return a list of texts."""
        node = self.node(key)
        if node is None:
            return ()
        if not isinstance(node, Sequence):
            self.reader.problem(node, self.at(key), f"is {what(node)}, where a list [a, b] belongs")
            return ()
        items = enumerate(node.items)
        return tuple(self.reader.scalar(item, f"{self.at(key)}[{i}]", convert, "") for i, item in items)


def what(node: Node) -> str:
    """Return what kind of thing a node is, for a person."""
    if isinstance(node, Scalar):
        return "empty" if node.null else "a single value"
    return "a list" if isinstance(node, Sequence) else "a block of settings"


def shown(text: str) -> str:
    """Return a found value for a message: short, on one line, quoted when its limits would not be seen."""
    text = fields.masked(text[:1000])
    short = text if len(text) <= 60 else text[:59] + "…"
    return short if short and short.isprintable() and " " not in short else repr(short)


def merged(node: Node) -> Iterator[tuple[Node, str, Node]]:
    """Go through what ``<<`` merges in, nearest first (https://yaml.org/type/merge.html)."""
    for source in node.items if isinstance(node, Sequence) else [node]:
        if not isinstance(source, Mapping):
            continue
        for key, value in source.pairs:
            text = key_text(key)
            if text == "<<":
                yield from merged(value)
            elif text is not None:
                yield key, text, value
