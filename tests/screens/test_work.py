"""A worker that gives way to the next one before it has begun leaves nothing behind."""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING

from canary_tui.tui.work import begin_alone
from tests.screens.conftest import until

if TYPE_CHECKING:
    from tests.screens.conftest import Open


async def test_only_the_last_of_a_group_runs_and_no_coroutine_is_left_unawaited(opened: Open) -> None:
    ran: list[int] = []

    async def work(number: int) -> None:
        ran.append(number)

    async with opened() as pilot:
        for number in range(3):
            begin_alone(pilot.app, partial(work, number), "work", "a group")
        await until(pilot, lambda: ran)
        await pilot.pause()
    gc.collect()  # a coroutine that was never awaited says so now, and a warning fails the test
    assert ran == [2]
