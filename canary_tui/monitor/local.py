"""The monitor in this process: a thread with its own event loop.

A terminal that stops reading blocks its application completely; tunnels, keepalives and probes must
not feel it, so nothing of them runs on the front end's thread. Requests go in from any thread; facts
come out as snapshots and log lines that can be read from any thread.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from canary_tui.monitor.core import Core
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.loop import new_loop
from canary_tui.monitor.network import NetworkMeter
from canary_tui.monitor.request import unheard
from canary_tui.monitor.sleep import SleepMeter
from canary_tui.tunnels.open_files import raise_limit

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from canary_tui.monitor.board import Board, LogLine, Snapshot
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.request import Request, Tell
    from canary_tui.paths import Paths
    from canary_tui.servers.fleet import Fleet

T = TypeVar("T")


class LocalMonitor:
    """Holds tunnels and probes for one user's servers: a ``Monitor`` in this process.

    ``start`` returns at once. Every other method may be called from any thread.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        chance: Callable[[], float] = random.random,
        lock: Lock | None = None,
        sleep: SleepMeter | None = None,
        network: NetworkMeter | None = None,
        board: Board | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        """``lock`` says who keeps the history, and may be held already.

        ``sleep`` tells when the machine slept, ``network`` when its network changed. ``board`` and
        ``fleet`` are what a follower has made of the work of a monitor that ended: this one goes on there.
        """
        self.paths = paths
        self._core = Core(
            paths,
            chance=chance,
            lock=lock or Lock(paths),
            sleep=sleep or SleepMeter(),
            network=network or NetworkMeter(),
            board=board,
            fleet=fleet,
        )
        self._told_of_end: list[Callable[[BaseException], None]] = []
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    # Life

    def start(self) -> None:
        """Start the monitor's thread, which reads the servers file first.

        Raises OSError or RuntimeError when the system gives no descriptor, or no thread.
        """
        raise_limit()
        self._loop = new_loop()
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    def stop(self, limit: float = 3.0) -> bool:
        """Close every tunnel and end the thread; True when all was closed within ``limit`` seconds.

        May be called more than once and from any thread.
        """
        if not self._thread.is_alive():
            return True
        with suppress(RuntimeError):  # The loop is closed: the thread has ended a moment ago.
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(limit)
        return not self._thread.is_alive()

    def when_broken(self, call: Callable[[BaseException], None]) -> None:
        """Have ``call`` told, on the monitor's thread, when that ends by a defect; before ``start``."""
        self._told_of_end.append(call)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._core.live(self._stopping))
        except BaseException as error:  # noqa: BLE001 - the edge of this thread
            for call in self._told_of_end:
                call(error)
        finally:
            self._loop.close()

    # Requests

    def ask(self, request: Request[T], tell: Tell = unheard) -> Future[T]:
        """Have a request carried out. ``tell`` hears, on the monitor's thread, how far it is."""
        return asyncio.run_coroutine_threadsafe(
            self._core.tracked(request.carry_out(self._core, tell)), self._loop
        )

    # Facts

    def snapshot(self) -> Snapshot:
        """Return the board as it was published last. Instant."""
        return self._core.events.snapshot

    def log_after(self, seq: int, limit: int = 1000) -> list[LogLine]:
        """Return the newest ``limit`` log lines after ``seq``, oldest first. Instant."""
        return self._core.events.board.log_after(seq, limit)

    def listen(self, listener: Callable[[AnyEvent], None]) -> None:
        """Have every event from now on passed to ``listener``, on the monitor's thread."""
        self._core.events.listeners.append(listener)
