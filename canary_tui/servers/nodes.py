"""The text of ``servers.yaml`` as nodes that know where they stand, and what is wrong with it.

The nodes are made from the parser's *events*. Those come one at a time without recursion, so deep
nesting, anchor bombs and the like are refused while they are read, before anything is built of them.
(PyYAML's own node composer recurses in C and crashes the process on deep nesting.)
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec
import yaml

from canary_tui.servers.problems import BadFile, Problem

MAX_BYTES = 8_000_000
"""5,000 servers with every setting written out are 3 MB."""
MAX_DEPTH = 20
MAX_ALIASED = 200_000
"""Nodes that aliases may stand for, all together."""

BOM = "\ufeff"
# YAML 1.1 §5.1, less the byte order mark, which is taken off before.
NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

# libyaml is ten times as fast; PyYAML's own parser gives the same events where it is missing.
_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Scalar(msgspec.Struct, gc=False):
    """One value, as the text that stands in the file (quotes and escapes undone)."""

    text: str
    plain: bool
    """Written without quotes."""
    start: int
    """Where it begins in the text, in characters; an anchor or a tag before it included."""
    end: int
    line: int
    column: int
    alias: bool = False
    """Written as ``*name``: start and end are the alias's, all else is its anchor's."""

    @property
    def null(self) -> bool:
        """Whether nothing is said: ``key:``, ``key: ~`` or ``key: null``."""
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}


class Sequence(msgspec.Struct):
    """A list."""

    items: list[Node]
    flow: bool
    start: int
    end: int
    line: int
    column: int
    alias: bool = False
    size: int = 1


class Mapping(msgspec.Struct):
    """A block of keys with their values, in the file's order, doubles included."""

    pairs: list[tuple[Node, Node]]
    flow: bool
    start: int
    end: int
    line: int
    column: int
    alias: bool = False
    size: int = 1


Node: TypeAlias = Scalar | Sequence | Mapping


class Alias(msgspec.Struct):
    """One ``*name``: where it stands and what it stands for."""

    node: Node
    target: Node


class Document(msgspec.Struct):
    """The nodes of one file. ``root`` is None when there is nothing but comments."""

    root: Node | None
    aliases: list[Alias]


def key_text(node: Node) -> str | None:
    """Return a key's text, or None for a key that is a list or a block."""
    return node.text if isinstance(node, Scalar) else None


def compose(text: str, file: str) -> Document:
    """Return the nodes of ``text`` (without a byte order mark).

    Raises BadFile at the first mistake in the YAML itself: nothing behind it can be trusted.
    """
    bad = NOT_PRINTABLE.search(text)
    if bad:
        line = len(text[: bad.start() + 1].splitlines())
        raise BadFile(
            (Problem(file, line, "", f"has the control character {bad[0]!a}; only text belongs here"),)
        )
    composer = _Composer(file)
    parser = _Parser(text)
    try:
        while (event := parser.get_event()) is not None:
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise BadFile((_yaml_problem(error, text, file),)) from None
    finally:
        parser.dispose()
    return Document(composer.root, composer.aliases)


class _Composer:
    """Builds nodes from events, with a stack of its own."""

    def __init__(self, file: str) -> None:
        self.root: Node | None = None
        self.aliases: list[Alias] = []
        self._file = file
        self._open: list[Sequence | Mapping] = []
        self._keys: list[Node | None] = []
        self._anchors: dict[str, Node] = {}
        self._names: list[str | None] = []
        self._aliased = 0

    # types-PyYAML says that marks may be missing; a parser always sets them.
    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            mark = event.start_mark
            plain = not event.style
            node = Scalar(event.value, plain, mark.index, event.end_mark.index, mark.line + 1, mark.column)
            if event.tag:
                self._check_tag(event)
            if event.anchor:
                self._anchors[event.anchor] = node
            self._put(node)
        elif kind is yaml.MappingStartEvent:
            self._begin(event, Mapping)
        elif kind is yaml.SequenceStartEvent:
            self._begin(event, Sequence)
        elif kind in {yaml.MappingEndEvent, yaml.SequenceEndEvent}:
            self._finish(event.end_mark.index)
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent and self.root is not None:
            raise self._bad(event, "begins a second document; only one belongs into this file")

    def _begin(self, event: Any, make: type[Mapping | Sequence]) -> None:
        self._check_tag(event)
        if len(self._open) >= MAX_DEPTH:
            raise self._bad(event, f"is nested deeper than {MAX_DEPTH} levels")
        mark, flow = event.start_mark, bool(event.flow_style)
        self._open.append(make([], flow, mark.index, mark.index, mark.line + 1, mark.column))
        self._keys.append(None)
        self._names.append(event.anchor)
        if event.anchor:
            self._anchors.pop(event.anchor, None)  # until it is whole, nothing may refer to it

    def _finish(self, end: int) -> None:
        node, name = self._open.pop(), self._names.pop()
        self._keys.pop()
        node.end = end
        if name:
            self._anchors[name] = node
        self._put(node)

    def _alias(self, event: Any) -> None:
        target = self._anchors.get(event.anchor)
        if target is None:
            known = "refers to itself" if event.anchor in self._names else "refers to no anchor before it"
            raise self._bad(event, f"*{event.anchor} {known}")
        self._aliased += 1 if isinstance(target, Scalar) else target.size
        if self._aliased > MAX_ALIASED:
            raise self._bad(event, f"aliases stand for more than {MAX_ALIASED} values")
        mark, end = event.start_mark, event.end_mark.index
        node = msgspec.structs.replace(
            target, start=mark.index, end=end, line=mark.line + 1, column=mark.column, alias=True
        )
        self.aliases.append(Alias(node, target))
        self._put(node)

    def _put(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.size += 1 if isinstance(node, Scalar) else node.size
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif (key := self._keys[-1]) is None:
            self._keys[-1] = node
        else:
            parent.pairs.append((key, node))
            self._keys[-1] = None

    def _check_tag(self, event: Any) -> None:
        if event.tag and event.tag != "!" and not event.tag.startswith("tag:yaml.org,2002:"):
            raise self._bad(event, f"has the tag {event.tag}, which means nothing here")

    def _bad(self, event: Any, message: str) -> BadFile:
        return BadFile((Problem(self._file, event.start_mark.line + 1, "", message),))


def _yaml_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    """Say in one line what the parser stumbled over. Its own text would quote the file, passwords and all."""
    mark = error.problem_mark or error.context_mark
    index = mark.line if mark else 0
    lines = text.splitlines()
    for number in range(min(index, len(lines) - 1), max(index - 2, -1), -1):
        if lines[number].lstrip(" ").startswith("\t"):
            return Problem(file, number + 1, "", "is indented with a tab; YAML is indented with spaces only")
    words = " ".join(filter(None, (error.problem, error.context)))
    return Problem(file, index + 1, "", f"is no YAML: {words}")
