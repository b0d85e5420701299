"""What the pages about one server have in common: they scroll, and lead to each other."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from canary_tui.tui.screens.page import Page


class ServerPage(Page):
    """A page about one server, whose lines stand in a container with the id ``page``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("g,home", "scroll(-10000)", "top", show=False),
        Binding("G,end", "scroll(10000)", "bottom", show=False, key_display="G"),
    ]

    def __init__(self, server: str, about: str) -> None:
        super().__init__(server, about)
        self._server = server

    def action_key(self) -> None:
        """Show the public key and the steps to install it."""
        self.canary.open_key(self._server)

    def action_test(self) -> None:
        """Test the connection."""
        self.canary.open_test(self._server)

    def action_audit(self) -> None:
        """Prove what the key can and cannot do."""
        self.canary.open_audit(self._server)

    def action_scroll(self, by: int) -> None:
        """Scroll by some lines."""
        self.query_one("#page").scroll_relative(y=by, animate=False)
