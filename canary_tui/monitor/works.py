"""All that runs on the monitor's event loop: the servers file, tunnels and probes, the history.

Nothing here is called from another thread; ``service.Monitor`` brings calls over and facts back.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from canary_tui.defects import defect_words
from canary_tui.diagnosis.printable import system_words
from canary_tui.diagnosis.stages import Failed
from canary_tui.monitor import rotation
from canary_tui.monitor.board import Board
from canary_tui.monitor.breakdowns import ENDING, Breakdowns
from canary_tui.monitor.events import FleetLoaded, Noted, ProbeFinished, Slept, TunnelChanged, TunnelState
from canary_tui.monitor.fleet_file import FleetFile
from canary_tui.monitor.memory import keep_lean

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from canary_tui.diagnosis.stages import HostKeyOffer, ProbeResult
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.keys.rotation import Rotation, Tried
    from canary_tui.monitor.connection_test import Test
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.history.recorder import Recorder
    from canary_tui.monitor.lock import Lock
    from canary_tui.monitor.network import NetworkMeter
    from canary_tui.monitor.sleep import SleepMeter
    from canary_tui.monitor.tools import Tools
    from canary_tui.monitor.watcher import Watcher
    from canary_tui.paths import Paths
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret
    from canary_tui.tunnels.audit import AuditReport

T = TypeVar("T")
P = ParamSpec("P")

PUBLISH_SECONDS = 0.1
PROBES_AT_ONCE = 32
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
        self.board = board or Board()
        self.snapshot = self.board.publish()
        """The board as it was published last; replaced, never changed."""
        self.listeners: list[Callable[[AnyEvent], None]] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        """The calls under way; the end cancels them and waits."""
        self._paths = paths
        self._chance = chance
        self._lock = lock
        self._sleep = sleep
        self._network = network
        self._recorder: Recorder | None = None
        self._recorded = self.snapshot.log_seq
        self._file = FleetFile(paths, self.emit, self._reread, fleet)
        self._tools: Tools | None = None
        self._watchers: dict[str, Watcher] = {}
        self._holds: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, Server] = {}
        """The servers whose watching failed by a defect and is not begun again yet."""
        self._publishing = False
        self._lost = False
        """Whether a tunnel was lost since memory was last tidied."""
        self._probes = asyncio.Semaphore(PROBES_AT_ONCE)
        self._choosing_port = asyncio.Lock()
        self._broken = Breakdowns(self.emit, paths.state)

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
        if self._recorder is not None:
            self._recorder.close()
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
        self._take("the board", self.board.apply, event)
        for listener in self.listeners:
            self._take("what listens to events", listener, event)
        if isinstance(event, TunnelChanged) and event.state is TunnelState.LOST:
            self._lost = True
        self._take("the history", self._keep, event)
        if not self._publishing:
            self._publishing = True
            asyncio.get_running_loop().call_later(PUBLISH_SECONDS, self._publish)

    def _take(self, what: str, take: Callable[[AnyEvent], None], event: AnyEvent) -> None:
        """Hand an event on. Where that fails, the tunnel or probe that it is about goes on."""
        try:
            take(event)
        except ENDING:
            raise
        except BaseException as error:  # noqa: BLE001 - said as a breakdown
            self._broken.say(what, error)

    def _keep(self, event: AnyEvent) -> None:
        if self._recorder is not None:
            self._recorder.feed(event)
            for line in self.board.log_after(self._recorded, 100):
                self._recorder.keep(line)
                self._recorded = line.seq

    def _littered(self) -> bool:
        lost, self._lost = self._lost, False
        return lost

    def _publish(self) -> None:
        self._publishing = False
        try:
            self.snapshot = self.board.publish()
        except Exception as error:  # noqa: BLE001 - said as a breakdown
            self._broken.say("the board", error)

    # The history, and sleep

    async def _record(self) -> None:
        from canary_tui.monitor.history.recorder import Recorder

        self._recorder = Recorder(self._paths, self._lock, self.emit)
        if self._file.fleet.servers:  # a follower has read it; it may be wrong now, and tell nothing
            self._recorder.feed(FleetLoaded(at=time.time(), fleet=self._file.fleet))
        await self._recorder.run()

    async def _watch_sleep(self) -> None:
        while True:
            self._notice_sleep()
            if self._network.look():
                self.emit(Noted(at=time.time(), server="", text="the network changed"))
                self._woke()
            await asyncio.sleep(SLEEP_SECONDS)

    def _notice_sleep(self) -> None:
        """After sleep connections are dead that nobody has closed: all are tried at once."""
        seconds = self._sleep.look()
        if seconds > 0:
            self.emit(Slept(at=time.time(), seconds=seconds))
            self._woke()

    def _woke(self) -> None:
        for watcher in self._watchers.values():
            watcher.woke()

    # The servers file

    def _reread(self) -> None:
        """Bring everything to what the file says now."""
        fleet = self._file.fleet
        if self._tools is not None:
            self._tools.key_comment = fleet.defaults.key_comment
        self._publish()
        for name, watcher in list(self._watchers.items()):
            self._apply(watcher, fleet.get(name))
        for name, server in list(self._failed.items()):
            if fleet.get(name) != server:
                self._broken.again(name)

    def _apply(self, watcher: Watcher, server: Server | None) -> None:
        """Bring a running watcher to what the file says now."""
        from canary_tui.monitor.watcher import same_tunnel

        if server == watcher.server:
            return
        if server is not None and server.enabled and same_tunnel(watcher.server, server):
            watcher.adopt(server)
        else:
            watcher.stop()

    # Tunnels and probes

    async def hold(self, name: str) -> None:
        """Open a server's tunnel and probe it until it is closed, switched off or removed."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine on this loop runs in a task
        before = self._holds.get(name)
        self._holds[name] = task
        try:
            if before is not None:
                before.cancel()
                await asyncio.wait({before})
            while (server := self._file.fleet.get(name)) is not None and server.enabled:
                await self._watch_or_wait(server)
        finally:
            if self._holds.get(name) is task:
                del self._holds[name]

    async def _watch_or_wait(self, server: Server) -> None:
        """Watch a server; where that fails by a defect, say so and wait before the next try."""
        began = time.monotonic()
        try:
            await self._watch(server)
        except ENDING:
            raise
        except BaseException as error:  # noqa: BLE001 - said as a breakdown
            self._failed[server.name] = server
            try:
                await self._broken.tunnel(server, error, time.monotonic() - began)
            finally:
                self._failed.pop(server.name, None)

    async def _watch(self, server: Server) -> None:
        """Watch a server until its settings ask for another tunnel, or it is closed."""
        from canary_tui.monitor.watcher import Watcher

        async with self._choosing_port:  # one at a time, or two servers get the same
            server = await self._with_local_port(server)
        ssh = server.tunnel
        watcher = Watcher(server, self._ready_tools(), self.emit, probes=self._probes, chance=self._chance)
        self._watchers[server.name] = watcher
        try:
            await watcher.run()
        finally:
            del self._watchers[server.name]
            self._ready_tools().ports.let_go(ssh.local_port if ssh else None)

    async def _with_local_port(self, server: Server) -> Server:
        """Choose the local port once and write it down; where that fails, it holds for this run."""
        if server.tunnel is None or server.tunnel.local_port is not None:
            return server
        tools = self._ready_tools()
        try:
            server = tools.ports.choose(server, self._ports_taken())
            if server.ssh is not None and server.ssh.local_port is not None:
                await tools.remember(server.name, ("ssh", "local_port"), server.ssh.local_port)
                await self._file.read()
        except asyncio.CancelledError:
            tools.ports.let_go(server.ssh.local_port if server.ssh else None)
            raise
        except Failed as failed:
            self.emit(Noted(at=time.time(), server=server.name, text=f"local port: {failed.detail}"))
        except OSError as error:
            self.emit(Noted(at=time.time(), server=server.name, text=f"local port: {system_words(error)}"))
        return server

    def _ports_taken(self) -> set[int]:
        return {s.ssh.local_port for s in self._file.fleet.named if s.ssh and s.ssh.local_port}

    async def close(self, name: str) -> None:
        """Close a server's tunnel and wait until all of it is closed."""
        task = self._holds.get(name)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def probe_now(self, name: str) -> None:
        """Probe a server at once, without waiting for its turn."""
        if name in self._watchers:
            self._watchers[name].schedule.now()

    def retry_now(self, name: str) -> None:
        """Stop waiting and try a server's tunnel and probe at once."""
        self._broken.again(name)
        if name in self._watchers:
            self._watchers[name].retry_now()

    async def test(self, test: Test) -> None:
        """Run a connection test."""
        from canary_tui.monitor.probe import probe

        name = test.server.name
        server = self._file.fleet.get(name) or test.server
        result = await probe(server, self._ready_tools(), watch=test.progress)
        test.stages, test.stage, test.result = result.stages, None, result
        self.emit(ProbeFinished(at=time.time(), result=result))
        if result.ok:
            self.retry_now(name)
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
        """Pin exactly the offered host key, in place of others or beside them, and try again."""
        await asyncio.to_thread(self._ready_tools().known_hosts.pin, offer, replace=replace)
        for watcher in self._watchers.values():
            ssh = watcher.server.tunnel
            if ssh and (ssh.host.lower(), ssh.port) == (offer.host.lower(), offer.port):
                watcher.retry_now()

    def give_password(self, name: str, password: Secret) -> None:
        """Keep a database password for this run, in memory only, and probe at once."""
        if (server := self._file.fleet.get(name)) is not None:
            self._ready_tools().passwords.give(server, password)
            self.probe_now(name)

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

        server, tools, row = self._known(name), self._ready_tools(), self.board.row(name)
        check_safe(row.failure if row else None)
        start = ClientStart(
            way=lambda: own_way(server, self._watchers.get(name)),
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
