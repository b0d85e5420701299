"""What a case of the matrix's database half plays on: a user, an sshd, and databases that may be broken."""

from __future__ import annotations

import asyncio
import contextlib
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from canary_tui.servers.model import Engine, TlsMode
from tests.harness.folders import copy_for
from tests.harness.ports import eventually
from tests.harness.postgres import DEFAULT_HBA, Postgres
from tests.servers.leftovers import sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from canary_tui.diagnosis.stages import Failure, ProbeResult
    from canary_tui.servers.model import Server
    from tests.harness.certs import Authority, Certificate
    from tests.harness.mariadb import MariaDB
    from tests.harness.sshd import Sshd
    from tests.servers.matrix import Case
    from tests.servers.world import World

    Real = Postgres | MariaDB

HERE = "127.0.0.1"
"""The SSH server's address as the database sees it: what stands for ADDRESS in a remedy."""
GRACE = 1.0
"""Seconds that a probe may take beyond its limit."""
NAP = {Engine.POSTGRESQL: "select pg_sleep(60)", Engine.MYSQL: "select sleep(60)"}
SESSIONS = {
    Engine.POSTGRESQL: "select count(*) from pg_stat_activity where application_name = 'canary-tui'",
    Engine.MYSQL: "select count(*) from information_schema.processlist where user not in ('root', "
    "'system user')",
}


class Scene:
    """One case's user and servers. What a case changes is put back by what it leaves in ``undo``."""

    def __init__(
        self,
        world: World,
        folder: Path,
        sshd: Sshd,
        postgres: Postgres,
        mariadb: MariaDB,
        authority: Authority,
    ) -> None:
        self.world = world
        self.folder = folder
        self.sshd = sshd
        self.postgres = postgres
        self.mariadb = mariadb
        self.authority = authority
        self.undo = ExitStack()
        self.failure: Failure

    def real(self, engine: Engine) -> Real:
        """The database of that engine: with TLS, for ``localhost``, which 127.0.0.1 is deliberately not."""
        return self.postgres if engine is Engine.POSTGRESQL else self.mariadb

    def server(
        self,
        engine: Engine,
        *,
        direct: bool = False,
        timeout: float = 5.0,
        query: str = "select 1",
        password: str | None = None,
        **changes: Any,
    ) -> Server:
        """Settings that lead to the real database but for ``changes`` of them; the key fits them."""
        self.sshd.deauthorize()
        ssh = None if direct else self.sshd
        server = self.world.server(self.real(engine), ssh, timeout=timeout, **changes)
        if password is not None:
            server = with_database(server, password=self.world.password(server.name, password))
        return msgspec.structs.replace(server, probe=msgspec.structs.replace(server.probe, query=query))

    def server_at(self, database: Real) -> Server:
        """Settings that lead to a database of the case's own."""
        self.sshd.deauthorize()
        return self.world.server(database, self.sshd)

    async def fails(self, server: Server, case: Case) -> None:
        """See the probe fail as the case says, within its time, and leave nothing behind."""
        result = await probe_cleanly(self.world, server)
        assert result.failure is not None, f"passed: {result.stages}"
        self.failure = result.failure
        assert (self.failure.stage, self.failure.cause) == (case.stage, case.cause), self.failure
        assert [stage.ok for stage in result.stages] == [True] * (len(result.stages) - 1) + [False]
        assert result.stages[-1].stage is case.stage
        assert self.failure.summary
        assert self.failure.remedies

    async def passes(self, server: Server) -> None:
        """See the probe turn green."""
        result = await probe_cleanly(self.world, server)
        assert result.ok, result.failure

    def advice(self, start: str, **filled: str) -> str:
        """The command of the last failure's remedies that begins so, with what it leaves open filled in."""
        commands: list[str] = [
            text for line in self.failure.remedies for text in re.findall(r"`([^`]+)`", line)
        ]
        found = next((text for text in commands if text.startswith(start)), None)
        assert found is not None, f"no remedy has {start!r}: {self.failure.remedies}"
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

    def hba(self, *lines: str) -> None:
        """Have these lines of pg_hba.conf, and nothing else, decide; they are taken back at the end."""
        self.undo.callback(self.postgres.set_hba, DEFAULT_HBA)
        self.postgres.set_hba(lines)

    def hba_advice(self, start: str) -> None:
        """Add the line that a remedy tells above those that are there, and load it."""
        line = self.advice(start, ADDRESS=HERE)
        assert self.advice("SELECT pg_reload_conf();")
        self.postgres.set_hba([line, *self.postgres.hba])

    def certificate(self, engine: Engine, certificate: Certificate) -> None:
        """Have the database show another certificate from now on, until the end."""
        before = self.real(engine).tls
        assert before is not None
        self.undo.callback(self._install, engine, before)
        self._install(engine, certificate)

    def _install(self, engine: Engine, certificate: Certificate) -> None:
        database = self.real(engine)
        folder = database.data if isinstance(database, Postgres) else database.folder
        owner = database.account.owner if database.account is not None else None
        copy_for(owner, certificate.cert, folder / "server.crt")
        copy_for(owner, certificate.key, folder / "server.key")
        database.tls = certificate
        if isinstance(database, Postgres):
            database.reload()
        else:
            database.execute("FLUSH SSL")

    def restarted(self, engine: Engine, **settings: str) -> None:
        """Restart the database with these settings beside its own; put them back at the end."""
        database = self.real(engine)

        def put_back() -> None:
            database.settings = {}
            database.restart()

        self.undo.callback(put_back)
        database.settings = settings
        database.restart()

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """A part of the case whose changes are taken back at its end."""
        outer, self.undo = self.undo, ExitStack()
        try:
            with self.undo:
                yield
        finally:
            self.undo = outer

    async def close(self) -> None:
        """Put everything back, and see that no session is left at a database or at the sshd."""
        self.undo.close()
        for engine, query in SESSIONS.items():
            database = self.real(engine)
            await eventually(lambda d=database, q=query: d.execute(q) == "0", what=f"no session at {engine}")  # type: ignore[misc]
        await eventually(lambda: not self.sshd.sessions(), what="no SSH session is left")


async def probe_cleanly(world: World, server: Server, *, garbage: bool = False) -> ProbeResult:
    """Probe once; see it end within its time and leave no task, no socket and no complaint behind.

    With ``garbage`` a driver may complain to the loop that it could not read what was said, beside failing:
    the monitor and the commands send that to the log (``monitor/quiet.py``).
    """
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    tasks, before = asyncio.all_tasks(), sockets()
    async with asyncio.timeout(server.probe.timeout + GRACE):
        result = await world.probe(server)
    assert asyncio.all_tasks() <= tasks
    # What a fake holds of it closes in a thread of its own.
    await eventually(lambda: sockets() <= before, what="every socket is closed")
    unread = {"Fatal error: protocol.data_received() call failed.", "Fatal error on SSL protocol"}
    assert [one for one in reported if not (garbage and one["message"] in unread)] == []
    return result


def with_database(server: Server, **changes: object) -> Server:
    """The server with fields of its database replaced."""
    return msgspec.structs.replace(server, database=msgspec.structs.replace(server.database, **changes))


@contextlib.asynccontextmanager
async def held(world: World, database: Real, server: Server) -> AsyncIterator[None]:
    """One session of the server's user is busy while the block runs."""
    plan = msgspec.structs.replace(server.probe, query=NAP[server.engine], timeout=30.0)
    before = database.logins_seen()
    holding = asyncio.create_task(world.probe(msgspec.structs.replace(server, probe=plan)))
    try:
        await eventually(lambda: database.logins_seen() > before, what="the session is there")
        yield
    finally:
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)


async def in_thread(call: Callable[[], object]) -> None:
    """Run what blocks beside the event loop."""
    await asyncio.to_thread(call)
