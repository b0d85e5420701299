"""From start to end: the monitor around the application, signals, the terminal as it was.

A terminal that is not read blocks the application's loop, so nothing here waits for it: the signal's
handler runs between two byte codes, the work is done on a thread, and the process ends in any case.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from canary_tui.defects import told
from canary_tui.surroundings import when_terminal_goes
from canary_tui.tui.api import MonitorApi

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from canary_tui.paths import Paths
    from canary_tui.tui.app import CanaryApp

STOP_SECONDS = 3.0
SIGNAL_SECONDS = 2.6
"""Of the three seconds in which a signal ends the process, what the orderly way may take."""
LEAVE_SCREEN = (
    b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"  # mouse reports off
    b"\x1b[?1004l\x1b[?2004l\x1b[<u"  # focus reports, bracketed paste, key protocol off
    b"\x1b[?1049l\x1b[?25h\x1b[0m\r\n"  # the normal screen, its cursor, no colour
)


class Stoppable(Protocol):
    """The part of the monitor that only the main thread uses."""

    def start(self) -> None:
        """Start the thread."""

    def stop(self, limit: float = 3.0) -> bool:
        """Close everything."""

    def when_broken(self, call: Callable[[BaseException], None]) -> None:
        """Have ``call`` told, from another thread, when it ends by a defect."""


class LiveMonitor(MonitorApi, Stoppable, Protocol):
    """A monitor whose life is in our hands."""


class Terminal:
    """The terminal's settings as they were at the start, to be put back without ever blocking."""

    def __init__(self) -> None:
        self._fd = sys.__stdin__.fileno() if sys.__stdin__ is not None else -1
        self._attributes: list[Any] | None = None
        self._name = ""
        with suppress(OSError, termios.error):
            self._attributes = termios.tcgetattr(self._fd)
            self._name = os.ttyname(self._fd)

    def restore(self) -> None:
        """Put the settings back and leave the alternate screen, as far as the terminal takes it."""
        if self._attributes is None:
            return
        # Where another program is in front, this would stop us instead of being done (termios(3), SIGTTOU).
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        with suppress(OSError, termios.error):
            # TCSANOW: the other two wait until everything written has been read.
            termios.tcsetattr(self._fd, termios.TCSANOW, self._attributes)
        with suppress(OSError):
            # A file description of its own: O_NONBLOCK on the shared one would hit the shell as well.
            out = os.open(self._name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                os.write(out, LEAVE_SCREEN)
            finally:
                os.close(out)


class Ending:
    """Ends the process on a signal within three seconds, whatever the terminal does.

    The end of the terminal is as SIGHUP, which not everybody is sent whose terminal goes.
    """

    def __init__(self, app: CanaryApp, monitor: Stoppable, terminal: Terminal) -> None:
        self._app = app
        self._monitor = monitor
        self._terminal = terminal
        self._over = threading.Event()
        self.signal = 0

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to the signals. Leaving says that the process ends by itself."""
        numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        before = [signal.signal(number, self._heard) for number in numbers]
        when_terminal_goes(lambda: os.kill(os.getpid(), signal.SIGHUP), self._over)
        try:
            yield
        finally:
            self._over.set()
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if not self.signal:
            self.signal = number
            threading.Thread(target=self._end, name="ending", daemon=True).start()

    def _end(self) -> None:
        began = time.monotonic()
        loop = self._app.loop
        if loop is not None:
            with suppress(RuntimeError):  # The loop is closed: the application has ended already.
                loop.call_soon_threadsafe(self._app.exit)
        self._monitor.stop(SIGNAL_SECONDS - 0.4)
        if not self._over.wait(max(0.1, SIGNAL_SECONDS - (time.monotonic() - began))):
            self._terminal.restore()
            os._exit(128 + self.signal)


def run_to_the_end(paths: Paths, monitor: LiveMonitor | None) -> int:
    """Run the application on ``monitor`` (or on one of its own) and return the exit status.

    Its own is a view while another process of the user monitors. It is started here and has been stopped
    when this returns.
    """
    from canary_tui.tui.app import CanaryApp

    if monitor is None:
        from canary_tui.monitor.standby import Standby

        monitor = Standby(paths)
    for told_by_shell in ("COLUMNS", "LINES"):  # Rich believes them, whatever the terminal says
        os.environ.pop(told_by_shell, None)
    app = CanaryApp(monitor, paths.state)
    terminal = Terminal()
    ending = Ending(app, monitor, terminal)
    monitor.when_broken(app.end_for)
    with ending.on_signals():
        monitor.start()
        try:
            app.run()
        except BaseException as error:  # noqa: BLE001 - the edge of the application
            terminal.restore()
            app.crash = app.crash or error
        finally:
            # On the main thread: the application's end waits for none of its workers.
            monitor.stop(STOP_SECONDS)
    if ending.signal:
        return 128 + ending.signal
    if app.crash is not None:
        with suppress(OSError):
            print(told(app.crash, paths.state), file=sys.stderr)  # noqa: T201 - the screens are gone
        return 1
    return app.return_code or 0
