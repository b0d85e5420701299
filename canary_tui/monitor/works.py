"""All that runs on the monitor's event loop: the servers file, tunnels and probes, the history.

Nothing here is called from another thread; ``service.Monitor`` brings calls over and facts back.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from canary_tui.defects import defect_words
from canary_tui.monitor import rotation
from canary_tui.monitor.board import Board
from canary_tui.monitor.breakdowns import ENDING, Breakdowns
from canary_tui.monitor.event_flow import EventFlow
from canary_tui.monitor.events import FleetLoaded, Noted, ProbeFinished, Slept, TunnelChanged, TunnelState
from canary_tui.monitor.fleet_file import FleetFile
from canary_tui.monitor.held_servers import HeldServers
from canary_tui.monitor.memory import keep_lean

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from canary_tui.diagnosis.stages import HostKeyOffer, ProbeResult
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.keys.rotation import Rotation, Tried
    from canary_tui.monitor.connection_test import Test
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.lock import Lock
    from canary_tui.monitor.network import NetworkMeter
    from canary_tui.monitor.sleep import SleepMeter
    from canary_tui.monitor.tools import Tools
    from canary_tui.paths import Paths
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret
    from canary_tui.tunnels.audit import AuditReport

T = TypeVar("T")
P = ParamSpec("P")

SLEEP_SECONDS = 1.0
"""How often sleep, and a change of the network, are looked for where nothing else happens."""
RECORD_SECONDS = 1.5
"""What the history may take at the end to write what is left."""


class Works:
    """The monitor's work, on its own loop. ``live`` is its life.

    ``lock`` says who keeps the history, ``sleep`` tells when the machine slept, ``network`` when its
    network changed; ``chance`` gives random numbers. ``board`` and ``fleet`` are those of a follower
    whose place this takes.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        chance: Callable[[], float],
        lock: Lock,
        sleep: SleepMeter,
        network: NetworkMeter,
        board: Board | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        self._broken = Breakdowns(self.emit, paths.state)
        self.events = EventFlow(board or Board(), self._broken)
        """The board, those who listen, the history."""
        self.tasks: set[asyncio.Task[Any]] = set()
        """The calls under way; the end cancels them and waits."""
        self._paths = paths
        self._lock = lock
        self._sleep = sleep
        self._network = network
        self._file = FleetFile(paths, self.emit, self._reread, fleet)
        self._tools: Tools | None = None
        self.held = HeldServers(self._file, self._ready_tools, self.emit, self._broken, chance)
        """The servers that are held, each with its tunnel and probes."""
        self._lost = False
        """Whether a tunnel was lost since memory was last tidied."""

    async def live(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set; then everything is closed."""
        recording = self._begin("the history", self._record)
        parts = {
            self._begin("looking at servers.yaml", self._file.watch),
            self._begin("noticing sleep", self._watch_sleep),
            self._begin("tidying memory", lambda: keep_lean(self._littered)),
        }
        await stopping.wait()
        # Ours first: closing an SSH connection needs the SSH library's own tasks alive.
        await _cancel(parts | self.tasks)
        if self.events.recorder is not None:
            self.events.recorder.close()
            await asyncio.wait({recording}, timeout=RECORD_SECONDS)
        self._lock.release()
        await _cancel({task for task in asyncio.all_tasks() if task is not asyncio.current_task()})
        await asyncio.get_running_loop().shutdown_default_executor()

    def _begin(self, what: str, work: Callable[[], Coroutine[object, object, None]]) -> asyncio.Task[None]:
        return asyncio.create_task(self._broken.keep(what, work), name=what)

    async def tracked(self, work: Coroutine[object, object, T]) -> T:
        """Do a call's work; it is cancelled, and waited for, at the end."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine on this loop runs in a task
        self.tasks.add(task)
        try:
            return await work
        except (Exception, *ENDING):
            raise
        except BaseException as error:
            # Whoever waits for the answer looks for exceptions, and would wait for ever.
            raise RuntimeError(defect_words(error)) from error
        finally:
            self.tasks.discard(task)

    def emit(self, event: AnyEvent) -> None:
        """Fold an event, keep it, and publish the board soon."""
        # Before anything that happens on waking: the time asleep belongs to nothing else.
        self._notice_sleep()
        if isinstance(event, TunnelChanged) and event.state is TunnelState.LOST:
            self._lost = True
        self.events.take(event)

    def _littered(self) -> bool:
        lost, self._lost = self._lost, False
        return lost

    # The history, and sleep

    async def _record(self) -> None:
        from canary_tui.monitor.history.recorder import Recorder

        recorder = self.events.recorder = Recorder(self._paths, self._lock, self.emit)
        if self._file.fleet.servers:  # a follower has read it; it may be wrong now, and tell nothing
            recorder.feed(FleetLoaded(at=time.time(), fleet=self._file.fleet))
        await recorder.run()

    async def _watch_sleep(self) -> None:
        while True:
            self._notice_sleep()
            if self._network.look():
                self.emit(Noted(at=time.time(), server="", text="the network changed"))
                self.held.woke()
            await asyncio.sleep(SLEEP_SECONDS)

    def _notice_sleep(self) -> None:
        """After sleep connections are dead that nobody has closed: all are tried at once."""
        seconds = self._sleep.look()
        if seconds > 0:
            self.emit(Slept(at=time.time(), seconds=seconds))
            self.held.woke()

    # The servers file

    def _reread(self) -> None:
        """Bring everything to what the file says now."""
        fleet = self._file.fleet
        if self._tools is not None:
            self._tools.key_comment = fleet.defaults.key_comment
        self.events.publish()
        self.held.adopt(fleet)

    # Tests and keys

    async def test(self, test: Test) -> None:
        """Run a connection test."""
        from canary_tui.monitor.probe import probe

        name = test.server.name
        server = self._file.fleet.get(name) or test.server
        result = await probe(server, self._ready_tools(), watch=test.progress)
        test.stages, test.stage, test.result = result.stages, None, result
        self.emit(ProbeFinished(at=time.time(), result=result))
        if result.ok:
            self.held.retry_now(name)
        if server.tunnel is not None and (server.tunnel.next_key or server.tunnel.old_key):
            test.trying_keys = True
            try:
                test.tried = await self.try_keys(name, result)
            finally:
                test.trying_keys = False

    async def try_keys(self, name: str, tested: ProbeResult | None = None) -> Tried:
        """Try the keys of a change of key; ``tested`` is how a test of the one in use has just ended."""
        from canary_tui.monitor.key_trial import attempt

        return await self.edited(attempt, self._known(name).name, tested)

    def _ready_tools(self) -> Tools:
        """Make the tools when they are needed first: the SSH library is imported here, not before."""
        if self._tools is None:
            from canary_tui.monitor.tools import Tools

            self._tools = Tools(self._paths)
            self._tools.key_comment = self._file.fleet.defaults.key_comment
            self._tools.known_hosts.warn = lambda text: self.emit(Noted(at=time.time(), server="", text=text))
        return self._tools

    # What a person decides

    async def trust(self, offer: HostKeyOffer, *, replace: bool) -> None:
        """Pin exactly the offered host key, instead of others or beside them, and try again."""
        await asyncio.to_thread(self._ready_tools().known_hosts.pin, offer, replace=replace)
        self.held.host_key_trusted(offer)

    def give_password(self, name: str, password: Secret) -> None:
        """Keep a database password for this run, in memory only, and probe at once."""
        if (server := self._file.fleet.get(name)) is not None:
            self._ready_tools().passwords.give(server, password)
            self.held.probe_now(name)

    async def edited(
        self,
        edit: Callable[Concatenate[Tools, P], Coroutine[object, object, T]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Make a change to the servers file and bring everything to it at once."""
        try:
            return await edit(self._ready_tools(), *arguments, **named)
        finally:
            await self._file.read()

    async def key_info(self, name: str) -> KeyInfo:
        """Return a server's public key and how to install it."""
        return await self._ready_tools().key_info(self._known(name))

    async def rotation_state(self, name: str) -> Rotation:
        """Return how far the change of a server's key is."""
        return await rotation.state(self._ready_tools(), name, self._file.fleet)

    async def audit(self, name: str) -> AuditReport:
        """Prove what a server's key can and cannot do."""
        from canary_tui.monitor.audit import audit

        return await audit(self._known(name), self._ready_tools())

    async def client_env(self, name: str) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the whole environment of the engine's own client.

        Raises Failed where nothing of ours is bound, before a password is looked for.
        """
        from canary_tui.monitor.clients import ClientStart
        from canary_tui.monitor.ways import check_safe, own_way

        server, tools, row = self._known(name), self._ready_tools(), self.events.board.row(name)
        check_safe(row.failure if row else None)
        start = ClientStart(
            way=lambda: own_way(server, self.held.watcher(name)),
            servers=self._file.fleet.named,
            known_tls=tools.known_tls,
            folder=tools.paths.state / "clients" / name,
        )
        return await start.call(server, tools.passwords.find)

    def _known(self, name: str) -> Server:
        return self._file.fleet.need(name)


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
