"""A monitor that writes, and a copy that follows what it writes."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from canary_tui.monitor.board import Row
from canary_tui.monitor.events import TunnelChanged, TunnelState
from canary_tui.monitor.follower import STEP_SECONDS, Follower
from canary_tui.monitor.lock import Holder, Lock
from canary_tui.servers.file import ServersFile
from tests.harness.ports import eventually
from tests.unit.fake_history import FakeHistory, server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.unit.fake_history import FedRecorder


class Pair:
    """A history that is written, and the one who follows it."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.history = FakeHistory(folder, *names)
        # The lock is signed with the real time, and what is older than that is not the present.
        self.history.now = self.began = float(int(time.time()) + 2)
        file = ServersFile(self.history.paths.servers)
        for name in self.history.names:
            file.add(server(name))
        self.file = file
        self.batches = 0
        self.steady = 0.0
        self.follower = Follower(self.history.paths, lambda: self.history.now, lambda: self.steady)

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[FedRecorder]:
        """Record, and count the batches that are in the file."""
        async with self.history.recording() as recorder:
            write = recorder._write

            async def counted() -> bool:
                written = await write()
                self.batches += 1
                return written

            recorder._write = counted  # type: ignore[method-assign]
            await eventually(lambda: recorder._writer is not None, 5)
            yield recorder

    @property
    def holder(self) -> Holder:
        """Who the lock says it is; nobody has ended it in these tests."""
        holder = Lock(self.history.paths).acquire()
        assert holder is not None
        return holder

    async def written(self) -> None:
        """Wait until everything that was said is in the file: one batch may be under way already."""
        enough = self.batches + 2
        await eventually(lambda: self.batches >= enough, 5)

    async def look(self) -> None:
        """Have what was said written, and look."""
        await self.written()
        self.follower.look(self.holder)

    def look_for(self, seconds: float) -> str:
        """Look for so long, with nobody writing, and return what is said of it in the end."""
        end, holder = self.steady + seconds, self.holder
        while self.steady < end:
            self.steady += STEP_SECONDS / 2
            self.history.now += STEP_SECONDS / 2
            self.follower.look(holder)
        return self.follower.snapshot.unread

    def row(self, name: str = "orders") -> Row:
        row = self.follower.snapshot.row(name)
        assert row is not None
        return row

    def texts(self) -> list[str]:
        return [line.text for line in self.follower.board.log_after(0, 10_000)]


def tunnel(history: FakeHistory, state: TunnelState, name: str = "orders", **more: object) -> TunnelChanged:
    return TunnelChanged(at=history.now, server=name, state=state, **more)  # type: ignore[arg-type]
