"""What a request to the monitor is, and a monitor to who asks; ``requests.py`` has every request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from canary_tui.diagnosis.stages import ProbeResult, Stage, StageResult
from canary_tui.keys.rotation import Tried

if TYPE_CHECKING:
    from concurrent.futures import Future

    from canary_tui.monitor.board import LogLine, Snapshot
    from canary_tui.monitor.core import Core
    from canary_tui.monitor.history.reader import HistoryReader

T = TypeVar("T")


class TestState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a connection test is, and at its end what came of it."""

    __test__ = False  # not one of pytest's

    stage: Stage | None = None
    """The stage under way."""
    stages: tuple[StageResult, ...] = ()
    """Those that ended."""
    result: ProbeResult | None = None
    trying_keys: bool = False
    """Whether the new or the old key of a change of key is tried, after the test of the key in use."""
    tried: Tried | None = None
    """What that came to; None where no change of key is under way."""


Tell = Callable[[TestState], None]
"""Is told how far a request is. On the monitor's thread: it may only keep what it is given."""


def unheard(_state: TestState) -> None:
    """Hear nothing of how far a request is."""


class Request(msgspec.Struct, Generic[T], frozen=True, tag_field="request", tag=True):
    """One thing that is asked of the monitor. Its answer is a ``T``."""

    async def carry_out(self, core: Core, tell: Tell) -> T:
        """Do it on the monitor's loop; cancelling this calls it off."""
        raise NotImplementedError


class Read(Request[T], frozen=True):
    """A question to the history, which is up to a second behind."""

    async def carry_out(self, core: Core, tell: Tell) -> T:
        return await asyncio.to_thread(self.read, core.history())

    def read(self, history: HistoryReader) -> T:
        """Find the answer; on a thread."""
        raise NotImplementedError


class Monitor(Protocol):
    """The monitor as every front end has it: requests go up, facts come down. Any thread may call."""

    def start(self) -> None:
        """Begin. Raises OSError or RuntimeError when the system gives no descriptor, or no thread."""

    def stop(self, limit: float = 3.0) -> bool:
        """Close everything; True when that was done within ``limit`` seconds."""

    def when_broken(self, call: Callable[[BaseException], None]) -> None:
        """Have ``call`` told, from another thread, when it ends by a defect; before ``start``."""

    def ask(self, request: Request[T], tell: Tell = unheard) -> Future[T]:
        """Have a request carried out. Cancelling the future calls it off."""

    def snapshot(self) -> Snapshot:
        """Return the board as it is. Instant."""

    def log_after(self, seq: int, limit: int = 1000) -> list[LogLine]:
        """Return the newest ``limit`` log lines after ``seq``, oldest first. Instant."""
