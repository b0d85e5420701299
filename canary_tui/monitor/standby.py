"""What stands behind the application: the monitor, or, while another process has it, a view of its work.

Two copies with one servers file are one monitor and one view. The view holds nothing, binds nothing and
logs in nowhere. When the process that monitors ends, however it ends, its lock is free, and the view becomes
the monitor: on the same board, so that no line of the log is missed or met twice.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from canary_tui.monitor.follower import Follower
from canary_tui.monitor.local import LocalMonitor
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.quiet import to_the_log
from canary_tui.monitor.request import unheard
from canary_tui.monitor.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.monitor.board import LogLine, Snapshot
    from canary_tui.monitor.lock import Holder
    from canary_tui.monitor.request import Request, Tell
    from canary_tui.paths import Paths

T = TypeVar("T")

LOOK_SECONDS = 0.25
"""How often the history is looked at; the other process writes it twice a second."""
LOCK_SECONDS = 1.0
"""How often it is seen whether the other process still monitors."""


class NotMonitoring(Exception):
    """This copy does not monitor. ``str`` says who does."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(f"{holder.words(time.time())}; this copy only shows.")


class Standby:
    """A ``Monitor`` that is another's view first where there is another.

    While another process monitors, requests that need the monitor raise NotMonitoring, and
    ``snapshot().monitored_by`` tells who it is.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._lock = Lock(paths)
        self._monitor: LocalMonitor | None = None
        self._follower = Follower(paths)
        self._view = View(paths, self._follower)
        self._holder: Holder | None = None
        self._switching = threading.Lock()
        """Held while the one becomes the other, so that ``stop`` finds either."""
        self._stopped = self._missing = False
        self._trouble = ""
        """Why this copy could not take over, though nobody else monitors."""
        self._told_of_end: list[Callable[[BaseException], None]] = []
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="standby", daemon=True)

    # Life

    def start(self) -> None:
        """Monitor, or follow the process that does."""
        # Where the lock cannot be made there is no history either; the monitor says so, and goes on.
        with suppress(OSError):
            self._holder = self._lock.acquire()
        if self._holder is None:
            self._monitor = self._told(LocalMonitor(self._paths, lock=self._lock))
            self._monitor.start()
        else:
            self._loop = asyncio.new_event_loop()
            self._loop.set_exception_handler(to_the_log)
            self._follower.expect(self._holder)
            self._thread.start()

    def stop(self, limit: float = 3.0) -> bool:
        """Close everything; True when that was done within ``limit`` seconds.

        May be called more than once and from any thread. Nothing is taken over afterwards.
        """
        end = time.monotonic() + limit
        with self._switching:
            self._stopped = True
        if self._thread.is_alive():
            with suppress(RuntimeError):  # The loop is closed: the thread has ended a moment ago.
                self._loop.call_soon_threadsafe(self._stopping.set)
        stopped = self._monitor is None or self._monitor.stop(limit)
        if self._thread.is_alive():
            self._thread.join(max(0.0, end - time.monotonic()))
        return stopped and not self._thread.is_alive()

    def when_broken(self, call: Callable[[BaseException], None]) -> None:
        """Have ``call`` told, on another thread, when what monitors, or follows, ends by a defect."""
        self._told_of_end.append(call)

    def _told(self, monitor: LocalMonitor) -> LocalMonitor:
        for call in self._told_of_end:
            monitor.when_broken(call)
        return monitor

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._follow())
        except BaseException as error:  # noqa: BLE001 - the edge of this thread
            for call in self._told_of_end:
                call(error)
        finally:
            self._loop.close()

    async def _follow(self) -> None:
        """Follow until nobody else monitors, then monitor; answer questions of the past until ``stop``."""
        tried = time.monotonic()
        while self._holder is not None and not self._stopping.is_set():
            self._follower.look(self._holder, self._trouble)
            if time.monotonic() - tried >= LOCK_SECONDS:
                tried = time.monotonic()
                self._try_lock(self._holder)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stopping.wait()
        await self._stopping.wait()
        tasks = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._monitor is None:
            self._follower.end()

    def _try_lock(self, holder: Holder) -> None:
        """Take over when nobody holds the lock any more; take note when it is somebody else."""
        missing, self._missing = self._missing, not self._lock.is_there
        if self._missing and not missing:
            return  # it was deleted: if its holder lives, it makes it anew before we look again
        try:
            now = self._lock.acquire()
        except OSError:
            return  # no descriptor is free, or the folder is gone: it may be better in a second
        if now is not None:
            self._holder, self._trouble = now, ""
            return
        # The lock is ours: whatever the other one wrote is written. Its last lines come first.
        while self._follower.look(holder, self._trouble):
            pass
        self._follower.end()
        with self._switching:
            if self._stopped:
                self._lock.release()
                return
            try:
                self._take_over()
            except (OSError, RuntimeError) as error:
                # No descriptor or no thread is free: it may be better in a second, here or in another copy.
                self._lock.release()
                self._trouble = f"{holder.who} has ended, and this copy cannot monitor yet: {error}"
                self._follower.expect(holder, self._trouble)

    def _take_over(self) -> None:
        """Monitor from now on. Raises OSError and RuntimeError; nothing has begun then."""
        board, fleet = self._follower.board, self._follower.fleet
        monitor = self._told(LocalMonitor(self._paths, lock=self._lock, board=board, fleet=fleet))
        monitor.start()
        self._monitor = monitor
        self._holder = None

    # Facts

    def snapshot(self) -> Snapshot:
        """Return the board as it was published last. Instant."""
        return self._follower.snapshot if self._monitor is None else self._monitor.snapshot()

    def log_after(self, seq: int, limit: int = 1000) -> list[LogLine]:
        """Return the newest ``limit`` log lines after ``seq``, oldest first. Instant."""
        if self._monitor is None:
            return self._follower.board.log_after(seq, limit)
        return self._monitor.log_after(seq, limit)

    # Requests

    def ask(self, request: Request[T], tell: Tell = unheard) -> Future[T]:
        """Have a request carried out, or refused."""
        if self._monitor is not None:
            return self._monitor.ask(request, tell)
        if self._view.answers(request):
            return asyncio.run_coroutine_threadsafe(self._view.answer(request), self._loop)
        refused: Future[T] = Future()
        refused.set_exception(self._refusal())
        return refused

    def _refusal(self) -> Exception:
        holder = self.snapshot().monitored_by
        return RuntimeError("the monitor was not started") if holder is None else NotMonitoring(holder)
