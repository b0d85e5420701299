"""Single probes, the whole way or an engine's client alone, that must leave nothing behind."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from canary_tui.databases.registry import client_for
from canary_tui.diagnosis.stages import Cause, Failed, Stage, StageResult
from canary_tui.diagnosis.trace import Trace
from canary_tui.servers.model import Database, Engine, ProbePlan, Server, TlsMode
from canary_tui.servers.secrets import Secret
from tests.harness.ports import eventually
from tests.servers.leftovers import nothing_under_way, sockets
from tests.servers.tcplink import TcpLink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.tunnels.route import Route
    from tests.servers.world import Watch, World

GRACE = 1.0
"""Seconds that a probe may take beyond its limit, whatever the other side does."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its stages, and the failure with the stage to blame."""

    stages: tuple[StageResult, ...]
    cause: Cause | None = None
    stage: Stage | None = None
    detail: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The stages' names in their order."""
        return [result.stage.value for result in self.stages]

    @property
    def blame(self) -> tuple[Stage | None, Cause | None]:
        """Stage and cause of the failure."""
        return self.stage, self.cause

    def note(self, stage: Stage) -> str:
        """What was noted at a stage."""
        return next(result.note for result in self.stages if result.stage is stage)


@dataclass
class Target:
    """A database and how to log in; ``real_host`` is what the settings call it, whatever the address is."""

    engine: Engine
    address: tuple[str, int]
    user: str = ""
    password: str | None = None
    database: str = ""
    real_host: str = "db.internal"
    tls: TlsMode = TlsMode.PREFER
    ca_file: str = ""
    query: str = "select 1"
    timeout: float = 5.0
    source: str = "127.0.0.1"
    allow_cleartext: bool = False
    had_tls: bool = False

    def server(self) -> Server:
        """The settings."""
        database = Database(
            host=self.real_host,
            port=self.address[1],
            name=self.database,
            user=self.user,
            tls=self.tls,
            ca_file=self.ca_file,
            allow_cleartext=self.allow_cleartext,
        )
        plan = ProbePlan(query=self.query, timeout=self.timeout)
        return Server(name="orders", engine=self.engine, database=database, probe=plan)


async def probe(target: Target) -> Outcome:
    """Run the engine's client once within the target's time, and see that it leaves nothing behind."""
    async with nothing_under_way():
        return await probe_beside_others(target)


async def probe_beside_others(target: Target) -> Outcome:
    """Run the engine's client once within the target's time, where tasks come and go meanwhile."""
    trace = Trace(time.perf_counter)
    server = target.server()
    password = Secret(target.password) if target.password is not None else None
    async with TcpLink(target.address, target.source) as link:
        try:
            async with asyncio.timeout(target.timeout):
                client = client_for(target.engine)
                async with client.session(link, server, password, trace, had_tls=target.had_tls) as session:
                    await session.query(target.query)
        except TimeoutError:
            failed = trace.timed_out()
        except Failed as error:
            failed = error
        else:
            assert trace.stage is Stage.QUERY
            trace.finish()
            return Outcome(trace.results)
    stage = trace.fail(failed)
    return Outcome(trace.results, failed.cause, stage, failed.detail, failed.facts)


async def probe_in_time(
    world: World, server: Server, watch: Watch | None = None, route: Route | None = None
) -> ProbeResult:
    """Probe the whole way once, and see it end within its time."""
    async with asyncio.timeout(server.probe.timeout + GRACE):
        return await world.probe(server, route, watch)


async def probe_cleanly(world: World, server: Server, *, garbage: bool = False) -> ProbeResult:
    """The same, and see that it leaves nothing behind; ``garbage`` as in :func:`nothing_under_way`."""
    before = sockets()
    async with nothing_under_way(garbage=garbage):
        result = await probe_in_time(world, server)
    # What a fake holds of it closes in a thread of its own.
    await eventually(lambda: sockets() <= before, what="every socket is closed")
    return result


def at(stage: Stage, act: Callable[[], object]) -> Watch:
    """Return a ``watch`` for a probe that does something once, when ``stage`` begins."""
    todo = [act]

    def watch(now: Stage | None, _: tuple[StageResult, ...]) -> None:
        if now is stage and todo:
            todo.pop()()

    return watch
