"""Every screen, looked at while it shows what is hostile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from textual.filter import LineFilter
from textual.widgets import Input

from canary_tui.tui.app import CanaryApp
from canary_tui.tui.printing import PrintableOnly
from canary_tui.tui.screens.connection_test import ConnectionTest
from tests.servers.hostile import svg_text, unprintable
from tests.servers.hostile_user import WRONG_FILES, Hostile
from tests.servers.test_story import screen_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.segment import Segment
    from textual.color import Color
    from textual.pilot import Pilot


class Watched(LineFilter):
    """Remembers what a widget would have painted though it is no text: values are cleaned long before."""

    def __init__(self, inner: PrintableOnly) -> None:
        super().__init__()
        self._inner = inner
        self.caught: list[str] = []

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Look, then filter."""
        self.caught += [segment.text for segment in segments if not segment.text.isprintable()]
        return self._inner.apply(segments, background)


class Looking:
    """Looks at every screen that is shown, and keeps what was there to be read."""

    def __init__(self, app: CanaryApp, pilot: Pilot[None], filtered: Watched) -> None:
        self.app = app
        self.seen = ""
        self._pilot = pilot
        self._filtered = filtered

    async def press(self, *keys: str) -> None:
        """Press keys, and look."""
        await self._pilot.press(*keys)
        await self.look()

    async def look(self, *, picture: bool = False) -> None:
        """See that the screen is text, as cells and as a picture."""
        await self._pilot.pause(0.02)
        shown = screen_text(self._pilot)
        self.seen += shown
        if picture:
            shown += svg_text(self.app.export_screenshot())
        assert not unprintable(shown), shown
        assert not self._filtered.caught

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something, looking all the while; then look at the picture too."""
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, f"{what}:\n{screen_text(self._pilot)}"
            await self.look()
        await self.look(picture=True)

    async def read(self, words: str) -> None:
        """Wait for words on the screen."""
        await self.until(lambda: words in self.seen, words)


async def look_at_the_list(looking: Looking, names: list[str]) -> None:
    """Each server is in trouble; the lines below the list tell in which."""

    def in_trouble(name: str) -> bool:
        row = looking.app.facts.row(name)
        return row is not None and bool(row.failure or row.host_key or row.password_wanted)

    await looking.until(lambda: all(map(in_trouble, names)), "trouble everywhere")
    for _ in names:
        await looking.press("down")


async def look_at_tests(looking: Looking, names: Sequence[str]) -> None:
    """Test each server, and copy the report for its administrator."""
    for name in names:
        page = ConnectionTest(name)
        looking.app.push_screen(page)
        await looking.until(lambda page=page: page.result is not None, name)  # type: ignore[misc]
        await looking.press("c")
        while looking.app.screen is not looking.app.home:  # the question about a host key comes by itself
            await looking.press("escape")


async def look_at_the_log(looking: Looking, file: Path) -> None:
    """The log of all, some of its lines opened, written to a file; and what broke."""
    looking.app.open_log(None)
    await looking.read("mark-")
    for _ in range(6):
        await looking.press("up", "enter")
    await looking.press("x")
    looking.app.screen.query_one(Input).value = str(file)
    await looking.press("enter")
    await looking.until(file.exists, "the export")
    await looking.press("i")
    await looking.read("mark-ended")
    await looking.press("escape", "escape")


async def look_at_the_key(looking: Looking) -> None:
    """The key view, an audit, a host key's question, a toast."""
    looking.app.open_key("ssh-session")
    await looking.read("mark-comment")
    await looking.press("c", "C", "l")
    looking.app.open_audit("ssh-session")
    await looking.read("mark-session-end")
    row = looking.app.facts.row("ssh-since")
    assert row is not None
    assert row.host_key is not None
    looking.app.open_host_key("ssh-since", row.host_key)
    await looking.read("mark-since")
    looking.app.notify("[bold]a toast[/bold]", title="[red]its title[/red]", markup=False)
    await looking.read("[red]its title[/red]")


async def look_at_a_wrong_file(looking: Looking, user: Hostile) -> None:
    """Somebody overwrites the servers file: its mistakes are told above the list, and in full."""
    while looking.app.screen is not looking.app.home:
        await looking.press("escape")
    user.world.paths.servers.write_text(WRONG_FILES["key"] + "\n" + WRONG_FILES["value"], "utf-8")
    await looking.read("servers.yaml:")
    await looking.press("!")
    await looking.look(picture=True)
