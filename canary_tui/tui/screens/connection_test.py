"""A connection test, live: every stage with its time, and the verdict."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.request import TestState
from canary_tui.monitor.requests import ReadKey, RunTest
from canary_tui.tui.presenters import trail
from canary_tui.tui.presenters.lines import Tone, line
from canary_tui.tui.presenters.report import report
from canary_tui.tui.presenters.words import day_words, ms_words
from canary_tui.tui.screens.page import done
from canary_tui.tui.screens.server_page import ServerPage
from canary_tui.tui.widgets.bars import TitleBar, Words
from canary_tui.tui.work import begin_alone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.monitor.request import Monitor
    from canary_tui.servers.model import Server

TURN_EVERY = 2
"""The sign of the stage under way turns every second tick: five times a second."""

KEY_SECONDS = 2.0
"""How long a report waits for the key."""


class TestRun:
    """A connection test under way. Its state is replaced, never changed: the monitor's thread brings it."""

    __test__ = False  # not one of pytest's

    def __init__(self, server: Server, monitor: Monitor) -> None:
        self.server = server
        self.state = TestState()
        self.future = monitor.ask(RunTest(server.name), self._heard)

    def _heard(self, state: TestState) -> None:
        self.state = state

    def cancel(self) -> None:
        """Stop it; what it opened is closed."""
        self.future.cancel()

    async def over(self) -> None:
        """Wait for its end. Raises what ended it."""
        self.state = await asyncio.wrap_future(self.future)


class ConnectionTest(ServerPage):
    """Watches a test of the monitor; paints a line only when its stage moves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "run again"),
        Binding("c", "copy_report", "copy report"),
        Binding("p", "key", "public key"),
        Binding("u", "audit", "audit key"),
        Binding("h", "host_key", "host key"),
        Binding("P", "password", "password", key_display="P"),
        Binding("e", "edit", "edit"),
    ]

    def __init__(self, server: str) -> None:
        super().__init__(server, "test")
        self._test: TestRun | None = None
        self._ticks = 0
        self._told = False
        self._passed = 0

    def body(self) -> Iterable[Widget]:
        """The trail, and the words below it."""
        yield VerticalScroll(Words(id="trail"), Words(id="verdict"), Words(id="keys-tried"), id="page")

    def on_mount(self) -> None:
        """Begin."""
        self.action_again()

    def on_unmount(self) -> None:
        """Leaving the screen ends the test."""
        if self._test is not None:
            self._test.cancel()

    @property
    def result(self) -> ProbeResult | None:
        """How the test ended; None while it runs."""
        return self._test.state.result if self._test is not None else None

    def action_again(self) -> None:
        """Run the test again from the start."""
        if self._test is not None:
            self._test.cancel()
        row = self.canary.facts.row(self._server)
        if row is None:  # it has just been taken out of the file
            self.trouble(KeyError(self._server))
            return
        self._test = TestRun(row.server, self.canary.monitor)
        begin_alone(self, self._test.over, "test")
        self._told = False
        self._passed = self.canary.keys.passed
        self.tick()

    def tick(self) -> None:
        """Look how far it is."""
        if self._test is None or not self.ready:
            return
        self._ticks += 1
        server, state = self._test.server, self._test.state
        width = max(20, self.query_one("#page").scrollable_content_region.width)
        self.query_one("#trail", Words).say(*trail.trail(server, state, width, self._ticks // TURN_EVERY))
        self.query_one("#verdict", Words).say(*trail.verdict(server, state, width))
        tried = trail.keys_tried(state, width)
        self.query_one("#keys-tried", Words).set_class(not tried, "hidden").say(*tried)
        if state.result is not None and not self._told:
            self._told = True
            self._over(state.result)

    def _over(self, result: ProbeResult) -> None:
        summary = f"{day_words(result.started_at)} · {ms_words(result.total_ms)}"
        self.query_one(TitleBar).say(line((summary, Tone.MUTED)))
        self.refresh_bindings()
        # A question comes by itself to who only watches. What others type is meant for this screen, whose
        # keys say how to decide.
        if self.canary.keys.typed_since(self._passed):
            return
        if trail.needs_decision(result):
            self.action_host_key()
        elif result.failure is not None and result.failure.cause is Cause.PASSWORD_MISSING:
            self.action_password()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys that mean nothing for how the test stands."""
        result = self.result
        if action == "copy_report":
            return result is not None
        if action == "host_key":
            return result is not None and trail.needs_decision(result)
        if action == "password":
            failure = result.failure if result is not None else None
            return failure is not None and ROWS[failure.cause].password_helps
        if action in {"key", "audit"}:
            return self._test is not None and self._test.server.tunnel is not None
        return True

    def action_host_key(self) -> None:
        """Decide about the host key, then test again."""

        def decided(trusted: bool | None) -> None:
            if trusted:
                self.action_again()

        if self.result is not None and self.result.host_key is not None:
            self.canary.open_host_key(self._server, self.result.host_key, decided)

    def action_password(self) -> None:
        """Give the password, then test again."""
        if self._test is not None:
            self.canary.ask_password(self._test.server, self.action_again)

    def action_copy_report(self) -> None:
        """Copy a report for the SSH server's administrator."""
        self.carry_out(self._copy_report, "report")

    async def _copy_report(self) -> None:
        result = self.result
        if self._test is None or result is None:
            return
        server, key = self._test.server, None
        if server.tunnel is not None:
            # A report without the key is better than none: it may be the very thing that is wrong.
            with suppress(OSError, ValueError, KeyError, Failed):
                async with asyncio.timeout(KEY_SECONDS):
                    key = await done(self.canary.monitor.ask(ReadKey(self._server)))
        self.canary.copy(report(server, result, key), "report for the administrator", show=False)

    def action_edit(self) -> None:
        """Change the settings."""
        if self._test is not None:
            self.canary.open_form(self._test.server)
