"""Parts of the monitor that fail by a defect: said in one sentence, and begun again, later each time.

The one place where the monitor turns what nobody has thought of into words. BaseException is meant: a panic
in a library's native code (PyO3's) is one, and would otherwise end the thread, and with it every tunnel.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from canary_tui.defects import defect_words, keep_details
from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.stages import Stage
from canary_tui.monitor.events import Noted, TunnelChanged, TunnelState
from canary_tui.tunnels.open_files import unexpected

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from canary_tui.monitor.events import AnyEvent
    from canary_tui.servers.model import Server

ENDING = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends the work from outside and is nobody's defect."""
FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
SOUND_SECONDS = 60.0
"""What worked for so long begins again at once when it fails once more."""
SAID_AGAIN_SECONDS = 60.0
"""How often the failing of one part is said at most."""


class Breakdowns:
    """Says what broke, and when it is begun again. ``details`` is the folder where tracebacks are kept."""

    def __init__(
        self,
        emit: Callable[[AnyEvent], None],
        details: Path,
        *,
        first: float = FIRST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit = emit
        self._details = details
        self._first = first
        self._clock = clock
        self._said: dict[str, float] = {}
        self._waits: dict[str, float] = {}
        self._again: dict[str, asyncio.Event] = {}

    def say(self, what: str, error: BaseException, server: str = "") -> None:
        """Say once a minute that a part failed; the details are written then as well. Never raises."""
        now = self._clock()
        if now - self._said.get(what, -SAID_AGAIN_SECONDS) < SAID_AGAIN_SECONDS:
            return
        self._said[what] = now
        kept = keep_details(error, self._details)
        where = f"; details are in {kept}" if kept else ""
        self._emit(Noted(at=time.time(), server=server, text=f"{what} failed: {defect_words(error)}{where}"))

    async def keep(self, what: str, work: Callable[[], Coroutine[object, object, None]]) -> None:
        """Do work that goes on until it is cancelled, or ends well; where it fails, begin it again."""
        while True:
            began = self._clock()
            try:
                await work()
            except ENDING:
                raise
            except BaseException as error:  # noqa: BLE001 - see above
                self.say(what, error)
                await asyncio.sleep(self._wait(what, self._clock() - began))
            else:
                return

    async def tunnel(self, server: Server, error: BaseException, seconds: float) -> None:
        """Say that watching a server failed after ``seconds``, and wait until it is tried again."""
        what = f"the tunnel of {server.name}"
        wait = self._wait(what, seconds)
        failure = explain(unexpected(error), Stage.SETTINGS, server.words)
        self.say(what, error, server.name)
        self._emit(
            TunnelChanged(
                at=time.time(),
                server=server.name,
                state=TunnelState.WAITING,
                reason=failure.summary,
                failure=failure,
                host_key=None,
                retry_at=time.time() + wait,
                local="",
            )
        )
        again = self._again.setdefault(server.name, asyncio.Event())
        try:
            async with asyncio.timeout(wait):
                await again.wait()
        except TimeoutError:
            pass
        finally:
            self._again.pop(server.name, None)

    def again(self, name: str) -> None:
        """Try a server at once whose watching failed: a person asked, or its settings changed."""
        if name in self._again:
            self._again[name].set()

    def _wait(self, what: str, seconds: float) -> float:
        """Return the seconds until the next try: doubled each time, unless all was well for a while."""
        before = 0.0 if seconds >= SOUND_SECONDS else self._waits.get(what, 0.0)
        self._waits[what] = wait = min(LONGEST_SECONDS, 2 * before or self._first)
        return wait
