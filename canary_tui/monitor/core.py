"""The monitor's work, on its own event loop: the servers file, tunnels and probes, the history.

Nothing here is called from another thread; ``local.LocalMonitor`` brings requests over and facts back.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from canary_tui.defects import defect_words
from canary_tui.monitor.board import Board
from canary_tui.monitor.breakdowns import ENDING, Breakdowns
from canary_tui.monitor.event_flow import EventFlow
from canary_tui.monitor.events import Noted, Slept, TunnelChanged, TunnelState
from canary_tui.monitor.fleet_file import FleetFile
from canary_tui.monitor.held_servers import HeldServers
from canary_tui.monitor.memory import keep_lean

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.history.reader import HistoryReader
    from canary_tui.monitor.history.recorder import Recorder
    from canary_tui.monitor.lock import Lock
    from canary_tui.monitor.network import NetworkMeter
    from canary_tui.monitor.sleep import SleepMeter
    from canary_tui.monitor.tools import Tools
    from canary_tui.paths import Paths
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server

T = TypeVar("T")
P = ParamSpec("P")

SLEEP_SECONDS = 1.0
"""How often sleep, and a change of the network, are looked for where nothing else happens."""
RECORD_SECONDS = 1.5
"""What the history may take at the end to write what is left."""


class Core:
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
        self.events = EventFlow(board or Board(), self._broken, fleet)
        """Where each event goes: the board, incidents, uptime, the history, those who listen."""
        self.tasks: set[asyncio.Task[Any]] = set()
        """The requests under way; the end cancels them and waits."""
        self._paths = paths
        self._lock = lock
        self._sleep = sleep
        self._network = network
        self._file = FleetFile(paths, self.emit, self._reread, fleet)
        self._tools: Tools | None = None
        self.held = HeldServers(self._file, lambda: self.tools, self.emit, self._broken, chance)
        """The servers that are held, each with its tunnel and probes: all that are wanted."""
        self._recorder: Recorder | None = None
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
        self.held.adopt()  # a follower has read the file; it may be wrong now, and tell nothing
        await stopping.wait()
        # Ours first: closing an SSH connection needs the SSH library's own tasks alive.
        await asyncio.gather(self.held.end(), _cancel(parts | self.tasks))
        if self._recorder is not None:
            self._recorder.close()
            await asyncio.wait({recording}, timeout=RECORD_SECONDS)
        self._lock.release()
        await _cancel({task for task in asyncio.all_tasks() if task is not asyncio.current_task()})
        await asyncio.get_running_loop().shutdown_default_executor()

    def _begin(self, what: str, work: Callable[[], Coroutine[object, object, None]]) -> asyncio.Task[None]:
        return asyncio.create_task(self._broken.keep(what, work), name=what)

    async def tracked(self, work: Coroutine[object, object, T]) -> T:
        """Do what a request asks for; it is cancelled, and waited for, at the end."""
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
        """Have an event go wherever events go."""
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

        if self._recorder is None:
            self._recorder = Recorder(
                self._paths,
                self._lock,
                self.emit,
                uptime=self.events.uptime,
                incidents=self.events.incidents,
                unwritten=self.events.unwritten,
            )
        await self._recorder.run()

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
            self.events.take(Slept(at=time.time(), seconds=seconds))
            self.held.woke()

    # The servers file

    def _reread(self) -> None:
        """Bring everything to what the file says now."""
        if self._tools is not None:
            self._tools.key_comment = self._file.fleet.defaults.key_comment
        self.events.publish()
        self.held.adopt()

    # What requests work with

    @property
    def tools(self) -> Tools:
        """One user's keys, known hosts and passwords. Asked for first, it imports the SSH library."""
        if self._tools is None:
            from canary_tui.monitor.tools import Tools

            self._tools = Tools(self._paths)
            self._tools.key_comment = self._file.fleet.defaults.key_comment
            self._tools.known_hosts.warn = lambda text: self.emit(Noted(at=time.time(), server="", text=text))
        return self._tools

    @property
    def fleet(self) -> Fleet:
        """The servers as the file had them when it was last good."""
        return self._file.fleet

    def known(self, name: str) -> Server:
        """Return a server of the list. Raises KeyError."""
        return self._file.fleet.need(name)

    def history(self) -> HistoryReader:
        """Return what answers questions to the history, on a thread."""
        from canary_tui.monitor.history.reader import HistoryReader
        from canary_tui.monitor.history.tables import history_file

        return HistoryReader(history_file(self._paths))

    def folder_for_client(self, name: str) -> Path:
        """Return the folder for the files that a client of a server needs."""
        return self._paths.state / "clients" / name

    async def edited(
        self,
        edit: Callable[Concatenate[Tools, P], Coroutine[object, object, T]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Make a change to the servers file and bring everything to it at once."""
        try:
            return await edit(self.tools, *arguments, **named)
        finally:
            await self._file.read()


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
