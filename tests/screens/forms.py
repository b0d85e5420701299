"""The settings form, opened, and what it saved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from canary_tui.monitor.requests import Save
from canary_tui.servers.model import Server
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.server_form import ServerForm
from tests.screens.conftest import Open, until
from tests.screens.fake_monitor import FakeMonitor


@asynccontextmanager
async def form_of(
    app: CanaryApp, opened: Open, key: str = "a"
) -> AsyncIterator[tuple[Pilot[None], ServerForm]]:
    """Open the form of a new server (``a``) or of the first one (``e``)."""
    async with opened() as pilot:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ServerForm) and app.screen.ready)
        assert isinstance(app.screen, ServerForm)
        yield pilot, app.screen


def saved(monitor: FakeMonitor) -> Server:
    """Return what the form handed to the monitor."""
    (save,) = monitor.asked_for(Save)
    return save.server
