"""For the screens' tests: a fixed time zone, and an application over a fake monitor."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from textual.pilot import Pilot

from canary_tui.tui.app import CanaryApp
from tests.screens.fake_monitor import FakeMonitor
from tests.screens.samples import NOW, fleet, key

Opened = AbstractAsyncContextManager[Pilot[None]]
Open = Callable[..., Opened]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def monitor() -> FakeMonitor:
    """A monitor with a server in each state, and a key."""
    fake = FakeMonitor(fleet())
    fake.key = key()
    return fake


@pytest.fixture
def app(monitor: FakeMonitor) -> CanaryApp:
    """The application over it, at a fixed moment."""
    return CanaryApp(monitor, clock=lambda: NOW)


@pytest.fixture
def opened(app: CanaryApp) -> Open:
    """Open the application: ``async with opened() as pilot``."""

    @asynccontextmanager
    async def open_app(size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[None]]:
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: app.facts.version and app.home.ready)
            await pilot.pause()
            yield pilot

    return open_app


async def until(pilot: Pilot[None], condition: Callable[[], object], limit: float = 10.0) -> None:
    """Let the application run until ``condition`` holds. Fails after ``limit`` seconds."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited in vain; the screen is:\n" + screen_text(pilot)
        await pilot.pause(0.02)


def screen_text(pilot: Pilot[None]) -> str:
    """Return what stands on the screen, as text."""
    screen = pilot.app.screen
    strips = screen._compositor.render_strips(screen.size)
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)
