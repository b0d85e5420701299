"""The matrix of failures: what a case of it is, and the user and servers with which it is run.

Each ``test_failures_*.py`` keeps its cases in a module-level tuple ``CASES``; ``test_failures_complete.py``
finds them all there and holds them against the contract's causes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from canary_tui.servers.model import Engine, TlsMode
from tests.harness.ports import wait_for
from tests.harness.postgres import DEFAULT_HBA, Postgres
from tests.harness.process import run
from tests.servers.leftovers import nothing_left
from tests.servers.probing import probe_in_time
from tests.servers.sessions import SESSIONS
from tests.servers.world import offer_of, with_database, with_probe, with_ssh

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractContextManager

    import pytest

    from canary_tui.diagnosis.stages import Cause, Failure, HostKeyOffer, ProbeResult, Stage
    from canary_tui.servers.model import Server
    from canary_tui.tunnels.route import Route
    from tests.harness.certs import Authority, Certificate
    from tests.harness.mariadb import MariaDB
    from tests.harness.sshd import Sshd
    from tests.servers.breakable import Breakable
    from tests.servers.world import Watch, World

    Database = Postgres | MariaDB

Thing = TypeVar("Thing")

HERE = "127.0.0.1"
"""The SSH server's address as the database sees it: what stands for ADDRESS in a remedy."""
QUICK = 1.2
"""Seconds that a probe is given where the other side will be silent."""
CALM = 10.0
"""Seconds that a probe is given which must pass."""


@dataclass(frozen=True)
class Case:
    """One way into one cause.

    ``run`` provokes the failure, sees it named with ``cause`` and ``stage``, applies the remedy where a
    program can, and sees the probe turn green.
    """

    name: str
    cause: Cause
    stage: Stage
    run: Callable[[FailureCase], Awaitable[None]]


class FailureCase:
    """The user and the servers of one case. What a case changes is put back by what it leaves in ``undo``."""

    def __init__(
        self,
        world: World,
        sshd: Sshd,
        postgres: Postgres,
        *,
        folder: Path,
        authority: Authority,
        make_sshd: Callable[..., Sshd],
        breakable: Breakable,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.world = world
        self.sshd = sshd
        """As :attr:`shared_postgres`, one that no case changes."""
        self.shared_postgres = postgres
        self.folder = folder
        """Where servers of the case's own may have their files."""
        self.authority = authority
        self.monkeypatch = monkeypatch
        self.failure: Failure
        """The last one seen."""
        self.expected: Case
        self._make_sshd = make_sshd
        self._breakable = breakable
        self._sshds = [sshd]
        self._undo = ExitStack()

    async def run(self, case: Case) -> None:
        """Run a case, which must leave nothing behind."""
        self.expected = case
        async with nothing_left(self._sshds):
            try:
                await case.run(self)
            finally:
                await asyncio.to_thread(self._undo.close)

    def close(self) -> None:
        """Put everything back, and see that no session is left at a database."""
        self._undo.close()
        for engine, database in self._breakable.started.items():
            query = SESSIONS[engine]
            wait_for(lambda d=database, q=query: d.execute(q) == "0", what=f"no session at {engine}")  # type: ignore[misc]

    # Servers, and what ends with the case

    def open(self, thing: AbstractContextManager[Thing]) -> Thing:
        """Start a fake or a server that ends with the case."""
        return self._undo.enter_context(thing)

    def undo(self, call: Callable[..., object], *arguments: object) -> None:
        """Have something called at the end of the case."""
        self._undo.callback(call, *arguments)

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """A part of the case whose changes are taken back at its end."""
        outer, self._undo = self._undo, ExitStack()
        try:
            with self._undo:
                yield
        finally:
            self._undo = outer

    def own_sshd(self, *options: str, **more: Any) -> Sshd:
        """Start an sshd of the case's own, with lines of sshd_config(5)."""
        sshd = self._make_sshd(list(options), **more)
        self._sshds.append(sshd)
        return sshd

    def database(self, engine: Engine) -> Database:
        """The database of an engine that a case may break."""
        return self._breakable.of(engine)

    @property
    def postgres(self) -> Postgres:
        """The PostgreSQL that a case may break."""
        return self._breakable.postgres

    @property
    def mariadb(self) -> MariaDB:
        """The MariaDB that a case may break."""
        return self._breakable.mariadb

    # Settings

    def server(
        self,
        engine: Engine | None = None,
        *,
        ssh: Sshd | None = None,
        direct: bool = False,
        database: Database | None = None,
        install: bool = True,
        timeout: float = 5.0,
        query: str = "select 1",
        password: str | None = None,
        **changes: Any,
    ) -> Server:
        """Settings that work but for ``changes`` of fields of the database; only their key is let in.

        They lead to ``database``; to the one of ``engine`` that the case may break; or to the shared one.
        """
        if database is None:
            database = self.shared_postgres if engine is None else self.database(engine)
        way = None if direct else ssh or self.sshd
        if way is not None and install:
            way.deauthorize()
        server = self.world.server(database, way, timeout=timeout, install=install, **changes)
        if password is not None:
            server = with_database(server, password=self.world.password(server.name, password))
        return with_probe(server, query=query)

    def moved(self, server: Server, port: int, *, host: str = "127.0.0.1", ssh: Sshd | None = None) -> Server:
        """Return the server with its SSH server somewhere else, the sshd's host keys trusted there too."""
        server = with_ssh(server, port=port, host=host)
        for line in (ssh or self.sshd).host_public_keys:
            self.trust(offer_of(host, port, line))
        return server

    def trust(self, offer: HostKeyOffer, *, replace: bool = False) -> None:
        """Accept a host key, as ``canary trust`` does when a person says yes."""
        self.world.tools.known_hosts.pin(offer, replace=replace)

    # Probes

    async def fails(
        self, server: Server, watch: Watch | None = None, *, route: Route | None = None
    ) -> Failure:
        """Probe, and see the case's failure."""
        await self.probe(server, watch, route)
        return self.failure

    async def asks(self, server: Server) -> HostKeyOffer:
        """Probe, see the case's failure, and return the question that it puts to a person."""
        offer = (await self.probe(server)).host_key
        assert offer is not None, "there is nothing to trust"
        return offer

    async def probe(
        self, server: Server, watch: Watch | None = None, route: Route | None = None
    ) -> ProbeResult:
        """Probe, and see the case's failure: named, in its stage, within the limit, the result whole."""
        result = await probe_in_time(self.world, server, watch, route)
        failure = result.failure
        assert failure is not None, f"passed: {result.stages}"
        self.failure = failure
        assert (failure.stage, failure.cause) == (self.expected.stage, self.expected.cause), failure
        assert failure.summary
        assert failure.remedies
        assert result.stages[-1].stage is failure.stage
        assert [one.ok for one in result.stages] == [True] * (len(result.stages) - 1) + [False]
        return result

    async def works(self, server: Server, *, route: Route | None = None) -> None:
        """Probe, and see it turn green, without the hurry that a case may be in."""
        result = await probe_in_time(self.world, with_probe(server, timeout=CALM), route=route)
        assert result.ok, result.failure

    # Remedies

    def advice(self, *words: str, **filled: str) -> str:
        """Return the one command or setting (in backticks) of the last failure's remedies with all ``words``.

        What it leaves open is ``filled`` in.
        """
        remedies = self.failure.remedies
        commands: set[str] = {code for remedy in remedies for code in re.findall(r"`([^`]+)`", remedy)}
        chosen = [code for code in commands if all(word in code for word in words)]
        assert len(chosen) == 1, f"{words}: {chosen}; {remedies}"
        (found,) = chosen
        for name, value in filled.items():
            assert name in found
            found = found.replace(name, value)
        return found

    def follow(self, server: Server, setting: str) -> Server:
        """Settings after ``setting`` (``database.tls: require``), which a remedy must have told."""
        path, _, value = self.advice(setting).partition(": ")
        group, _, field = path.partition(".")
        changed: dict[str, Any] = {field: TlsMode(value) if field == "tls" else value}
        part = msgspec.structs.replace(getattr(server, group), **changed)
        return msgspec.structs.replace(server, **{group: part})

    def hba_advice(self, start: str) -> None:
        """Add the line that a remedy tells above those that are there, and load it."""
        line = self.advice(start, ADDRESS=HERE)
        assert self.advice("SELECT pg_reload_conf();")
        self.postgres.set_hba([line, *self.postgres.hba])

    # Ways to break a database

    def hba(self, *lines: str) -> None:
        """Have these lines of pg_hba.conf, and nothing else, decide; they are taken back at the end."""
        self.undo(self.postgres.set_hba, DEFAULT_HBA)
        self.postgres.set_hba(lines)

    def certificate(self, engine: Engine, certificate: Certificate) -> None:
        """Have the database show another certificate from now on, until the end."""
        database = self.database(engine)
        assert database.tls is not None
        self.undo(database.show, database.tls)
        database.show(certificate)

    def restarted(self, engine: Engine, **settings: str) -> None:
        """Restart the database with these settings beside its own; put them back at the end."""
        database = self.database(engine)

        def put_back() -> None:
            database.settings = {}
            database.restart()

        self.undo(put_back)
        database.settings = settings
        database.restart()


def do(line: str, *, owner: tuple[int, int] | None = None, home: Path | None = None) -> str:
    """Run a remedy's command as a person there would; with ``sudo`` they are what we are already."""
    prefix = f"export HOME={home}; " if home is not None else ""
    return run(["sh", "-c", prefix + line.replace("sudo ", "")], owner=owner, cwd=home or Path("/"))
