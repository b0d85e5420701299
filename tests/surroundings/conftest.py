"""A user's home for tests that start ``canary`` in odd surroundings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.surroundings.canary import Home, direct, fleet


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with one server in it, whose database refuses connections."""
    user = Home(tmp_path / "home")
    user.folder.mkdir()
    user.write(fleet(direct()))
    return user
