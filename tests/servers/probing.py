"""One run of an engine's client, the way a probe does it, for the tests of the engines."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from canary_tui.databases.registry import client_for
from canary_tui.diagnosis.stages import Cause, Failed, Stage, StageResult
from canary_tui.diagnosis.trace import Trace
from canary_tui.servers.model import Database, Engine, ProbePlan, Server, TlsMode
from canary_tui.servers.secrets import Secret
from tests.servers.tcplink import TcpLink


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its stages, and the failure with the stage to blame."""

    stages: tuple[StageResult, ...]
    cause: Cause | None = None
    stage: Stage | None = None
    detail: str = ""

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
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    tasks = asyncio.all_tasks()
    outcome = await probe_beside_others(target)
    assert asyncio.all_tasks() == tasks
    assert reported == []
    return outcome


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
    return Outcome(trace.results, failed.cause, stage, failed.detail)
