"""The list of servers: everything that ``servers.yaml`` says, good entries and broken ones."""

from __future__ import annotations

import msgspec

from canary_tui.servers.model import Kept, ProbePlan, Server, Size
from canary_tui.servers.problems import BadFile, Problem


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a server's entry may leave out."""

    probe: ProbePlan = ProbePlan()
    key_comment: str = "querycanary.com"


class HistoryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long the past is kept: seconds and bytes."""

    raw: Kept = 3 * 86_400.0
    rollups: Kept = 400 * 86_400.0
    max_size: Size = 2_000_000_000


class BrokenServer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with mistakes in it. Nothing is connected by it."""

    name: str
    """The server's name, or its place (``servers[3]``) where it has none of its own."""
    index: int
    """Its place in the file's list."""
    problems: tuple[Problem, ...]
    read: Server
    """What could be read; everything else of it is as if it were left out."""

    @property
    def through(self) -> str:
        """How it is reached is not known: what says so may be what is wrong."""
        return "settings wrong"

    @property
    def mistakes(self) -> str:
        """Every mistake in one line."""
        return "; ".join(map(str, self.problems))


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``servers.yaml`` says."""

    servers: tuple[Server, ...] = ()
    """Those that are used."""
    broken: tuple[BrokenServer, ...] = ()
    """Those with mistakes. One that is used as it was last good is among ``servers`` too."""
    warnings: tuple[Problem, ...] = ()
    """What has no effect though somebody wrote it."""
    defaults: Defaults = Defaults()
    history: HistoryLimits = HistoryLimits()

    def get(self, name: str) -> Server | None:
        """Return the server of that name that is used, if there is one."""
        return next((server for server in self.servers if server.name == name), None)

    def find(self, name: str) -> Server | BrokenServer | None:
        """Return the entry of that name, good or broken, if there is one."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def need(self, name: str) -> Server:
        """Return the server of that name that is used.

        Raises KeyError where there is none, and BadFile where its entry has mistakes.
        """
        entry = self.find(name)
        if entry is None:
            raise KeyError(name)
        if isinstance(entry, BrokenServer):
            raise BadFile(entry.problems)
        return entry

    @property
    def entries(self) -> tuple[Server | BrokenServer, ...]:
        """Every server once, in the order of the file; a broken one only where it is not used."""
        found: list[Server | BrokenServer] = list(self.servers)
        used = {server.name for server in self.servers}
        for entry in self.broken:
            if entry.name not in used:
                found.insert(entry.index, entry)
        return tuple(found)

    @property
    def named(self) -> tuple[Server, ...]:
        """Every entry as far as it can be read: whose names, ports and keys are taken."""
        return tuple(entry.read if isinstance(entry, BrokenServer) else entry for entry in self.entries)

    def keeping(self, last: Fleet) -> Fleet:
        """Return this list with the enabled broken servers as they were in ``last``, where they were good."""
        if not self.broken:
            return self
        good = {server.name: server for server in last.servers}
        servers: list[Server] = []
        for entry in self.entries:
            if not isinstance(entry, BrokenServer):
                servers.append(entry)
            elif entry.read.enabled and entry.name in good:
                servers.append(good[entry.name])
        return msgspec.structs.replace(self, servers=tuple(servers))
