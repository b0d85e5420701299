"""Where a case of the matrix stands: a user, their servers, and what must hold whatever goes wrong."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from canary_tui.diagnosis.stages import HostKeyOffer
from canary_tui.keys.authorized import restricted_line
from canary_tui.monitor.probe import probe
from tests.harness.process import run
from tests.servers.leftovers import nothing_left
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager

    import pytest

    from canary_tui.diagnosis.stages import Failure, ProbeResult, Stage, StageResult
    from canary_tui.servers.model import Server
    from canary_tui.tunnels.route import Route
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.matrix import Case
    from tests.servers.world import World

    Watch = Callable[[Stage | None, tuple[StageResult, ...]], None]

Thing = TypeVar("Thing")

SLACK = 1.0
"""Seconds over its limit within which a probe must have ended, whatever the other side does."""
QUICK = 1.2
"""Seconds that a probe is given where the other side will be silent."""


class Stand:
    """What a case works with; ``of`` says which case its failures are held against."""

    def __init__(
        self,
        world: World,
        sshd: Sshd,
        postgres: Postgres,
        make_sshd: Callable[..., Sshd],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.world = world
        self.sshd = sshd
        self.postgres = postgres
        self.monkeypatch = monkeypatch
        self.case: Case | None = None
        self._make_sshd = make_sshd
        self._sshds = [sshd]
        self._things = ExitStack()

    @asynccontextmanager
    async def of(self, case: Case) -> AsyncIterator[None]:
        """The time of one case, which must leave nothing behind."""
        self.case = case
        async with nothing_left(self._sshds):
            try:
                yield
            finally:
                await asyncio.to_thread(self._things.close)

    def open(self, thing: AbstractContextManager[Thing]) -> Thing:
        """Start a fake or a server that ends with the case."""
        return self._things.enter_context(thing)

    def finally_(self, call: Callable[[], object]) -> None:
        """Have something undone at the end of the case."""
        self._things.callback(call)

    def own_sshd(self, *options: str, **more: Any) -> Sshd:
        """Start an sshd of the case's own, with lines of sshd_config(5)."""
        sshd = self._make_sshd(list(options), **more)
        self._sshds.append(sshd)
        return sshd

    def server(
        self, ssh: Sshd | None = None, *, timeout: float = 4.0, install: bool = True, **changes: Any
    ) -> Server:
        """Return a server that works; ``changes`` replaces fields of its database."""
        ssh = ssh or self.sshd
        return self.world.server(self.postgres, ssh, timeout=timeout, install=install, **changes)

    def direct(self, *, timeout: float = 4.0, **changes: Any) -> Server:
        """Return a server that works without a tunnel."""
        return self.world.server(self.postgres, timeout=timeout, **changes)

    def moved(self, server: Server, port: int, *, host: str = "127.0.0.1", ssh: Sshd | None = None) -> Server:
        """Return the server with its SSH server somewhere else, the sshd's host keys trusted there too."""
        server = with_ssh(server, port=port, host=host)
        for line in (ssh or self.sshd).host_public_keys:
            self.trust(offer_of(host, port, line))
        return server

    def trust(self, offer: HostKeyOffer, *, replace: bool = False) -> None:
        """Accept a host key, as ``canary trust`` does when a person says yes."""
        self.world.tools.known_hosts.pin(offer, replace=replace)

    def line(self, server: Server) -> str:
        """Return the line to install for a server, as ``canary key`` prints it."""
        return restricted_line(self.world.key(server.name).line, server.database.host, server.database.port)

    async def fails(
        self, server: Server, watch: Watch | None = None, *, route: Route | None = None
    ) -> Failure:
        """Probe, and see the case's failure."""
        failure = (await self.probe(server, watch, route)).failure
        assert failure is not None, "the probe went through"
        return failure

    async def asks(self, server: Server) -> HostKeyOffer:
        """Probe, see the case's failure, and return the question that it puts to a person."""
        offer = (await self.probe(server)).host_key
        assert offer is not None, "there is nothing to trust"
        return offer

    async def works(self, server: Server, *, route: Route | None = None) -> None:
        """Probe, and see it turn green, without the hurry that a case may be in."""
        calm = msgspec.structs.replace(server, probe=msgspec.structs.replace(server.probe, timeout=10.0))
        result = await probe(calm, self.world.tools, route=route)
        assert result.ok, result.failure

    async def probe(
        self, server: Server, watch: Watch | None = None, route: Route | None = None
    ) -> ProbeResult:
        """Probe, and see the case's failure: named, in its stage, within the limit, the result whole."""
        result = await probe(server, self.world.tools, watch=watch, route=route)
        failure = result.failure
        assert failure is not None, "the probe went through"
        assert self.case is not None
        assert (failure.stage, failure.cause) == (self.case.stage, self.case.cause), failure
        assert result.total_ms <= (server.probe.timeout + SLACK) * 1000, "within its limit"
        assert failure.summary
        assert failure.remedies
        assert result.stages[-1].stage is failure.stage
        assert [one.ok for one in result.stages] == [True] * (len(result.stages) - 1) + [False]
        return result


def offer_of(host: str, port: int, line: str) -> HostKeyOffer:
    """Return a host key, given as ``type base64``, as the question that a person would be asked."""
    kind = line.partition(" ")[0]
    return HostKeyOffer(host=host, port=port, key_type=kind, fingerprint="", public_line=line)


def at(stage: Stage, act: Callable[[], object]) -> Watch:
    """Return a ``watch`` for a probe that does something once, when ``stage`` begins."""
    todo = [act]

    def watch(now: Stage | None, _: tuple[StageResult, ...]) -> None:
        if now is stage and todo:
            todo.pop()()

    return watch


def with_database(server: Server, **changes: object) -> Server:
    """Return the server with fields of its database replaced."""
    return msgspec.structs.replace(server, database=msgspec.structs.replace(server.database, **changes))


def command(failure: Failure, *words: str) -> str:
    """Return the one command or setting (in backticks) of the remedies that has all of ``words`` in it."""
    found: set[str] = {code for remedy in failure.remedies for code in re.findall(r"`([^`]+)`", remedy)}
    chosen = [code for code in found if all(word in code for word in words)]
    assert len(chosen) == 1, f"{words}: {chosen}; {failure.remedies}"
    return chosen[0]


def do(line: str, *, owner: tuple[int, int] | None = None, home: Path | None = None) -> str:
    """Run a remedy's command as a person there would; with ``sudo`` they are what we are already."""
    prefix = f"export HOME={home}; " if home is not None else ""
    return run(["sh", "-c", prefix + line.replace("sudo ", "")], owner=owner, cwd=home or Path("/"))


class Names:
    """An honest fake of this machine's resolver for one name; all others go to the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.name = name
        self.look_up: Callable[[], list[str]] = list
        """What looking the name up does: returns its addresses, raises, or hangs."""
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def lead_to(self, *addresses: str) -> None:
        """Have the name lead to addresses, in that order."""
        self.look_up = lambda: list(addresses)

    def _getaddrinfo(self, host: Any, port: Any, *rest: Any, **options: Any) -> list[Any]:
        hosts = self.look_up() if host == self.name else [host]
        return [info for one in hosts for info in self._real(one, port, *rest, **options)]
