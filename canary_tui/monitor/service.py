"""The monitor: the one object that a front end talks to. It owns a thread with its own event loop.

A terminal that stops reading blocks its application completely; tunnels, keepalives and probes must
not feel it, so nothing of them runs on the front end's thread. Intents go in as method calls from
any thread; facts come out as snapshots and log lines that can be read from any thread.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from canary_tui.diagnosis.stages import Failed
from canary_tui.monitor import edits
from canary_tui.monitor.board import Board
from canary_tui.monitor.connection_test import Test
from canary_tui.monitor.events import FileRejected, FleetLoaded, Noted, ProbeFinished, Slept
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.network import NetworkMeter
from canary_tui.monitor.past import Past
from canary_tui.monitor.quiet import to_the_log
from canary_tui.monitor.sleep import SleepMeter
from canary_tui.servers.file import BadFile, ServersFile
from canary_tui.servers.model import Fleet
from canary_tui.tunnels.open_files import raise_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.monitor.board import LogLine, Snapshot
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.history.recorder import Recorder
    from canary_tui.monitor.tools import Tools
    from canary_tui.monitor.watcher import Watcher
    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret
    from canary_tui.tunnels.audit import AuditReport

T = TypeVar("T")
P = ParamSpec("P")

PUBLISH_SECONDS = 0.1
FILE_SECONDS = 1.0
"""How often the servers file is looked at; a change is picked up within twice that."""
LOGINS_AT_ONCE = 2
"""SSH logins to one server at a time: MaxStartups and per-source penalties are never met."""
PROBES_AT_ONCE = 32
SLEEP_SECONDS = 1.0
"""How often sleep, and a change of the network, are looked for where nothing else happens."""
RECORD_SECONDS = 1.5
"""What the history may take at the end to write what is left."""


class Monitor(Past):
    """Holds tunnels and probes for one user's servers.

    ``start`` returns at once. Every other method may be called from any thread; those that give a
    ``concurrent.futures.Future`` raise through it: ``BadFile`` and ``OSError`` when the servers file
    cannot be edited, ``Failed`` when a key or a host key cannot be read, ``KeyError`` for a server
    that is not there.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        chance: Callable[[], float] = random.random,
        lock: Lock | None = None,
        sleep: SleepMeter | None = None,
        network: NetworkMeter | None = None,
    ) -> None:
        """``lock`` says who keeps the history, and may be held already.

        ``sleep`` tells when the machine slept, ``network`` when its network changed.
        """
        super().__init__(paths)
        self.paths = paths
        self._chance = chance
        self._lock = lock or Lock(paths)
        self._sleep = sleep or SleepMeter()
        self._network = network or NetworkMeter()
        self._recorder: Recorder | None = None
        self._recorded = 0
        self._board = Board()
        self._snapshot = self._board.publish()
        self._fleet = Fleet()
        self._file = ServersFile(paths.servers)
        self._seen: object = None
        self._tools: Tools | None = None
        self._watchers: dict[str, Watcher] = {}
        self._holds: dict[str, asyncio.Task[None]] = {}
        self._work: set[asyncio.Task[Any]] = set()
        self._publishing = False
        self._listeners: list[Callable[[AnyEvent], None]] = []
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    # Life

    def start(self) -> None:
        """Start the monitor's thread, which reads the servers file first."""
        raise_limit()
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def stop(self, limit: float = 3.0) -> bool:
        """Close every tunnel and end the thread; True when all was closed within ``limit`` seconds.

        May be called more than once and from any thread.
        """
        if not self._thread.is_alive():
            return True
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(limit)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._loop.close()

    async def _live(self) -> None:
        self._loop.set_exception_handler(to_the_log)
        self._gates = defaultdict[tuple[str, int], asyncio.Semaphore](
            lambda: asyncio.Semaphore(LOGINS_AT_ONCE)
        )
        self._probes = asyncio.Semaphore(PROBES_AT_ONCE)
        self._choosing_port = asyncio.Lock()
        recording = asyncio.create_task(self._record(), name="history")
        recording.add_done_callback(self._history_ended)
        watching = asyncio.create_task(self._watch_file(), name="servers file")
        sleeping = asyncio.create_task(self._watch_sleep(), name="sleep")
        await self._stopping.wait()
        # Ours first: closing an SSH connection needs the SSH library's own tasks alive.
        await _cancel({watching, sleeping, *self._work})
        if self._recorder is not None:
            self._recorder.close()
            await asyncio.wait({recording}, timeout=RECORD_SECONDS)
        self._lock.release()
        await _cancel({task for task in asyncio.all_tasks() if task is not asyncio.current_task()})
        await self._loop.shutdown_default_executor()

    def _call(self, work: Coroutine[object, object, T]) -> Future[T]:
        async def tracked() -> T:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - a coroutine on this loop runs in a task
            self._work.add(task)
            try:
                return await work
            finally:
                self._work.discard(task)

        return asyncio.run_coroutine_threadsafe(tracked(), self._loop)

    # Facts

    def snapshot(self) -> Snapshot:
        """Return the board as it was published last. Instant."""
        return self._snapshot

    def log_after(self, seq: int, limit: int = 1000) -> list[LogLine]:
        """Return the newest ``limit`` log lines after ``seq``, oldest first. Instant."""
        return self._board.log_after(seq, limit)

    def clients(self) -> int:
        """Return how many clients are connected through local ports now."""
        return sum(row.clients for row in self._snapshot.rows)

    def listen(self, listener: Callable[[AnyEvent], None]) -> None:
        """Have every event from now on passed to ``listener``, on the monitor's thread."""
        self._listeners.append(listener)

    def _emit(self, event: AnyEvent) -> None:
        # Before anything that happens on waking: the time asleep belongs to nothing else.
        self._notice_sleep()
        self._board.apply(event)
        for listener in self._listeners:
            listener(event)
        if self._recorder is not None:
            self._recorder.feed(event)
            for line in self._board.log_after(self._recorded, 100):
                self._recorder.keep(line)
                self._recorded = line.seq
        if not self._publishing:
            self._publishing = True
            self._loop.call_later(PUBLISH_SECONDS, self._publish)

    def _publish(self) -> None:
        self._publishing = False
        self._snapshot = self._board.publish()

    # The history, and sleep

    async def _record(self) -> None:
        from canary_tui.monitor.history.recorder import Recorder

        self._recorder = Recorder(self.paths, self._lock, self._emit)
        await self._recorder.run()

    def _history_ended(self, recording: asyncio.Task[None]) -> None:
        if not recording.cancelled() and (error := recording.exception()) is not None:
            text = f"the history is not kept any more: {type(error).__name__}: {error}"
            self._emit(Noted(at=time.time(), server="", text=text))

    async def _watch_sleep(self) -> None:
        while True:
            self._notice_sleep()
            if self._network.look():
                self._emit(Noted(at=time.time(), server="", text="the network changed"))
                self._woke()
            await asyncio.sleep(SLEEP_SECONDS)

    def _notice_sleep(self) -> None:
        """After sleep connections are dead that nobody has closed: all are tried at once."""
        seconds = self._sleep.look()
        if seconds > 0:
            self._emit(Slept(at=time.time(), seconds=seconds))
            self._woke()

    def _woke(self) -> None:
        for watcher in self._watchers.values():
            watcher.woke()

    # The servers file

    async def _watch_file(self) -> None:
        while True:
            if self._file.signature() != self._seen:
                await self._reload()
            await asyncio.sleep(FILE_SECONDS)

    async def _reload(self) -> None:
        self._seen = self._file.signature()
        try:
            fleet = await asyncio.to_thread(self._file.load)
        except BadFile as bad:
            self._emit(FileRejected(at=time.time(), problems=tuple(map(str, bad.problems))))
            return
        self._fleet = fleet
        if self._tools is not None:
            self._tools.key_comment = fleet.defaults.key_comment
        self._emit(FleetLoaded(at=time.time(), fleet=fleet))
        self._publish()
        for name, watcher in list(self._watchers.items()):
            self._apply(watcher, fleet.get(name))

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

    def hold(self, name: str) -> Future[None]:
        """Open a server's tunnel and probe it; the future ends when all of that has been closed again.

        It is closed by ``close``, by cancelling the future, or when the server is switched off or
        removed. A second hold of one server waits for the first to end: generations never overlap.
        """
        return self._call(self._hold(name))

    async def _hold(self, name: str) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine on this loop runs in a task
        before = self._holds.get(name)
        self._holds[name] = task
        try:
            if before is not None:
                before.cancel()
                await asyncio.wait({before})
            while (server := self._fleet.get(name)) is not None and server.enabled:
                await self._watch(server)
        finally:
            if self._holds.get(name) is task:
                del self._holds[name]

    async def _watch(self, server: Server) -> None:
        """Watch a server until its settings ask for another tunnel, or it is closed."""
        from canary_tui.monitor.watcher import Watcher

        async with self._choosing_port:  # one at a time, or two servers get the same
            server = await self._with_local_port(server)
        ssh = server.tunnel
        gate = self._gates[(ssh.host, ssh.port) if ssh else (server.name, 0)]
        watcher = Watcher(
            server, self._ready_tools(), self._emit, gate=gate, probes=self._probes, chance=self._chance
        )
        self._watchers[server.name] = watcher
        try:
            await watcher.run()
        finally:
            del self._watchers[server.name]

    async def _with_local_port(self, server: Server) -> Server:
        """Choose the local port once and write it down; where that fails, it holds for this run."""
        from canary_tui.monitor.tools import with_local_port

        if server.tunnel is None or server.tunnel.local_port is not None:
            return server
        try:
            server = with_local_port(server, self._ports_taken())
            assert server.ssh is not None  # noqa: S101 - it has a tunnel
            port = server.ssh.local_port
            await self._ready_tools().remember(server.name, ("ssh", "local_port"), port or 0)
            await self._reload()
        except Failed as failed:
            self._emit(Noted(at=time.time(), server=server.name, text=f"local port: {failed.detail}"))
        return server

    def close(self, name: str) -> Future[None]:
        """Close a server's tunnel; the future ends when all of it is closed. Idempotent."""
        return self._call(self._close(name))

    async def _close(self, name: str) -> None:
        task = self._holds.get(name)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def probe_now(self, name: str) -> None:
        """Probe a server at once, without waiting for its turn."""
        self._loop.call_soon_threadsafe(self._on_watcher, name, "probe")

    def retry_now(self, name: str) -> None:
        """Stop waiting and try a server's tunnel and probe at once."""
        self._loop.call_soon_threadsafe(self._on_watcher, name, "retry")

    def _on_watcher(self, name: str, what: str) -> None:
        watcher = self._watchers.get(name)
        if watcher is None:
            return
        if what == "retry":
            watcher.retry_now()
        else:
            watcher.schedule.now()

    def start_test(self, name: str) -> Test:
        """Test a server over an SSH connection of the test's own. Raises KeyError for an unknown one."""
        server = self._snapshot.row(name)
        if server is None:
            raise KeyError(name)
        test = Test(server.server)
        test.future = self._call(self._test(test))
        return test

    async def _test(self, test: Test) -> None:
        from canary_tui.monitor.probe import probe

        name = test.server.name
        server = self._fleet.get(name) or test.server
        result = await probe(server, self._ready_tools(), watch=test.progress)
        test.stages, test.stage, test.result = result.stages, None, result
        self._emit(ProbeFinished(at=time.time(), result=result))
        if result.ok:
            self._on_watcher(name, "retry")

    def _ready_tools(self) -> Tools:
        """Make the tools when they are needed first: the SSH library is imported here, not before."""
        if self._tools is None:
            from canary_tui.monitor.tools import Tools

            self._tools = Tools(self.paths)
            self._tools.key_comment = self._fleet.defaults.key_comment
        return self._tools

    def _ports_taken(self) -> set[int]:
        return {s.ssh.local_port for s in self._fleet.servers if s.ssh and s.ssh.local_port}

    # What a person decides

    def trust(self, name: str, offer: HostKeyOffer) -> Future[None]:
        """Trust exactly the offered host key, in the place of others of that host, and try again."""
        return self._call(self._trust(offer))

    async def _trust(self, offer: HostKeyOffer) -> None:
        await asyncio.to_thread(self._ready_tools().known_hosts.pin, offer, replace=True)
        for watcher in self._watchers.values():
            ssh = watcher.server.tunnel
            if ssh and (ssh.host.lower(), ssh.port) == (offer.host.lower(), offer.port):
                watcher.retry_now()

    def give_password(self, name: str, password: Secret) -> None:
        """Keep a database password for this run, in memory only, and probe at once."""

        def keep() -> None:
            self._ready_tools().passwords.give(name, password)
            self._on_watcher(name, "probe")

        self._loop.call_soon_threadsafe(keep)

    def save(
        self, server: Server, *, replaces: str | None, keyring_password: Secret | None = None
    ) -> Future[Server]:
        """Add a server (``replaces`` None) or change the one of that name; gives what was saved.

        Makes the key of a server with a tunnel and chooses its local port.
        """
        return self._call(self._edited(edits.save, server, replaces, keyring_password))

    def remove(self, name: str) -> Future[None]:
        """Take a server out of the file; its key is moved aside, not destroyed."""
        return self._call(self._edited(edits.remove, name))

    def restore(self, server: Server) -> Future[None]:
        """Undo ``remove``: the entry and the key that was moved aside come back."""
        return self._call(self._edited(edits.restore, server))

    def set_enabled(self, name: str, enabled: bool) -> Future[None]:
        """Switch a server on or off; its entry stays."""
        return self._call(self._edited(edits.set_enabled, name, enabled))

    async def _edited(
        self,
        edit: Callable[Concatenate[Tools, P], Coroutine[object, object, T]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Make a change to the servers file and bring everything to it at once."""
        try:
            return await edit(self._ready_tools(), *arguments, **named)
        finally:
            await self._reload()

    def key_info(self, name: str) -> Future[KeyInfo]:
        """Return a server's public key and how to install it; made if it has none yet."""
        return self._call(self._key_info(name))

    async def _key_info(self, name: str) -> KeyInfo:
        return await self._ready_tools().key_info(self._known(name))

    def audit(self, name: str) -> Future[AuditReport]:
        """Prove what a server's key can and cannot do, over an SSH login of its own."""
        return self._call(self._audit(name))

    async def _audit(self, name: str) -> AuditReport:
        from canary_tui.monitor.audit import audit

        return await audit(self._known(name), self._ready_tools())

    def client_env(self, name: str) -> Future[tuple[list[str], dict[str, str]]]:
        """Return the command and the environment by which the engine's own client uses the local port."""
        return self._call(self._client_env(name))

    async def _client_env(self, name: str) -> tuple[list[str], dict[str, str]]:
        from canary_tui.monitor.clients import client_command

        server, tools = self._known(name), self._ready_tools()
        row = self._board.row(name)
        folder = tools.paths.runtime / "clients" / name
        password = await tools.passwords.find(server)
        return client_command(server, row.local if row else "", password, folder)

    def _known(self, name: str) -> Server:
        server = self._fleet.get(name)
        if server is None:
            raise KeyError(name)
        return server


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
