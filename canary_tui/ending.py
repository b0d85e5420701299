"""The end of this process after a signal: in time, whatever its event loops and threads are doing.

Python runs a signal's handler on the main thread between two byte codes, which may not come: a library is at
work, a file system hangs. So signals are heard on a thread of their own, woken by ``signal.set_wakeup_fd``;
it begins the end, and cuts the process off where that takes too long.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

END_SECONDS = 2.6
"""Of the three seconds in which a signal ends the process, what the orderly way may take."""
EXIT_SECONDS = 0.3
"""What the interpreter may take to end after that: it waits for threads of pools, which may be stuck."""
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Ending:
    """Ends the process within ``END_SECONDS`` of a signal.

    ``begin`` is given the first signal's number and begins the orderly end; ``last`` is called before the
    process is cut off, which then has the exit status ``status(number)``. All three run on another thread.
    """

    def __init__(
        self,
        begin: Callable[[int], object] = lambda _number: None,
        *,
        last: Callable[[], object] = lambda: None,
        status: Callable[[int], int] = lambda number: 128 + number,
    ) -> None:
        self.signal = 0
        """The signal that came; 0 where none did."""
        self._begin = begin
        self._last = last
        self._status = status
        self._over = threading.Event()

    @contextmanager
    def on(self, numbers: Sequence[int], *, handle: bool = True) -> Iterator[None]:
        """Listen to signals. Leaving says that the end is on its way by itself.

        Without ``handle`` they do what they did before, and are only seen to end the process: Ctrl-C has a
        meaning to asyncio and to prompts. Called on the main thread only.
        """
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(theirs, False)
        hear = partial(self._listen, ours, set(numbers))
        listening = threading.Thread(target=hear, name="ending", daemon=True)
        listening.start()

        def heard(number: int, _frame: object) -> None:
            # Also said here, where another library has taken the descriptor over.
            with suppress(OSError):
                os.write(theirs, bytes([number]))

        before = {number: signal.signal(number, heard) for number in numbers} if handle else {}
        woken = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        try:
            yield
        finally:
            self._over.set()
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(theirs)
            if not self.signal:
                listening.join()

    def _listen(self, ours: int, numbers: set[int]) -> None:
        with open(ours, "rb", buffering=0) as pipe:
            while said := pipe.read(1):
                if said[0] in numbers:
                    break
            else:
                return
        self.signal = said[0]
        cutting = threading.Thread(target=self._cut_off, name="cut off", daemon=True)
        cutting.start()
        self._begin(self.signal)

    def _cut_off(self) -> None:
        if not self._over.wait(END_SECONDS):
            self._last()
            os._exit(self._status(self.signal))


def leave_in_time(status: int) -> None:
    """Give the interpreter ``EXIT_SECONDS`` to end. Called last of all."""

    def cut_off() -> None:
        threading.Event().wait(EXIT_SECONDS)
        os._exit(status)

    threading.Thread(target=cut_off, name="exit", daemon=True).start()
