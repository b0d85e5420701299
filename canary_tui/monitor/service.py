"""The monitor: the one object that a front end talks to. It owns a thread with its own event loop.

A terminal that stops reading blocks its application completely; tunnels, keepalives and probes must
not feel it, so nothing of them runs on the front end's thread. Intents go in as method calls from
any thread; facts come out as snapshots and log lines that can be read from any thread.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from canary_tui.monitor import edits, rotation
from canary_tui.monitor.board import Health
from canary_tui.monitor.connection_test import Test
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.loop import new_loop
from canary_tui.monitor.network import NetworkMeter
from canary_tui.monitor.past import Past
from canary_tui.monitor.sleep import SleepMeter
from canary_tui.monitor.works import Works
from canary_tui.tunnels.open_files import raise_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future
    from pathlib import Path

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.keys.rotation import Rotation, Tried
    from canary_tui.monitor.board import Board, LogLine, Snapshot
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.paths import Paths
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret
    from canary_tui.tunnels.audit import AuditReport

T = TypeVar("T")


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
        board: Board | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        """``lock`` says who keeps the history, and may be held already.

        ``sleep`` tells when the machine slept, ``network`` when its network changed. ``board`` and
        ``fleet`` are what a follower has made of the work of a monitor that ended: this one goes on there.
        """
        super().__init__(paths)
        self.paths = paths
        self._works = Works(
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
            self._loop.run_until_complete(self._works.live(self._stopping))
        except BaseException as error:  # noqa: BLE001 - the edge of this thread
            for call in self._told_of_end:
                call(error)
        finally:
            self._loop.close()

    def _call(self, work: Coroutine[object, object, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(self._works.tracked(work), self._loop)

    # Facts

    def snapshot(self) -> Snapshot:
        """Return the board as it was published last. Instant."""
        return self._works.events.snapshot

    def log_after(self, seq: int, limit: int = 1000) -> list[LogLine]:
        """Return the newest ``limit`` log lines after ``seq``, oldest first. Instant."""
        return self._works.events.board.log_after(seq, limit)

    def clients(self) -> int:
        """Return how many clients are connected through local ports now."""
        return sum(row.clients for row in self.snapshot().rows)

    def listen(self, listener: Callable[[AnyEvent], None]) -> None:
        """Have every event from now on passed to ``listener``, on the monitor's thread."""
        self._works.events.listeners.append(listener)

    # Tunnels and probes

    def hold(self, name: str) -> Future[None]:
        """Open a server's tunnel and probe it; the future ends when all of that has been closed again.

        It is closed by ``close``, by cancelling the future, or when the server is switched off or
        removed. A second hold of one server waits for the first to end: generations never overlap.
        """
        return self._call(self._works.held.hold(name))

    def close(self, name: str) -> Future[None]:
        """Close a server's tunnel; the future ends when all of it is closed. Idempotent."""
        return self._call(self._works.held.close(name))

    def probe_now(self, name: str) -> None:
        """Probe a server at once, without waiting for its turn."""
        self._loop.call_soon_threadsafe(self._works.held.probe_now, name)

    def retry_now(self, name: str) -> None:
        """Stop waiting and try a server's tunnel and probe at once."""
        self._loop.call_soon_threadsafe(self._works.held.retry_now, name)

    def start_test(self, name: str) -> Test:
        """Test a server over an SSH connection of the test's own. Raises KeyError for an unknown one."""
        row = self.snapshot().row(name)
        if row is None or row.health is Health.BROKEN:
            raise KeyError(name)
        test = Test(row.server)
        test.future = self._call(self._works.test(test))
        return test

    # What a person decides

    def trust(self, name: str, offer: HostKeyOffer, *, replace: bool = True) -> Future[None]:
        """Trust exactly the offered host key, instead of others of that host, and try again."""
        return self._call(self._works.trust(offer, replace=replace))

    def give_password(self, name: str, password: Secret) -> None:
        """Keep a database password for this run, in memory only, and probe at once."""
        self._loop.call_soon_threadsafe(self._works.give_password, name, password)

    def save(
        self, server: Server, *, replaces: str | None, keyring_password: Secret | None = None
    ) -> Future[Server]:
        """Add a server (``replaces`` None) or change the one of that name; gives what was saved.

        Makes the key of a server with a tunnel and chooses its local port.
        """
        return self._call(self._works.edited(edits.save, server, replaces, keyring_password))

    def remove(self, name: str) -> Future[None]:
        """Take a server out of the file; its key is moved aside, not destroyed."""
        return self._call(self._works.edited(edits.remove, name))

    def restore(self, server: Server) -> Future[None]:
        """Undo ``remove``: the entry and the key that was moved aside come back."""
        return self._call(self._works.edited(edits.restore, server))

    def set_enabled(self, name: str, enabled: bool) -> Future[None]:
        """Switch a server on or off; its entry stays."""
        return self._call(self._works.edited(edits.set_enabled, name, enabled))

    def key_info(self, name: str) -> Future[KeyInfo]:
        """Return a server's public key and how to install it; made if it has none yet."""
        return self._call(self._works.key_info(name))

    def rotation_state(self, name: str) -> Future[Rotation]:
        """Return how far the change of a server's key is."""
        return self._call(self._works.rotation_state(name))

    def rotate(self, name: str) -> Future[Rotation]:
        """Make a new key beside the one in use. Raises CannotRotate too, where that is not possible."""
        return self._call(self._works.edited(rotation.begin, name))

    def try_keys(self, name: str) -> Future[Tried]:
        """Try the new key, over a login of its own, and use it when it works; or the old one's refusal."""
        return self._call(self._works.try_keys(name))

    def give_up_key(self, name: str) -> Future[Path | None]:
        """Give a new key up that is not in use yet; gives where it is kept. Raises CannotRotate too."""
        return self._call(self._works.edited(rotation.give_up, name))

    def audit(self, name: str) -> Future[AuditReport]:
        """Prove what a server's key can and cannot do, over an SSH login of its own."""
        return self._call(self._works.audit(name))

    def client_env(self, name: str) -> Future[tuple[list[str], dict[str, str]]]:
        """Return the command and the environment by which the engine's own client uses the local port."""
        return self._call(self._works.client_env(name))
