"""The smallest changes to the text of ``servers.yaml``: where to cut, what to put there."""

from __future__ import annotations

import re

import msgspec

from canary_tui.servers.nodes import Alias, Mapping, Node, Scalar, Sequence, key_text
from canary_tui.servers.rendering import Text, block, flow, item, node_flow
from canary_tui.servers.vocabulary import KEYS

BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
BREAKS = "\n\r\x85\u2028\u2029"
DASH = re.compile(rf"(?:\A|[{BREAKS}])( *)-(?=\s|\Z)")
COMMENT = re.compile(rf"( *)#[^{BREAKS}]*(?:\r\n|[{BREAKS}]|\Z)")


class Edit(msgspec.Struct, frozen=True, order=True):
    """Put ``text`` instead of the characters from ``start`` to ``end``."""

    start: int
    end: int
    text: str


def apply(text: str, edits: list[Edit]) -> str:
    """Return ``text`` with the edits made. Those that touch an earlier one are left for another round."""
    done, at = [], 0
    last = -1
    for edit in sorted(edits):
        if edit.start > last:
            done += [text[at : edit.start], edit.text]
            at = last = edit.end
    return "".join([*done, text[at:]])


def content_end(node: Node) -> int:
    """Return where a node's own text ends. A block's end mark swallows the comments after it."""
    if isinstance(node, Scalar) or node.flow or node.alias:
        return node.end
    if isinstance(node, Sequence):
        return content_end(node.items[-1])
    return content_end(node.pairs[-1][1])


class Editor:
    """Makes edits for one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        found = BREAK.search(text)
        self.newline = found[0] if found else "\n"

    def replace(self, node: Node, value: Text) -> Edit:
        """Write another value in a value's place."""
        text, start, end = flow(value), node.start, content_end(node)
        if start == end:
            return Edit(start, end, text if self.text[start - 1].isspace() else " " + text)
        if isinstance(node, Scalar) and self.text[end - 1] in BREAKS:  # | and > end after their line
            return Edit(start, end, text + self.newline)
        if (
            isinstance(node, Sequence)
            and not node.flow
            and not node.alias
            and isinstance(value, list)
            and value
        ):
            start = self._dash(node, 0)
            indent = self.newline + " " * self._column(start)
            return Edit(start, end, indent.join(f"- {flow(entry)}" for entry in value))
        return Edit(start, end, text)

    def write_out(self, alias: Alias) -> Edit:
        """Put what an alias stands for in its place."""
        return Edit(alias.node.start, alias.node.end, node_flow(alias.target))

    def add(self, mapping: Mapping, kind: str, pairs: dict[str, Text]) -> list[Edit]:
        """Add keys to a block of settings, each after the one that usually stands before it."""
        order = KEYS[kind]
        known = {key_text(key): index for index, (key, _) in enumerate(mapping.pairs)}
        places: dict[int, dict[str, Text]] = {}
        for key in sorted(pairs, key=order.index):
            before = [known[earlier] for earlier in order[: order.index(key)] if earlier in known]
            places.setdefault(before[-1] if before else len(mapping.pairs) - 1, {})[key] = pairs[key]
        return [self._add_after(mapping, index, group) for index, group in places.items()]

    def _add_after(self, mapping: Mapping, index: int, pairs: dict[str, Text]) -> Edit:
        if mapping.flow:
            text = flow(pairs)[1:-1]
            if not mapping.pairs:
                start = self.text.index("{", mapping.start) + 1
                return Edit(start, start, text)
            at = content_end(mapping.pairs[index][1])
            return Edit(at, at, f", {text}")
        column = mapping.pairs[0][0].column
        return self.insert_lines(
            content_end(mapping.pairs[index][1]), block(pairs, column, self._step(mapping))
        )

    def _step(self, mapping: Mapping) -> int:
        """Return by how much this block indents what is inside."""
        column = mapping.pairs[0][0].column
        for _, value in mapping.pairs:
            if isinstance(value, Mapping) and not value.flow and not value.alias:
                return max(value.pairs[0][0].column - column, 1)
        return 2

    def insert_lines(self, after: int, lines: list[str]) -> Edit:
        """Put lines of their own after the line in which ``after`` stands."""
        at = self._line_end(after)
        text = self.newline.join(lines)
        if at and self.text[at - 1] not in BREAKS:
            return Edit(at, at, self.newline + text)
        return Edit(at, at, text + self.newline)

    def remove(self, mapping: Mapping, index: int) -> Edit:
        """Take one key and its value out of a block of settings."""
        key, value = mapping.pairs[index]
        if mapping.flow:
            return self._remove_from_flow(
                [(pair[0].start, content_end(pair[1])) for pair in mapping.pairs], index
            )
        if len(mapping.pairs) == 1:
            return self.replace(value, "null")
        start = self._line_start(key.start)
        if self.text[start : key.start].strip(" "):  # it stands behind the dash of its list item
            return Edit(key.start, mapping.pairs[index + 1][0].start, "")
        return Edit(start, self._line_end(content_end(value)), "")

    def remove_item(self, sequence: Sequence, index: int) -> Edit:
        """Take one item out of a list, with the comments inside it but not those around it."""
        if sequence.flow:
            return self._remove_from_flow([(one.start, content_end(one)) for one in sequence.items], index)
        dash = self._dash(sequence, index)
        start, end = self._line_start(dash), self._item_end(sequence, index)
        if self.text[start:dash].strip(" "):
            start = dash
        return Edit(start, end, "")

    def add_item(self, sequence: Sequence, pairs: dict[str, Text]) -> list[Edit]:
        """Put an item at the end of a list."""
        last = content_end(sequence.items[-1]) if sequence.items else 0
        if sequence.flow:
            if sequence.items:
                return [Edit(last, last, ", " + flow(pairs))]
            return [Edit(sequence.start, sequence.end, "[" + flow(pairs) + "]")]
        column = self._column(self._dash(sequence, 0))
        first = sequence.items[0]
        step = self._step(first) if isinstance(first, Mapping) and not first.flow and not first.alias else 2
        lines = item(pairs, column, step)
        end = self._item_end(sequence, len(sequence.items) - 1)
        if self.text[end - 1] not in BREAKS:
            return [Edit(end, end, self.newline + self.newline.join(lines))]
        return [Edit(end, end, self.newline.join(lines) + self.newline)]

    def begin_list(self, value: Node, pairs: dict[str, Text]) -> list[Edit]:
        """Write a list's first item where there is an empty value or an empty ``[]``, in a block."""
        end = self._line_end(value.end)
        gap = len(self.text[: value.start]) - len(self.text[: value.start].rstrip(" "))
        lines = self.newline.join(item(pairs, 2))
        if end and self.text[end - 1] not in BREAKS:
            lines, tail = self.newline + lines, ""
        else:
            tail = self.newline
        start = value.start - gap if value.start != value.end else value.start
        return [Edit(start, end, self.text[value.end : end] + lines + tail)]

    def _remove_from_flow(self, spans: list[tuple[int, int]], index: int) -> Edit:
        start, end = spans[index]
        if index:
            return Edit(spans[index - 1][1], end, "")
        return Edit(start, spans[1][0] if len(spans) > 1 else end, "")

    def _item_end(self, sequence: Sequence, index: int) -> int:
        """Return where an item's lines end: comments deeper than its dash are its own."""
        column = self._column(self._dash(sequence, index))
        end = self._line_end(content_end(sequence.items[index]))
        while (comment := COMMENT.match(self.text, end)) and len(comment[1]) > column and comment.end() > end:
            end = comment.end()
        return end

    def _dash(self, sequence: Sequence, index: int) -> int:
        """Return where the dash of an item of a block's list stands."""
        start = content_end(sequence.items[index - 1]) if index else sequence.start
        found = DASH.search(self.text[start : sequence.items[index].start])
        return start + found.end() - 1 if found else sequence.items[index].start

    def _line_start(self, at: int) -> int:
        return max(self.text.rfind(char, 0, at) for char in BREAKS) + 1

    def _line_end(self, at: int) -> int:
        if at and self.text[at - 1] in BREAKS:
            return at
        found = BREAK.search(self.text, at)
        return found.end() if found else len(self.text)

    def _column(self, at: int) -> int:
        return at - self._line_start(at)
