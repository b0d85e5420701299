"""The commands, of a user without any server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.cli import Canary
from tests.servers.world import World


@pytest.fixture
def user(tmp_path: Path) -> World:
    """A user without any server."""
    return World(tmp_path)


@pytest.fixture
def canary(user: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Canary:
    return Canary(user, monkeypatch, capfd)
