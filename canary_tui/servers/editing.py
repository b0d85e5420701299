"""Changes to ``servers.yaml`` that leave every other byte as it is.

A change is made in rounds: compare what the text says with what it is to say, make the smallest
edits, read the result, until both are the same. What does not get there is not written.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from canary_tui.servers.edits import Edit, Editor, apply
from canary_tui.servers.nodes import Mapping, Node, Scalar, Sequence, key_text
from canary_tui.servers.problems import BadFile, Problem
from canary_tui.servers.reading import Parsed, parse
from canary_tui.servers.rendering import entry, flow, item, rendered, settings, unset

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server

    Step = Callable[[Editor, Parsed], list[Edit]]

ROUNDS = 12


class NotListed(LookupError):
    """No server of that name is in the file (any more)."""

    def __init__(self, name: str, file: str) -> None:
        super().__init__(f"no server is called {name} in {file}")
        self.name = name


def added(text: str, file: str, server: Server) -> tuple[str, Fleet]:
    """Return the text with a server at the end of its list, and what it says then."""
    before, server = parse(text, file), server.fitting()
    wanted = (*before.fleet.named, server)

    def step(editor: Editor, now: Parsed) -> list[Edit]:
        return _add(editor, now, server) if len(now.fleet.named) < len(wanted) else []

    return _made(before, wanted, step, len(before.fleet.named))


def changed(text: str, file: str, name: str, server: Server) -> tuple[str, Fleet]:
    """Return the text with only those values of ``name`` changed that are not what ``server`` has."""
    before, server = parse(text, file), server.fitting()
    good(before.fleet, name, file)
    index = _index(before.fleet, name, file)
    wanted = list(before.fleet.named)
    wanted[index] = server
    return _made(before, tuple(wanted), lambda editor, now: _change(editor, now, index, server), index)


def removed(text: str, file: str, name: str) -> tuple[str, Fleet]:
    """Return the text without a server, a broken one too. The comments around its entry stay."""
    before = parse(text, file)
    index = _index(before.fleet, name, file)
    wanted = before.fleet.named[:index] + before.fleet.named[index + 1 :]

    def step(editor: Editor, now: Parsed) -> list[Edit]:
        if len(now.fleet.named) == len(wanted):
            return []
        servers = _servers(now)
        if not isinstance(servers, Sequence) or servers.alias:
            return _write_out(editor, now, servers)
        return [editor.remove_item(servers, index)]

    return _made(before, wanted, step, index)


def good(fleet: Fleet, name: str, file: str) -> Server:
    """Return the server of that name. Raises NotListed, and BadFile where its entry has mistakes."""
    try:
        return fleet.need(name)
    except KeyError:
        raise NotListed(name, file) from None


def _index(fleet: Fleet, name: str, file: str) -> int:
    for index, listed in enumerate(fleet.entries):
        if listed.name == name:
            return index
    raise NotListed(name, file)


def _made(before: Parsed, wanted: tuple[Server, ...], step: Step, index: int) -> tuple[str, Fleet]:
    """Go through the rounds; where others hang on this entry by aliases, set them free first."""
    refused: BadFile | None = None
    for start in (before.text, _detached(before, index)):
        try:
            if (result := _rounds(start, before, wanted, step)) is not None:
                return result.text, result.fleet
        except BadFile as error:
            refused = error
    if refused is not None:
        raise refused
    message = "cannot be changed without touching what stands around it; change it by hand"
    raise BadFile((Problem(before.file, 0, f"servers[{index}]", message),))


def _rounds(text: str, before: Parsed, wanted: tuple[Server, ...], step: Step) -> Parsed | None:
    for _ in range(ROUNDS):
        now = parse(text, before.file)
        _refuse_new_mistakes(before.fleet, now.fleet)
        same = now.fleet.defaults == before.fleet.defaults and now.fleet.history == before.fleet.history
        if same and now.fleet.named == wanted:
            return now
        edits = step(Editor(text), now)
        if not edits:
            return None
        text = apply(text, edits)
    return None


def _refuse_new_mistakes(before: Fleet, now: Fleet) -> None:
    """Raise BadFile where an entry has more mistakes than it had. Those that stood there before may stay."""
    counted: Counter[Server] = Counter()
    for fleet, by in ((before, 1), (now, -1)):
        for broken in fleet.broken:
            counted[broken.read] += by * len(broken.problems)
    new = [problem for broken in now.broken if counted[broken.read] < 0 for problem in broken.problems]
    if new:
        raise BadFile(tuple(new))


def _detached(before: Parsed, index: int) -> str:
    """Return the text with the aliases written out whose anchors stand in the entry."""
    servers = _servers(before)
    if not isinstance(servers, Sequence) or index >= len(servers.items):
        return before.text
    here, editor = servers.items[index], Editor(before.text)
    edits = [
        editor.write_out(alias)
        for alias in before.document.aliases
        if here.start <= alias.target.start < here.end and not here.start <= alias.node.start < here.end
    ]
    return apply(before.text, edits)


def _servers(now: Parsed) -> Node | None:
    root = now.document.root
    return _values(root).get("servers") if isinstance(root, Mapping) else None


def _values(mapping: Mapping) -> dict[str | None, Node]:
    return {key_text(key): value for key, value in mapping.pairs}


def _write_out(editor: Editor, now: Parsed, node: Node | None) -> list[Edit]:
    return [editor.write_out(alias) for alias in now.document.aliases if alias.node is node]


def _add(editor: Editor, now: Parsed, server: Server) -> list[Edit]:
    pairs, root, servers = entry(server, now.fleet), now.document.root, _servers(now)
    if root is None or not isinstance(root, Mapping):
        head = [] if editor.text.strip() else ["version: 1"]
        return [editor.insert_lines(len(editor.text), [*head, "servers:", *item(pairs, 2)])]
    if servers is None:
        return editor.add(root, "", {"servers": "[" + flow(pairs) + "]" if root.flow else ""})
    if servers.alias:
        return _write_out(editor, now, servers)
    if isinstance(servers, Sequence) and (servers.items or root.flow):
        return editor.add_item(servers, pairs)
    if root.flow:
        return [editor.replace(servers, [pairs])]
    return editor.begin_list(servers, pairs)


def _change(editor: Editor, now: Parsed, index: int, wanted: Server) -> list[Edit]:
    servers = _servers(now)
    if not isinstance(servers, Sequence) or servers.alias:
        return _write_out(editor, now, servers)
    mapping = servers.items[index]
    if not isinstance(mapping, Mapping) or mapping.alias:
        return _write_out(editor, now, mapping)
    current = now.fleet.named[index]
    if current.ssh is not None and wanted.ssh is None:
        keys = [key_text(key) for key, _ in mapping.pairs]
        return [editor.remove(mapping, keys.index("ssh"))] if "ssh" in keys else []
    new, old = settings(wanted), settings(current)
    differs = {
        path: value
        for path, value in new.items()
        if (path not in old or old[path] != value) and ".".join(path) not in wanted.engine.facts.unused
    }
    if ("engine",) in differs:
        differs.pop(("database", "port"), None)  # the engine may bring it along; the next round sees
        differs = _before_engine(mapping, current, wanted) or differs
    edits = _set(editor, mapping, "server", {path[0]: v for path, v in differs.items() if len(path) == 1})
    for section in ("database", "ssh", "probe"):
        values = {path[1]: value for path, value in differs.items() if path[0] == section and len(path) == 2}
        if values:
            edits += _change_section(editor, now, mapping, section, values=values, wanted=wanted)
    return edits


def _before_engine(mapping: Mapping, current: Server, wanted: Server) -> dict[tuple[str, ...], object]:
    """Return what is to be done before an entry gets another engine.

    The settings that mean nothing with that one go: it would not look at them. A port that it does not
    bring along is written down, or the entry would be wrong until the next round.
    """
    stand = {
        (section, key)
        for section, node in _values(mapping).items()
        if section is not None and isinstance(node, Mapping)
        for key in _values(node)
        if key is not None
    }
    facts, port = wanted.engine.facts, ("database", "port")
    first: dict[tuple[str, ...], object] = {path: None for path in stand if ".".join(path) in facts.unused}
    if facts.default_port is None and (port not in stand or current.database.port != wanted.database.port):
        first[port] = wanted.database.port
    return first


def _change_section(
    editor: Editor, now: Parsed, mapping: Mapping, section: str, *, values: dict[str, object], wanted: Server
) -> list[Edit]:
    node = _values(mapping).get(section)
    if isinstance(node, Mapping):
        return _write_out(editor, now, node) if node.alias else _set(editor, node, section, values)
    whole = entry(wanted, now.fleet).get(section, {})
    if isinstance(node, Scalar):
        return [editor.replace(node, whole)]
    return editor.add(mapping, "server", {section: whole})


def _set(editor: Editor, mapping: Mapping, kind: str, values: dict[str, object]) -> list[Edit]:
    keys = [key_text(key) for key, _ in mapping.pairs]
    edits, new = [], {}
    for key, value in values.items():
        if key not in keys:
            # What is left out here and still set comes from a merge (<<): it takes a null to unset it.
            new[key] = "null" if unset(value) else rendered(value)
        elif unset(value):
            edits.append(editor.remove(mapping, keys.index(key)))
        else:
            edits.append(editor.replace(mapping.pairs[keys.index(key)][1], rendered(value)))
    return edits + (editor.add(mapping, kind, new) if new else [])
