"""Users who connect to what is not theirs cost one line in ten seconds."""

from __future__ import annotations

import asyncio

import pytest

from canary_tui.monitor import strangers as module
from canary_tui.monitor.strangers import Strangers
from canary_tui.tunnels.peer import Peer
from tests.harness.ports import eventually

ROOT, SOMEBODY, GONE = Peer(0, "port 1"), Peer(2**31 - 7, "port 2"), Peer(None, "port 3")


@pytest.fixture
def said() -> list[str]:
    """What was told."""
    return []


async def test_the_first_is_told_at_once_and_the_others_by_their_number(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PERIOD_SECONDS", 0.05)
    strangers = Strangers(said.append)
    strangers.came(ROOT)
    assert said == ["a client of another user (root, uid 0, port 1)"]
    for _ in range(40_000):
        strangers.came(ROOT)
    assert len(said) == 1
    await eventually(lambda: len(said) == 2)
    assert said[1] == "40,000 more clients of other users (root, uid 0: 40,000)"
    await eventually(lambda: strangers._period is None)
    strangers.came(GONE)
    assert said[2:] == ["a client (port 3) whose user the system does not know"]
    strangers.close()
    assert len(said) == 3


async def test_while_they_go_on_coming_there_is_one_line_a_period(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PERIOD_SECONDS", 0.1)
    strangers = Strangers(said.append)
    began = asyncio.get_running_loop().time()
    while len(said) < 4:
        strangers.came(ROOT)
        await asyncio.sleep(0.001)
    assert asyncio.get_running_loop().time() - began >= 0.3
    strangers.close()


async def test_each_user_is_counted_and_what_was_not_told_is_told_at_the_end(said: list[str]) -> None:
    strangers = Strangers(said.append)
    for peer in (ROOT, ROOT, SOMEBODY, GONE, GONE):
        strangers.came(peer)
    strangers.close()
    strangers.close()
    assert said[1:] == [
        "4 more clients of other users (root, uid 0: 1, no account, uid 2147483641: 1, "
        "gone before they could be looked at: 2)"
    ]


async def test_a_user_with_thousands_of_uids_does_not_make_the_line_long(said: list[str]) -> None:
    strangers = Strangers(said.append)
    for uid in range(100_000, 165_536):
        strangers.came(Peer(uid, "port 1"))
    strangers.close()
    assert len(said) == 2
    assert said[1].endswith(", others: 65,532)")
    assert len(said[1]) < 200


async def test_one_more_is_one_client(said: list[str]) -> None:
    strangers = Strangers(said.append)
    strangers.came(ROOT)
    strangers.came(ROOT)
    strangers.close()
    assert said[1] == "1 more client of other users (root, uid 0: 1)"
