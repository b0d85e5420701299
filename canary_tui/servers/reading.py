"""Nodes of ``servers.yaml`` to the model, with every mistake of the file reported, not only the first.

A mistake in a server's entry takes that server out; one outside the entries makes the whole file unusable.

Scalars are read as the text that stands there and converted field by field: YAML's own idea of a
value (``no`` is false, ``0123`` is 83) never gets a say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from canary_tui.servers import fields
from canary_tui.servers.blocks import Block, shown, what
from canary_tui.servers.fleet import BrokenServer, Defaults, Fleet, HistoryLimits
from canary_tui.servers.model import (
    Database,
    Engine,
    Listen,
    ProbePlan,
    Server,
    SshServer,
    TlsMode,
)
from canary_tui.servers.nodes import Document, Node, Scalar, Sequence, compose
from canary_tui.servers.password_entry import password_source
from canary_tui.servers.problems import BadFile, Problem
from canary_tui.servers.unknown import UnknownKeys

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_SERVERS = 10_000
"""Read in a second; far more than one process can hold tunnels to."""

VERSION = 1
"""The file's version that is known. What a newer one adds is left alone."""
NEWER = re.compile(r"0*(?P<major>[1-9][0-9]{0,5})(?:\.[0-9]{1,6}){0,2}\Z")

engine = fields.choice(Engine)
ENGINES = f"{', '.join(list(Engine)[:-1])} or {list(Engine)[-1]}"
tls = fields.choice(TlsMode)
listen = fields.choice(Listen)


class Parsed(msgspec.Struct):
    """A file that can be used: what it says, and where."""

    fleet: Fleet
    document: Document
    text: str
    file: str


def parse(text: str, file: str) -> Parsed:
    """Return what ``text`` (without a byte order mark) says.

    Raises BadFile with every mistake of the file where one of them is not a single server's.
    """
    document = compose(text, file)
    reader = _Reader(file, document)
    fleet = reader.fleet(document.root)
    if reader.problems:
        found = (*reader.problems, *(problem for entry in fleet.broken for problem in entry.problems))
        newer = [problem for problem in fleet.warnings if problem.path == "version"]
        raise BadFile(tuple(sorted((*newer, *found), key=lambda problem: problem.line)))
    return Parsed(fleet, document, text, file)


class _Reader:
    """Reads one file and collects its mistakes."""

    def __init__(self, file: str, document: Document) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._unknown = UnknownKeys(file, document)
        self._names: dict[str, int] = {}
        self._ports: dict[int, tuple[str, int]] = {}

    def problem(self, where: Node | int, path: str, message: str) -> None:
        line = where if isinstance(where, int) else where.line
        self.problems.append(Problem(self._file, line, path, message))

    def unknown(self, block: Block, key: str) -> None:
        self._unknown.add(block, key)

    def scalar(self, node: Node, path: str, convert: Callable[[str], T], default: T) -> T:
        if not isinstance(node, Scalar):
            self.problem(node, path, f"is {what(node)}, where a single value belongs")
            return default
        try:
            return convert(node.text)
        except ValueError as error:
            self.problem(node, path, f"{shown(node.text)} {error}")
            return default

    def fleet(self, root: Node | None) -> Fleet:
        top = Block(self, root, "", "")
        if not (root is None or top.given or (isinstance(root, Scalar) and root.null)):
            self.problems.clear()
            self.problem(root, "", f"is {what(root)}, where version: and servers: belong")
        newer = self._newer(top)
        defaults = self._defaults(top)
        history = Block(self, top.node("history"), "history", "history")
        limits = HistoryLimits()
        servers, broken = self._servers(top, defaults)
        return Fleet(
            servers=servers,
            broken=broken,
            defaults=defaults,
            history=HistoryLimits(
                raw=history.get("raw", fields.kept, limits.raw),
                rollups=history.get("rollups", fields.kept, limits.rollups),
                max_size=history.get("max_size", fields.size, limits.max_size),
            ),
            warnings=self._unknown.warnings(newer),
        )

    def _newer(self, top: Block) -> Problem | None:
        """Check the version; return the warning of one that is newer than what is known here."""
        node = top.node("version")
        if node is None:
            return None
        found = NEWER.match(node.text) if isinstance(node, Scalar) else None
        if found is None:
            said = shown(node.text) if isinstance(node, Scalar) else what(node)
            self.problem(node, "version", f"{said} is no version; {VERSION} is the one known here")
        elif int(found["major"]) > VERSION:
            message = f"{shown(found[0])} is newer than {VERSION}, the one known here"
            return Problem(self._file, node.line, "version", message)
        return None

    def _servers(self, top: Block, defaults: Defaults) -> tuple[tuple[Server, ...], tuple[BrokenServer, ...]]:
        """Return the servers that can be used, and those with mistakes in their entries."""
        node = top.node("servers")
        if "servers" not in top.values:
            self._misnamed(top)
        elif node is not None and not isinstance(node, Sequence):
            self.problem(node, "servers", f"is {what(node)}, where a list (- name: …) belongs")
        items = node.items if isinstance(node, Sequence) else []
        if len(items) > MAX_SERVERS:
            message = f"has {len(items)} servers; {MAX_SERVERS} is the most"
            self.problem(items[MAX_SERVERS], "servers", message)
            items = []
        servers, broken = [], []
        of_the_file, self.problems = self.problems, []
        for index, item in enumerate(items):
            path = f"servers[{index}]"
            server, unique = self._server(item, path, defaults)
            if self.problems:
                name = server.name if unique else path
                own, self.problems = tuple(self.problems), []
                broken.append(BrokenServer(name=name, index=index, problems=own, read=server))
            else:
                servers.append(server)
        self.problems = of_the_file
        return tuple(servers), tuple(broken)

    def _misnamed(self, top: Block) -> None:
        """A list under another name is a mistake: an empty list would close every tunnel."""
        if other := top.misnamed("servers"):
            self.problem(top.line, "servers", f"is missing; {other} is not its name")

    def _defaults(self, top: Block) -> Defaults:
        block = Block(self, top.node("defaults"), "defaults", "defaults")
        return Defaults(
            probe=self._probe(block, ProbePlan()),
            key_comment=block.get("key_comment", fields.words, Defaults().key_comment),
        )

    def _server(self, node: Node, path: str, defaults: Defaults) -> tuple[Server, bool]:
        """Return what an entry says, and whether its name is given and its own."""
        block = Block(self, node, path, "server")
        if isinstance(node, Scalar) and node.null:
            self.problem(node, path, "is empty, where a server's settings belong")
        name = "" if not block.given else block.need("name", fields.name, "")
        unique = bool(name) and name not in self._names
        if unique:
            self._names[name] = block.values["name"].line
        elif name:
            message = f"{name} is the name of another server too (line {self._names[name]})"
            self.problem(block.values["name"], block.at("name"), message)
        if not block.given:
            return Server(name="", engine=Engine.POSTGRESQL, database=Database(host="", port=1)), False
        kind = block.need("engine", engine, Engine.POSTGRESQL, f" ({ENGINES})")
        server = Server(
            name=name,
            enabled=block.get("enabled", fields.boolean, True),
            tags=block.texts("tags"),
            engine=kind,
            database=self._database(block, kind),
            ssh=self._ssh(block, name),
            probe=self._probe(block, defaults.probe, kind),
        )
        return server.fitting(), unique

    def _database(self, server: Block, kind: Engine) -> Database:
        node = server.node("database")
        block = Block(self, node, server.at("database"), "database")
        if node is None:
            self.problem(server.line, block.path, "is missing; its host is needed")
        self._unknown.leave_out(block, kind)
        return Database(
            host=block.need("host", fields.host, "") if block.given else "",
            port=self._database_port(block, kind),
            name=block.get("name", fields.words, ""),
            user=block.get("user", fields.words, ""),
            password=password_source(block, self._unknown),
            tls=block.get("tls", tls, TlsMode.PREFER),
            ca_file=block.get("ca_file", fields.words, ""),
            allow_cleartext=block.get("allow_cleartext", fields.boolean, False),
        )

    @staticmethod
    def _database_port(block: Block, kind: Engine) -> int:
        usual = kind.facts.default_port
        if usual is None and block.given:
            return block.need("port", fields.port, 1, f"; engine: {kind.value} has no usual one")
        return block.get("port", fields.port, usual or 1)

    def _ssh(self, server: Block, name: str) -> SshServer | None:
        if "ssh" not in server.values:
            return None
        block = Block(self, server.values["ssh"], server.at("ssh"), "ssh")
        if not block.given:
            if server.node("ssh") is None:  # what says nothing must not quietly mean: without a tunnel
                self.problem(
                    server.values["ssh"], block.path, "is empty; it needs host and user, or is left out"
                )
            return None
        local_port = block.get("local_port", fields.port, None)
        if local_port is not None:
            self._claim(local_port, block, name)
        plan = SshServer(host="", user="")
        return SshServer(
            enabled=block.get("enabled", fields.boolean, plan.enabled),
            host=block.need("host", fields.host, ""),
            port=block.get("port", fields.port, plan.port),
            user=block.need("user", fields.some_words, ""),
            key=block.get("key", fields.words, plan.key),
            next_key=block.get("next_key", fields.words, plan.next_key),
            old_key=block.get("old_key", fields.words, plan.old_key),
            local_port=local_port,
            listen=block.get("listen", listen, plan.listen),
            connect_wait=block.get("connect_wait", fields.connect_wait, plan.connect_wait),
            allow_users=self._allow_users(block),
        )

    def _allow_users(self, ssh: Block) -> tuple[str, ...]:
        """Read who else may use the local port: accounts of this machine, each known to it."""
        names = ssh.texts("allow_users", fields.account)
        kind = ssh.node("listen")
        if names and isinstance(kind, Scalar) and kind.text == Listen.SOCKET:
            message = "does not go with listen: socket, whose folder only you can enter"
            self.problem(ssh.values["allow_users"], ssh.at("allow_users"), message)
        return names

    def _claim(self, local_port: int, block: Block, name: str) -> None:
        node = block.values["local_port"]
        if local_port in self._ports:
            other, line = self._ports[local_port]
            message = f"{local_port} is the local port of {other} too (line {line})"
            self.problem(node, block.at("local_port"), message)
        else:
            self._ports[local_port] = (name, node.line)

    def _probe(self, owner: Block, plan: ProbePlan, kind: Engine | None = None) -> ProbePlan:
        node = owner.node("probe")
        if node is None:
            return plan
        block = Block(self, node, owner.at("probe"), "probe")
        if kind is not None:
            self._unknown.leave_out(block, kind)
        return ProbePlan(
            every=block.get("every", fields.every, plan.every),
            timeout=block.get("timeout", fields.timeout, plan.timeout),
            slow_after=block.get("slow_after", fields.slow_after, plan.slow_after),
            query=block.get("query", fields.query, plan.query),
        )
