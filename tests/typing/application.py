"""The application over a fake monitor, in a terminal, driven from outside.

``python -m tests.typing.application FD``: over the socket ``FD`` come lines, each with one answer in JSON.
``reset`` begins anew, ``state N`` waits until that many keys have come and all of them have been carried out,
and tells how things stand.
"""

from __future__ import annotations

import array
import fcntl
import json
import socket
import sys
import termios
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from textual import events
from textual.widgets import Input

from canary_tui.monitor.board import Snapshot
from canary_tui.monitor.request import Read
from canary_tui.monitor.requests import Close, GivePassword, Hold, ReadKey, ReadRotation
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.page import Page
from canary_tui.tui.screens.server_list import ServerList
from canary_tui.tui.themes import DARK
from canary_tui.tui.widgets.choice import Choice
from canary_tui.tui.widgets.line_list import LineList
from tests.screens import samples
from tests.screens.fake_monitor import FakeMonitor

BY_THE_CLOCK = (Read, Hold, Close, ReadKey, ReadRotation)
"""What the monitor is asked without a key; everything else is asked by one."""
LOOKS = 2
"""Times in a row, ``LOOK`` seconds apart, that nothing must be under way."""
LOOK = 0.004
LIMIT = 20.0


class Typed(CanaryApp):
    """An application that counts the keys, pastes and clicks that come, and writes no screenshots."""

    came = 0

    async def on_event(self, event: events.Event) -> None:
        """Count what comes from the terminal; a click is over when the button is up."""
        if isinstance(event, events.Key | events.Paste | events.MouseUp) and event is not self.keys._released:
            self.came += not event.is_forwarded
        await super().on_event(event)

    def deliver_screenshot(self, *_: object, **__: object) -> str | None:
        """Write nothing."""
        return None


def world(version: int = 1) -> FakeMonitor:
    """Return a monitor with a server in each state, one of which wants a password."""
    first, *others = samples.fleet()
    monitor = FakeMonitor((msgspec.structs.replace(first, password_wanted=True), *others))
    monitor.connect(0)
    monitor.key = samples.key()
    monitor.broken = [samples.incident(), samples.incident(ended=60.0)]
    monitor.client = ([str(Path.cwd().parent / "client")], {})
    for step in range(12):
        at = samples.NOW - 30 + step
        monitor.log(samples.refused("legacy", at=at) if step % 2 else samples.passed(at=at))
    monitor.facts = msgspec.structs.replace(monitor.facts, version=version + monitor.facts.version)
    return monitor


def begin_anew(app: Typed) -> None:
    """Bring an application to how it began, without the half second that a start takes."""
    monitor = app.monitor
    assert isinstance(monitor, FakeMonitor)
    vars(monitor).update(vars(world(monitor.facts.version)))
    app.clear_notifications()
    while len(app.screen_stack) > 1:
        app.pop_screen()
    app.came = 0
    app._removed.clear()
    app._clipboard = ""
    app.theme = DARK.name
    app.facts = Snapshot()
    app.home = ServerList()
    app.push_screen(app.home)


def files() -> list[str]:
    """Return the names of what was written."""
    return sorted(path.name for path in Path.cwd().iterdir())


def told(app: CanaryApp) -> dict[str, Any]:
    """Return everything that a key may change."""
    monitor = app.monitor
    assert isinstance(monitor, FakeMonitor)
    screens = []
    # An application that ends takes its screens down.
    for screen in () if app._exit else app.screen_stack[1:]:
        focus = screen.focused
        shown: dict[str, Any] = {
            "screen": type(screen).__name__,
            "path": screen.path if isinstance(screen, Page) else (),
            "focus": focus and (focus.id or type(focus).__name__),
        }
        for widget in screen.query("*"):
            if isinstance(widget, Input | Choice):
                shown[f"#{widget.id}"] = widget.value
            elif isinstance(widget, LineList):
                shown[f"#{widget.id}"] = widget.cursor
        screens.append(shown)
    return {
        "screens": screens,
        "asked": [repr(request) for request in monitor.asked if not isinstance(request, BY_THE_CLOCK)],
        "passwords": [request.password.reveal() for request in monitor.asked_for(GivePassword)],
        "rows": [[row.server.name, row.server.enabled] for row in monitor.facts.rows],
        "clipboard": app.clipboard,
        "theme": app.theme,
        "files": files(),
        "gone": app._exit,
    }


class Driver:
    """Runs one application after the other on the main thread, and answers on a thread of its own."""

    def __init__(self, control: socket.socket) -> None:
        self._lines = control.makefile("rw", encoding="utf-8")
        self._begin = threading.Event()
        self._app: Typed | None = None
        self._last: dict[str, Any] = {}
        self._over = False

    def run(self) -> None:
        """Run until the other side has gone."""
        threading.Thread(target=self._answer, daemon=True).start()
        while True:
            self._begin.wait()
            self._begin.clear()
            if self._over:
                return
            app = self._app = Typed(world(), clock=lambda: samples.NOW)
            app.run()
            self._last = self._last or told(app)
            self._app = None

    def _answer(self) -> None:
        for line in self._lines:
            what, *count = line.split()
            answer = self._reset() if what == "reset" else self._state(*map(int, count))
            self._lines.write(json.dumps(answer) + "\n")
            self._lines.flush()
        self._over = True
        app = self._app
        if app is not None and app.loop is not None:
            app.loop.call_soon_threadsafe(app.exit)
        self._begin.set()

    def _reset(self) -> dict[str, Any]:
        app = self._app
        if app is not None and app._exit:
            self._wait(lambda: self._app is None)
            app = None
        termios.tcflush(0, termios.TCIFLUSH)
        for name in files():
            Path(name).unlink()
        self._last = {}
        if app is None or app.loop is None:
            self._begin.set()
        else:
            app.loop.call_soon_threadsafe(app.call_later, partial(begin_anew, app))
        time.sleep(LOOK)
        self._wait(lambda: self._app is not None and self._app.home.ready and self._app.facts.loaded)
        return self._state()

    def _state(self, keys: int = 0) -> dict[str, Any]:
        quiet, end, found = 0, time.monotonic() + LIMIT, {"stuck": True}
        while quiet < LOOKS and time.monotonic() < end:
            time.sleep(LOOK)
            app = self._app
            if app is None or app.loop is None:
                return self._last
            waiting = array.array("i", [0])
            fcntl.ioctl(0, termios.FIONREAD, waiting)
            looked = self._look(app)
            if app._exit:
                self._wait(lambda: self._app is None)
                return self._last
            quiet = quiet + 1 if looked and not waiting[0] and app.came >= keys else 0
            found = looked or found
        return found

    def _look(self, app: Typed) -> dict[str, Any]:
        """Return how things stand; nothing while something is under way."""
        assert app.loop is not None
        done = threading.Event()
        found: dict[str, Any] = {}

        def look() -> None:
            if app._exit:
                self._last = self._last or told(app)
            elif app.keys.idle and not app.keys.closed:
                found.update(told(app))
            done.set()

        try:
            app.loop.call_soon_threadsafe(look)
        except RuntimeError:  # it has just ended
            return {}
        done.wait(1)
        return found

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.002)


if __name__ == "__main__":
    Driver(socket.socket(fileno=int(sys.argv[1]))).run()
