"""One server under watch: its tunnel, and the probes that go through it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failed, ProbeResult, RouteKind, Stage, StageResult
from canary_tui.keys.rotation import same_key
from canary_tui.monitor.events import PasswordWanted, ProbeFinished, ProbeStarted, TunnelState
from canary_tui.monitor.probe import probe
from canary_tui.monitor.schedule import Schedule
from canary_tui.monitor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Server


class Watcher:
    """Holds one server's tunnel and probes through it, never two probes at once.

    ``probes`` limits how many probes are under way over all servers. ``clock`` gives seconds and never
    steps back.
    """

    def __init__(
        self,
        server: Server,
        tools: Tools,
        emit: Callable[[AnyEvent], None],
        *,
        probes: asyncio.Semaphore,
        chance: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = server
        self.supervisor = Supervisor(server, tools, emit, chance=chance)
        self.schedule = Schedule(clock, chance)
        self._tools = tools
        self._emit = emit
        self._probes = probes
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Hold the tunnel and probe until cancelled; then everything is closed."""
        work = (self.supervisor.run(), self._probe_for_ever(), self._stopped.wait())
        tasks = [asyncio.create_task(one, name=f"watch {self.server.name}") for one in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.shield(asyncio.wait(tasks))
        for task in tasks:
            if not task.cancelled():
                task.result()

    def stop(self) -> None:
        """End ``run``, as cancelling it does: the settings ask for another tunnel, or for none."""
        self._stopped.set()

    def adopt(self, server: Server) -> None:
        """Take over settings that leave the tunnel as it is (how it is probed, and the login)."""
        other_key = server.key_name != self.server.key_name
        self.server = server
        self.supervisor.adopt(server)
        if other_key and self.supervisor.state is not TunnelState.UP:
            self.supervisor.retry_now()
        self.schedule.now()

    def retry_now(self) -> None:
        """A person acted: try the tunnel and the probe at once."""
        self.supervisor.retry_now()
        self.schedule.now()

    def woke(self) -> None:
        """The machine woke up, or its network changed: try again what waits for nothing else."""
        self.supervisor.woke()
        self.schedule.soon()

    async def _probe_for_ever(self) -> None:
        while True:
            await self.schedule.wait()
            await self.supervisor.settled(self.server.probe.timeout)
            if self.supervisor.state is TunnelState.OPENING and self.supervisor.failure is None:
                continue  # it waits for its turn to log in, and nothing is known yet, neither good nor bad
            openings = self.supervisor.openings
            async with self._probes:
                result = await self._probe()
            cause = result.failure.cause if result.failure else None
            self._emit(ProbeFinished(at=time.time(), result=result))
            if cause is not None and ROWS[cause].doubts_tunnel:
                self.supervisor.verify()
            if cause is Cause.PASSWORD_MISSING:
                self._emit(PasswordWanted(at=time.time(), server=self.server.name))
            self.schedule.ended(cause, self.server.probe.every, self.server.engine)
            if not result.ok:
                await self._until_due_or_reopened(openings)

    async def _probe(self) -> ProbeResult:
        """Probe through the tunnel; where it does not stand, say why without another SSH login."""
        route = self.supervisor.route()
        if route is not None:
            self._emit(ProbeStarted(at=time.time(), server=self.server.name))
            return await probe(self.server, self._tools, route=route)
        failure = self.supervisor.failure
        if failure is None:
            failed = Failed(Cause.TUNNEL_LOST, detail="the tunnel is not open")
            failure = explain(failed, Stage.FORWARD, self._tools.words(self.server))
        return ProbeResult(
            server=self.server.name,
            ok=False,
            route=RouteKind.REUSED,
            started_at=time.time(),
            total_ms=0.0,
            stages=(StageResult(stage=failure.stage, ok=False, ms=0.0),),
            failure=failure,
            host_key=self.supervisor.host_key,
        )

    async def _until_due_or_reopened(self, openings: int) -> None:
        """After a failure wait for the next interval, or for another tunnel, whichever comes first."""
        due = asyncio.ensure_future(self.schedule.wait())
        reopened = asyncio.ensure_future(self.supervisor.until_reopened(openings))
        try:
            await asyncio.wait({due, reopened}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            due.cancel()
            reopened.cancel()
        if reopened.done():
            self.schedule.soon()


def same_tunnel(old: Server, new: Server) -> bool:
    """Whether two settings of one server need the same tunnel.

    A key that follows the old one by a change of key is for the next login: no client is cut off for it.
    """
    return _tunnel_of(old) == _tunnel_of(new) and same_key(old, new)


def _tunnel_of(server: Server) -> tuple[object, ...]:
    ssh = server.ssh and msgspec.structs.replace(server.ssh, key="", next_key="", old_key="")
    return server.engine, server.database.host, server.database.port, ssh
