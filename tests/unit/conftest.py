"""What tests in more than one file here need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from canary_tui.monitor.history import recorder
from canary_tui.servers.passwords import Passwords


@pytest.fixture
def passwords(tmp_path: Path) -> Passwords:
    """Look for passwords in an environment that holds nothing but one of them."""
    return Passwords(tmp_path, {"PATH": os.environ["PATH"], "SET": "from env", "EMPTY": ""}, command_limit=20)


@pytest.fixture
def frequent_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history is written often, so that tests need not wait for it."""
    monkeypatch.setattr(recorder, "BATCH_SECONDS", 0.02)
    monkeypatch.setattr(recorder, "AGAIN_SECONDS", 0.05)
