"""What every real server of the harness has in common."""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.harness.ports import free_port, wait_for
from tests.harness.process import children_of, descendants_of, freeze, send, spawn

START_LIMIT = 30.0
"""Seconds in which a server must be ready."""

STOP_LIMIT = 10.0
"""Seconds in which a server must be gone once it was told to; then it is killed."""


class Daemon(ABC):
    """One server process with its folder, port and log. It keeps its port over restarts."""

    host: str = "127.0.0.1"
    parent_death: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, folder: Path, log_name: str, port: int | None) -> None:
        self.folder = folder.absolute()
        self.port = port if port is not None else free_port()
        self.log = self.folder / log_name
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def _prepare(self) -> list[str]:
        """Write the configuration and return the command."""

    @abstractmethod
    def _is_ready(self, log: str) -> bool:
        """Whether the server, whose log since its start is ``log``, takes connections."""

    def _owner(self) -> tuple[int, int] | None:
        return None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.close()

    @property
    def running(self) -> bool:
        """Whether the server's main process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the server's main process; raises ``RuntimeError`` when it is not running."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{type(self).__name__} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it takes connections.

        Raises ``RuntimeError`` with the log when it ends instead, ``TimeoutError`` when it does neither.
        """
        if self.running:
            return
        command = self._prepare()
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = spawn(command, self.log, owner=self._owner(), parent_death=self.parent_death)
        try:
            wait_for(self._started, START_LIMIT, f"{type(self).__name__} is ready")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the server and wait for its end; a server that does not listen is killed."""
        self._stop_with(signal.SIGTERM)

    def close(self) -> None:
        """Stop for good: also clean up outside the folder."""
        self.stop()

    def restart(self) -> None:
        """Stop and start again, on the same port, with the settings as they are now."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL the server and everything that it started, as a power cut would."""
        if self._process is None:
            return
        if self.running:
            send(freeze([self._process.pid]), signal.SIGKILL)
        self._process.wait(STOP_LIMIT)

    def suspend(self) -> None:
        """SIGSTOP the server and its children: connected, and silent."""
        if self.running:
            freeze([self.pid])

    def resume(self) -> None:
        """SIGCONT: undo :meth:`suspend`."""
        if self.running:
            send([self.pid, *descendants_of(self.pid)], signal.SIGCONT)

    def children(self) -> list[int]:
        """The ids of the processes that the main process started."""
        return children_of(self.pid) if self.running else []

    def log_text(self) -> str:
        """Everything that the server has logged, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _log_since_start(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def _started(self) -> bool:
        log = self._log_since_start()
        if not self.running:
            raise RuntimeError(f"{type(self).__name__} did not start:\n{log[-4000:]}")
        return self._is_ready(log)

    def _stop_with(self, number: signal.Signals, limit: float = STOP_LIMIT) -> None:
        if self._process is None or not self.running:
            return
        self._process.send_signal(number)
        self.resume()  # in this order it takes no connection in between
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
