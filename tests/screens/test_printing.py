"""Whatever a widget is given, what is painted is text: a value that was not cleaned is caught here."""

from __future__ import annotations

import pytest
from rich.segment import Segment
from textual import events
from textual.color import Color
from textual.widgets import Input, Static

from canary_tui.tui.app import CanaryApp
from canary_tui.tui.printing import PrintableOnly
from tests.screens.conftest import Open, screen_text, until
from tests.servers.hostile import hostile, svg_text, unprintable


async def looks_like_text(app: CanaryApp, text: str) -> None:
    picture = svg_text(app.export_screenshot())
    for shown in (text, picture):
        assert not "".join(c for c in shown if not c.isprintable() and c != "\n")


async def test_a_message_its_title_and_any_widget_are_text(app: CanaryApp, opened: Open) -> None:
    async with opened((120, 40)) as pilot:
        app.notify(hostile("toast"), title=hostile("title"), markup=False, timeout=60)
        await app.home.mount(Static(hostile("static"), markup=False))
        await until(pilot, lambda: "toast" in screen_text(pilot) and "static" in screen_text(pilot))
        await looks_like_text(app, screen_text(pilot))


@pytest.mark.parametrize("keys", [("slash",), ("a",), ("a", "tab", "tab")])
async def test_what_is_pasted_into_a_field_is_painted_as_text(
    app: CanaryApp, opened: Open, keys: tuple[str, ...]
) -> None:
    async with opened((120, 40)) as pilot:
        await pilot.press(*keys)
        await until(pilot, lambda: isinstance(app.focused, Input))
        focused = app.focused
        assert focused is not None
        focused.post_message(events.Paste(hostile("pasted", without="\r\n\x0b\x0c\x85\u2028\u2029")))
        await until(pilot, lambda: "pasted" in screen_text(pilot))
        await looks_like_text(app, screen_text(pilot))


async def test_the_clipboard_holds_lines_of_text(
    app: CanaryApp, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as pilot:
        app.copy_to_clipboard(f"one\n{hostile('two')}")
        await pilot.pause()
        assert app.clipboard.startswith("one\ntwo ")
        assert not unprintable(app.clipboard)


def test_a_line_stays_as_wide_as_it_was_measured() -> None:
    line = [Segment("a\x1b[31mb\x9b\u202ec\ud800"), Segment("plain"), Segment("\ue000")]
    passed = PrintableOnly().apply(line, Color.parse("black"))
    assert [segment.cell_length for segment in passed] == [segment.cell_length for segment in line]
    assert all(segment.text.isprintable() for segment in passed)
    whole = [Segment("nothing to do")]
    assert PrintableOnly().apply(whole, Color.parse("black")) is whole
