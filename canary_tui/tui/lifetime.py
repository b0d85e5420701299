"""From start to end: the monitor around the application, signals, the terminal as it was.

A terminal that is not read blocks the application's loop, so nothing here waits for it: a signal is heard on
a thread, the work is done there, and the process ends in any case.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from canary_tui.defects import told
from canary_tui.ending import END_SECONDS, ENDING_SIGNALS, Ending
from canary_tui.surroundings import when_terminal_goes

if TYPE_CHECKING:
    from canary_tui.monitor.request import Monitor
    from canary_tui.paths import Paths
    from canary_tui.tui.app import CanaryApp

STOP_SECONDS = 3.0
LEAVE_SCREEN = (
    b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"  # mouse reports off
    b"\x1b[?1004l\x1b[?2004l\x1b[<u"  # focus reports, bracketed paste, key protocol off
    b"\x1b[?1049l\x1b[?25h\x1b[0m\r\n"  # the normal screen, its cursor, no colour
)


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


@contextmanager
def ended_by_signals(app: CanaryApp, monitor: Monitor, terminal: Terminal) -> Iterator[Ending]:
    """End the application on a signal within three seconds, whatever the terminal does.

    The end of the terminal is as SIGHUP, which not everybody is sent whose terminal goes.
    """

    def end(_number: int) -> None:
        if app.loop is not None:
            with suppress(RuntimeError):  # The loop is closed: the application has ended already.
                app.loop.call_soon_threadsafe(app.exit)
        monitor.stop(END_SECONDS - 0.4)

    ending, over = Ending(end, last=terminal.restore), threading.Event()
    with ending.on(ENDING_SIGNALS):
        when_terminal_goes(lambda: os.kill(os.getpid(), signal.SIGHUP), over)
        try:
            yield ending
        finally:
            over.set()


def run(paths: Paths, *, monitor: Monitor | None = None) -> int:
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
    monitor.when_broken(app.end_for)
    with ended_by_signals(app, monitor, terminal) as ending:
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
