"""The way from one page to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.tui.printing import PrintableApp
from canary_tui.tui.screens.page import Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.monitor.board import Snapshot
    from canary_tui.monitor.incidents import Incident
    from canary_tui.monitor.request import Monitor
    from canary_tui.servers.model import Server


class Places(PrintableApp):
    """An application that opens pages. Each is imported when it is opened first."""

    monitor: Monitor
    facts: Snapshot
    """The monitor's facts as they were taken over last."""

    def _go(self, page: Page) -> Page:
        """Open a page, or go back to it where it is open already: ``escape`` never leads in circles."""
        pages = [screen for screen in self.screen_stack if isinstance(screen, Page)]
        for shown in pages:
            if type(shown) is type(page) and shown.path == page.path:
                while self.screen is not shown:
                    self.pop_screen()
                return shown
        self.push_screen(page)
        return page

    def open_form(self, server: Server | None) -> None:
        """Add a server (None) or change one."""
        from canary_tui.tui.screens.server_form import ServerForm

        taken = frozenset(row.server.name for row in self.facts.rows)
        self._go(ServerForm(server, taken))

    def open_key(self, name: str) -> None:
        """Show a server's public key."""
        from canary_tui.tui.screens.key_view import KeyView

        self._go(KeyView(name))

    def open_audit(self, name: str) -> None:
        """Audit what a server's key can do."""
        from canary_tui.tui.screens.audit import AuditView

        self._go(AuditView(name))

    def open_test(self, name: str) -> None:
        """Test a server; where its test is open already, once more."""
        from canary_tui.tui.screens.connection_test import ConnectionTest

        page = ConnectionTest(name)
        shown = self._go(page)
        if shown is not page and isinstance(shown, ConnectionTest):
            shown.action_again()

    def open_log(self, name: str | None, broke: Incident | None = None) -> None:
        """Follow the probes of a server, or of all; or look back at those with which an incident began."""
        from canary_tui.tui.screens.probe_log import ProbeLog

        page = self._go(ProbeLog(name))
        if broke is not None and isinstance(page, ProbeLog):
            page.look_at(broke.started, broke.servers)

    def open_incidents(self) -> None:
        """List what broke."""
        from canary_tui.tui.screens.incidents import Incidents

        self._go(Incidents())

    def open_host_key(
        self, name: str, offer: HostKeyOffer, decided: Callable[[bool | None], None] | None = None
    ) -> None:
        """Ask about a host key; ``decided`` hears whether it is trusted now."""
        from canary_tui.tui.screens.host_key import HostKeyQuestion

        self.push_screen(HostKeyQuestion(self.monitor, name, offer), decided)
