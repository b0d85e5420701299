"""A server's public key, and how to install it on the SSH server."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll

from canary_tui.diagnosis.stages import Failed
from canary_tui.keys.rotation_words import WHAT_HAPPENS, given_up
from canary_tui.monitor.requests import GiveUpKey, ReadKey, ReadRotation, RotateKey, TryKeys
from canary_tui.tui.files import write_new
from canary_tui.tui.presenters.keys import key_sections, tried_lines
from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.screens.dialogs import AskText, Confirm
from canary_tui.tui.screens.page import done, error_words
from canary_tui.tui.screens.server_page import ServerPage
from canary_tui.tui.widgets.bars import TitleBar, Words
from canary_tui.tui.work import begin_alone

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from textual.widget import Widget

    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.keys.rotation import Rotation
    from canary_tui.monitor.board import Snapshot

T = TypeVar("T")


class KeyView(ServerPage):
    """The line to install, the steps, one command. The private key is never shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy('restricted')", "copy line"),
        Binding("C", "copy('script')", "copy command", key_display="C"),
        Binding("l", "copy('line')", "copy bare key"),
        Binding("w", "write", "write to file"),
        Binding("t", "test", "test"),
        Binding("u", "audit", "audit"),
        Binding("R", "rotate", "change key", key_display="R"),
        Binding("R", "try_keys('next')", "try new key", key_display="R"),
        Binding("R", "try_keys('old')", "check old key", key_display="R"),
        Binding("X", "give_up", "give up new key", key_display="X"),
        Binding("o", "copy_removal", "copy removal command"),
    ]

    def __init__(self, server: str) -> None:
        super().__init__(server, "public key")
        self._entries: tuple[str, ...] = ()
        self._said: tuple[Line, ...] = ()
        self._busy = False
        self._in_use: KeyInfo | None = None
        self._rotation: Rotation | None = None

    @property
    def info(self) -> KeyInfo | None:
        """The key whose line is to be installed: the new one while one is tried."""
        return (self._rotation.next if self._rotation else None) or self._in_use

    def body(self) -> Iterable[Widget]:
        """One scrolling page: what was said last, and the key."""
        reading = Words(line(("Reading the key…", Tone.MUTED)), id="key-state")
        yield VerticalScroll(reading, Vertical(id="key-parts"), id="page")

    def on_mount(self) -> None:
        """Fetch the key."""
        self._entries = self._entries_of(self.canary.facts)
        self._read()

    def show_facts(self, snapshot: Snapshot) -> None:
        """Read again when the key was changed elsewhere: by a test, or by a command."""
        entries = self._entries_of(snapshot)
        if entries and entries != self._entries:
            self._entries = entries
            self._read()

    def _entries_of(self, snapshot: Snapshot) -> tuple[str, ...]:
        row = snapshot.row(self._server)
        ssh = row.server.ssh if row is not None else None
        return (ssh.key, ssh.next_key, ssh.old_key) if ssh is not None else ()

    def _read(self) -> None:
        self.canary.keys.expect(begin_alone(self, self._load, "key", "key"))

    async def _load(self) -> None:
        monitor = self.canary.monitor
        self._rotation = await done(monitor.ask(ReadRotation(self._server)))
        said = self._said
        try:
            self._in_use = await done(monitor.ask(ReadKey(self._server)))
        except (Failed, OSError) as error:
            self._in_use = None  # a new key may take its place all the same
            said = (*said, line(("✕ ", Tone.BAD), error_words(error)))
        age, sections = key_sections(self._in_use, self._rotation, self.canary.clock())
        self.query_one(TitleBar).say(line((age, Tone.MUTED)))
        self._show(*said)
        parts = self.query_one("#key-parts")
        await parts.remove_children()
        await parts.mount_all(
            Words(*section.lines, id=section.id, classes=section.kind) for section in sections
        )
        self.refresh_bindings()

    def _say(self, *lines: Line) -> None:
        """Say above the key what came of something, until more is said."""
        self._said = lines
        self._show(*lines)
        self.query_one("#page").scroll_home(animate=False)

    def _show(self, *lines: Line) -> None:
        place = self.query_one("#key-state", Words)
        place.say(*lines)
        place.set_class(not lines, "hidden")

    def trouble(self, error: BaseException) -> None:
        """Say in place what did not work."""
        self._say(line(("✕ ", Tone.BAD), error_words(error)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Show the keys that mean something for how the key stands."""
        if not super().check_action(action, parameters):
            return False
        found = self._rotation
        if action == "copy_removal":
            return found is not None and found.old is not None and not found.old.needed_by
        if action in {"copy", "write"}:
            return self.info is not None
        if action not in {"rotate", "try_keys", "give_up"}:
            return True
        if found is None or self._busy:
            return False
        if action == "try_keys":
            return found.pending if parameters == ("next",) else found.leaving and not found.pending
        return found.pending if action == "give_up" else not (found.pending or found.leaving)

    def action_copy(self, what: str) -> None:
        """Copy the line to install, the command or the bare key."""
        if self.info is not None:
            names = {"restricted": "line to install", "script": "command", "line": "bare key"}
            text = {"restricted": self.info.restricted, "script": self.info.script, "line": self.info.line}[
                what
            ]
            self.canary.copy(text, names[what], show=False)

    def action_copy_removal(self) -> None:
        """Copy the command that removes the old key's line."""
        if self._rotation is not None and self._rotation.old is not None:
            self.canary.copy(self._rotation.old.script, "command that removes the old key", show=False)

    # The change of key

    def action_rotate(self) -> None:
        """Make a new key beside the one in use."""
        self.ask(Confirm(f"Change the key of {self._server}?", WHAT_HAPPENS), self._rotate, "change key")

    async def _rotate(self, _yes: bool) -> None:
        await self._busy_with("Making a new key…", self.canary.monitor.ask(RotateKey(self._server)))
        self._say()
        self._read()

    def action_try_keys(self, which: str) -> None:
        """Try the new key, or the old one's refusal, now."""
        self._busy = True  # now, not when the worker has its turn: the next key comes before
        self.run_worker(self._try_keys(which), name="try keys", exit_on_error=False)

    async def _try_keys(self, which: str) -> None:
        words = "Trying the new key…" if which == "next" else "Seeing whether the old key is refused…"
        tried = await self._busy_with(words, self.canary.monitor.ask(TryKeys(self._server)))
        self._say(*tried_lines(tried))
        self._read()

    def action_give_up(self) -> None:
        """Give the new key up."""
        what = f"It is moved aside. {given_up()[1]}"
        self.ask(Confirm(f"Give up the new key of {self._server}?", what), self._give_up, "give up")

    async def _give_up(self, _yes: bool) -> None:
        await self._busy_with("Giving the new key up…", self.canary.monitor.ask(GiveUpKey(self._server)))
        self._say(line(given_up()[0]))
        self._read()

    async def _busy_with(self, words: str, work: Future[T]) -> T:
        """Say what goes on while it does; the keys of the change of key are away meanwhile."""
        self._busy = True
        self._say(line(("◐ ", Tone.ACCENT), words))
        self.refresh_bindings()
        try:
            return await done(work)
        finally:
            self._busy = False
            self.refresh_bindings()

    def action_write(self) -> None:
        """Write the line to install to a file."""
        if self.info is not None:
            hint = "A new file, mode 0600; an existing one is not touched."
            name = f"{self._server}.authorized_keys"
            question = AskText("Write the line to install to", name, hint)
            self.ask(question, partial(self._write, self.info), "write")

    async def _write(self, info: KeyInfo, path: str) -> None:
        written = await asyncio.to_thread(write_new, path, info.restricted + "\n")
        self.notify(f"Written to {written}", markup=False)
