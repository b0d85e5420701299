"""Values of the model as YAML text: plain where that is safe for every YAML reader, else quoted."""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

import msgspec
import yaml

from canary_tui.servers.fleet import Fleet
from canary_tui.servers.model import Database, Server, SshServer, format_duration, parse_duration
from canary_tui.servers.nodes import Node, Scalar, Sequence

PLAIN = re.compile(r"[\w/.](?:[\w./@%+~=*()-]|:(?=\S)| (?=\S))*\Z")
SAFE_IN_FLOW = re.compile(r"[^\s,\[\]{}:#&*!|>'\"%@`?-][^\s,\[\]{}#:]*\Z")
ESCAPES = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\t": r"\t", "\r": r"\r"}
RESOLVER = yaml.resolver.Resolver()
STRING = "tag:yaml.org,2002:str"

Text: TypeAlias = "str | list[Text] | dict[str, Text]"
"""Rendered scalars, in lists and blocks."""
Path: TypeAlias = tuple[str, ...]


def scalar(text: str) -> str:
    """Return ``text`` as a YAML scalar that every reader takes for that string."""
    if PLAIN.match(text):
        tag: str = RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        if tag == STRING:
            return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in ESCAPES:
        return ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def duration(seconds: float) -> str:
    """Return a duration that is read back as exactly ``seconds``."""
    text = format_duration(seconds)
    return text if parse_duration(text) == seconds else f"{Decimal(repr(seconds)):f}s"


def rendered(value: object) -> Text:
    """Return a value of the model as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return scalar(str(value.value))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return duration(value)
    if isinstance(value, tuple):
        return [rendered(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return {name: rendered(getattr(value, name)) for name in value.__struct_fields__}
    return scalar(str(value))


def unset(value: object) -> bool:
    """Whether a value is expressed by leaving its key out."""
    return value is None or value in ("", ())


def settings(server: Server) -> dict[Path, object]:
    """Return every setting of a server by its path, such as ``("ssh", "port")``."""
    found: dict[Path, object] = {}
    for name in server.__struct_fields__:
        value = getattr(server, name)
        if name in {"database", "ssh", "probe"}:
            inner = value.__struct_fields__ if value is not None else ()
            found.update({(name, field): getattr(value, field) for field in inner})
        else:
            found[name,] = value
    return found


def entry(server: Server, fleet: Fleet) -> dict[str, Text]:
    """Return what is to be written for a new server: all that is not what it would be anyhow."""
    usual = settings(
        Server(
            name="",
            engine=server.engine,
            database=Database(host="", port=server.engine.facts.default_port or 0),
            ssh=SshServer(host="", user=""),
            probe=fleet.defaults.probe,
        )
    )
    lines: dict[str, Text] = {}
    for path, value in settings(server).items():
        if path != ("engine",) and (value == usual[path] or unset(value)):
            continue
        block = lines
        for section in path[:-1]:
            inner = block.setdefault(section, {})
            assert isinstance(inner, dict)  # noqa: S101 - for mypy: sections are blocks
            block = inner
        block[path[-1]] = rendered(value)
    return lines


def flow(text: Text) -> str:
    """Return a value on one line."""
    if isinstance(text, dict):
        return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in text.items()) + "}"
    if isinstance(text, list):
        return "[" + ", ".join(map(flow, text)) + "]"
    return text


def block(pairs: dict[str, Text], indent: int, step: int = 2) -> list[str]:
    """Return the lines of a block of settings. Sections become blocks, other values stay on their line."""
    lines = []
    for key, value in pairs.items():
        if isinstance(value, dict) and key in {"database", "ssh", "probe"}:
            lines += [" " * indent + f"{key}:", *block(value, indent + step, step)]
        else:
            lines.append(" " * indent + f"{key}: {flow(value)}".rstrip())
    return lines


def item(pairs: dict[str, Text], indent: int, step: int = 2) -> list[str]:
    """Return the lines of a list's item whose dash stands at ``indent``."""
    first, *rest = block(pairs, indent + 2, step)
    return [" " * indent + "- " + first.lstrip(" "), *rest]


def node_flow(node: Node) -> str:
    """Return what a node says on one line, aliases written out."""
    if isinstance(node, Scalar):
        if node.null:
            return "null"
        return node.text if node.plain and SAFE_IN_FLOW.match(node.text) else scalar(node.text)
    if isinstance(node, Sequence):
        return "[" + ", ".join(map(node_flow, node.items)) + "]"
    return "{" + ", ".join(f"{_key(key)}: {node_flow(value)}" for key, value in node.pairs) + "}"


def _key(key: Node) -> str:
    return "<<" if isinstance(key, Scalar) and key.text == "<<" else node_flow(key)
