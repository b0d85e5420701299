"""Messages that come and go by themselves: they hide nothing that is typed into, or copied."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from canary_tui.tui.app import CanaryApp
from tests.screens.conftest import Open, screen_text, until

LONGEST = "/home/ana/.config/canary-tui/servers.yaml was not changed: a program holds the lock beside it"


async def shown(pilot: Pilot[None], app: CanaryApp, *messages: str) -> list[Toast]:
    """Send messages and wait until they stand on the screen."""
    for message in messages:
        app.notify(message, markup=False)
    await until(pilot, lambda: len(app.screen.query(Toast)) == len(messages))
    await until(pilot, lambda: all(toast.region for toast in app.screen.query(Toast)))
    return list(app.screen.query(Toast))


@pytest.mark.parametrize("key", ["", "a", "e", "p", "i"])
async def test_a_message_hides_no_input_and_no_line_to_copy(app: CanaryApp, opened: Open, key: str) -> None:
    async with opened() as pilot:
        if key:
            await pilot.press(key)
        await until(pilot, lambda: (app.screen is not app.home or not key) and app.screen.query("TitleBar"))
        await pilot.pause()
        before = screen_text(pilot).splitlines()
        (toast,) = await shown(pilot, app, LONGEST)
        assert toast.region.bottom <= 2
        assert screen_text(pilot).splitlines()[2:] == before[2:]
        assert LONGEST.rsplit(maxsplit=1)[-1] in screen_text(pilot), "all of it can be read"


async def test_short_messages_leave_the_place_in_the_title_readable(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("e")
        await until(pilot, lambda: "Database Hostname" in screen_text(pilot))
        one, two = await shown(pilot, app, "Saved orders-prod.", "Filled in from the URL.")
        assert (one.region.y, two.region.y) == (0, 1)
        assert screen_text(pilot).startswith(" canary › orders-prod ")


async def test_a_copied_text_stands_in_the_message_whole(app: CanaryApp, opened: Open) -> None:
    async with opened() as pilot:
        await pilot.press("y")
        await until(pilot, lambda: "copied, where the terminal allows it" in screen_text(pilot))
        assert app.clipboard in screen_text(pilot).splitlines()[0]
