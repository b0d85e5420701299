"""A server's public key, and how to install it on the SSH server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from canary_tui.tui.files import write_new
from canary_tui.tui.presenters.keys import key_sections
from canary_tui.tui.presenters.lines import Tone, line
from canary_tui.tui.screens.dialogs import AskText
from canary_tui.tui.screens.page import Page, done, error_words
from canary_tui.tui.widgets.bars import TitleBar, Words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from canary_tui.keys.authorized import KeyInfo


class KeyView(Page):
    """The line to install, the steps, one command. The private key is never shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy('restricted')", "copy line"),
        Binding("C", "copy('script')", "copy command", key_display="C"),
        Binding("l", "copy('line')", "copy bare key"),
        Binding("w", "write", "write to file"),
        Binding("t", "test", "test"),
        Binding("u", "audit", "audit"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("g,home", "scroll(-10000)", "top", show=False),
        Binding("G,end", "scroll(10000)", "bottom", show=False, key_display="G"),
    ]

    def __init__(self, server: str) -> None:
        super().__init__(server, "public key")
        self._server = server
        self.info: KeyInfo | None = None

    def body(self) -> Iterable[Widget]:
        """One scrolling page."""
        yield VerticalScroll(Words(line(("Reading the key…", Tone.MUTED)), id="key-state"), id="page")

    def on_mount(self) -> None:
        """Fetch the key."""
        self.run_worker(self._load(), name="key", exit_on_error=False)

    async def _load(self) -> None:
        info = await done(self.canary.monitor.key_info(self._server))
        self.info = info
        age, sections = key_sections(info, self.canary.clock())
        self.query_one(TitleBar).say(line((age, Tone.MUTED)))
        page = self.query_one("#page")
        await self.query_one("#key-state").remove()
        await page.mount_all(
            Words(*section.lines, id=section.id, classes=section.kind) for section in sections
        )
        self.refresh_bindings()

    def trouble(self, error: BaseException) -> None:
        """Say in place why there is no key to show."""
        states = self.query("#key-state")
        if not states:
            super().trouble(error)
            return
        states.only_one(Words).say(line(("✕ ", Tone.BAD), error_words(error)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a key there is nothing to copy."""
        return self.info is not None if action in {"copy", "write"} else True

    def action_copy(self, what: str) -> None:
        """Copy the line to install, the command or the bare key."""
        if self.info is not None:
            names = {"restricted": "line to install", "script": "command", "line": "bare key"}
            text = {"restricted": self.info.restricted, "script": self.info.script, "line": self.info.line}[
                what
            ]
            self.canary.copy(text, names[what], show=False)

    def action_write(self) -> None:
        """Write the line to install to a file."""
        if self.info is not None:
            self.run_worker(self._write(self.info), name="write", exit_on_error=False)

    async def _write(self, info: KeyInfo) -> None:
        hint = "A new file, mode 0600; an existing one is not touched."
        path = await self.app.push_screen_wait(
            AskText("Write the line to install to", f"{self._server}.authorized_keys", hint)
        )
        if path is not None:
            written = await asyncio.to_thread(write_new, path, info.restricted + "\n")
            self.notify(f"Written to {written}", markup=False)

    def action_test(self) -> None:
        """Test the connection."""
        self.canary.open_test(self._server)

    def action_audit(self) -> None:
        """Prove what the key can and cannot do."""
        self.canary.open_audit(self._server)

    def action_scroll(self, by: int) -> None:
        """Scroll by some lines."""
        self.query_one("#page").scroll_relative(y=by, animate=False)
