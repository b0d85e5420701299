"""The audit: what a server's key can and cannot do on its SSH server, proved by trying."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from canary_tui.diagnosis.stages import Failed
from canary_tui.monitor.requests import AuditKey
from canary_tui.tui.presenters import audit
from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.presenters.words import day_words
from canary_tui.tui.screens.page import error_words
from canary_tui.tui.screens.server_page import ServerPage
from canary_tui.tui.widgets.bars import TitleBar, Words
from canary_tui.tui.work import begin_alone

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from textual.widget import Widget

    from canary_tui.tunnels.audit import AuditReport

TURN_EVERY = 2
"""The sign turns every second tick: five times a second."""


class AuditView(ServerPage):
    """Runs one audit. Leaving the screen calls it off."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "run again"),
        Binding("c", "copy_line", "copy line"),
        Binding("p", "key", "public key"),
        Binding("t", "test", "test"),
    ]

    def __init__(self, server: str) -> None:
        super().__init__(server, "audit")
        self._under_way: Future[AuditReport] | None = None
        self._began = 0.0
        self._ticks = 0
        self._outcome: AuditReport | BaseException | None = None

    def body(self) -> Iterable[Widget]:
        """Findings first, then what was tried, then the line."""
        yield VerticalScroll(
            Words(id="findings"), Words(id="checks"), Words(id="remedy"), Words(id="line"), id="page"
        )

    def on_mount(self) -> None:
        """Begin."""
        self.action_again()

    def on_unmount(self) -> None:
        """Leaving the screen ends the audit."""
        if self._under_way is not None:
            self._under_way.cancel()

    @property
    def report(self) -> AuditReport | None:
        """What was found; None while it runs, and where there was no login to audit."""
        return None if isinstance(self._outcome, BaseException) else self._outcome

    def action_again(self) -> None:
        """Audit the key anew."""
        if self._under_way is not None:
            self._under_way.cancel()
        self._outcome, self._began = None, self.canary.clock()
        self._under_way = self.canary.monitor.ask(AuditKey(self._server))
        begin_alone(self, partial(self._wait, self._under_way), "audit")
        self.query_one(TitleBar).say(line())
        self.refresh_bindings()
        self._paint()

    async def _wait(self, audit_under_way: Future[AuditReport]) -> None:
        """Wait for the end. Cancelling this calls the audit itself off."""
        self._outcome = await asyncio.wrap_future(audit_under_way)
        self._over()

    def trouble(self, error: BaseException) -> None:
        """Say in place why there was nothing to audit."""
        self._outcome = error
        self._over()

    def _over(self) -> None:
        self.query_one(TitleBar).say(line((day_words(self.canary.clock()), Tone.MUTED)))
        self.refresh_bindings()
        self._paint()

    def tick(self) -> None:
        """Show that it runs."""
        if self._outcome is None:
            self._ticks += 1
            self._paint()

    def on_resize(self) -> None:
        """Break the lines anew."""
        self.call_after_refresh(self._paint)

    def _paint(self) -> None:
        if not self.in_use:
            return
        width = max(20, self.query_one("#page").scrollable_content_region.width)
        parts: dict[str, list[Line]] = {"checks": [], "remedy": [], "line": []}
        row = self.canary.facts.row(self._server)
        outcome = self._outcome
        if outcome is None and row is not None:
            seconds = self.canary.clock() - self._began
            parts["findings"] = audit.running(row.server, seconds, self._ticks // TURN_EVERY, width)
        elif isinstance(outcome, Failed) and row is not None:
            parts["findings"] = audit.not_audited(outcome, row.server, width)
        elif isinstance(outcome, BaseException):
            parts["findings"] = [line(("✕ ", Tone.BAD), error_words(outcome))]
        elif outcome is not None:
            parts["findings"] = audit.findings(outcome, width)
            parts["checks"] = audit.checks(outcome, width)
            parts["remedy"] = audit.remedy(outcome, width)
            parts["line"] = [line(outcome.line)] if parts["remedy"] else []
        for name, lines in parts.items():
            words = self.query_one(f"#{name}", Words)
            words.set_class(not lines, "hidden")
            words.say(*lines)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without findings there is no line to copy."""
        return (self.report is not None and not self.report.ok) if action == "copy_line" else True

    def action_copy_line(self) -> None:
        """Copy the line to install."""
        if self.report is not None:
            self.canary.copy(self.report.line, "line to install", show=False)
