"""When a server's probes are due: on a grid, later after refusals, never again without a person."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.monitor.schedule import Schedule

EVERY = 10.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def is_due(schedule: Schedule) -> bool:
    """Whether ``wait`` returns without any time passing."""
    waiting = asyncio.ensure_future(schedule.wait())
    for _ in range(5):  # timers of no length run in the loop's next rounds
        await asyncio.sleep(0)
    if waiting.done():
        await waiting
        return True
    waiting.cancel()
    await asyncio.wait({waiting})
    return False


async def due_at(schedule: Schedule, clock: Clock, limit: float = 2000.0, step: float = 0.5) -> float | None:
    """Let time pass until the next probe is due; None when it is not within ``limit`` seconds."""
    end = clock.now + limit
    while clock.now < end:
        if await is_due(schedule):
            return clock.now
        clock.now += step
    return None


async def test_the_first_probe_is_due_at_once(clock: Clock) -> None:
    assert await is_due(Schedule(clock, lambda: 0.5))


async def test_servers_that_begin_together_are_not_probed_in_step(clock: Clock) -> None:
    schedules = [Schedule(clock, partial(float, share)) for share in (0.0, 0.3, 0.6)]
    seconds = []
    for schedule in schedules:
        clock.now = 0.0
        assert await is_due(schedule)
        schedule.ended(None, EVERY)
        seconds.append(await due_at(schedule, clock))
    assert seconds == [10.0, 13.0, 6.0]


async def test_waking_up_together_does_not_bring_them_into_step(clock: Clock) -> None:
    schedules = [Schedule(clock, partial(float, share)) for share in (0.0, 0.3, 0.6)]
    seconds = []
    for schedule in schedules:
        clock.now = 100.5
        schedule.soon()
        assert await is_due(schedule)
        schedule.ended(None, EVERY)
        seconds.append(await due_at(schedule, clock))
    assert seconds == [110.0, 113.0, 106.0]


async def test_probes_stay_on_the_grid_however_long_each_takes(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    begun = []
    for took in (0.5, 3.0, 9.5, 1.0):
        begun.append(await due_at(schedule, clock))
        clock.now += took
        schedule.ended(None, EVERY)
    assert begun == [0.0, 10.0, 20.0, 30.0]


async def test_missed_intervals_are_left_out_and_bring_no_burst(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    await schedule.wait()
    clock.now += 57.0  # the machine slept
    schedule.ended(None, EVERY)
    assert await due_at(schedule, clock) == 60.0
    schedule.ended(None, EVERY)
    assert await due_at(schedule, clock) == 70.0


async def test_a_probe_that_ends_right_on_the_grid_is_not_followed_at_once(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    await schedule.wait()
    clock.now += EVERY
    schedule.ended(None, EVERY)
    assert await due_at(schedule, clock) == 2 * EVERY


async def test_refused_logins_wait_from_one_minute_up_to_fifteen(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    waits = []
    for _ in range(7):
        ended = clock.now
        schedule.ended(Cause.PASSWORD_REJECTED, EVERY)
        at = await due_at(schedule, clock)
        assert at is not None
        waits.append(at - ended)
    assert waits == [60, 120, 240, 480, 900, 900, 900]


async def test_a_refusal_never_shortens_a_longer_interval(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    schedule.ended(Cause.PASSWORD_REJECTED, 1800.0)
    assert await due_at(schedule, clock, limit=4000) == 1800.0


async def test_a_probe_that_passes_ends_the_long_waits(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    for _ in range(3):
        schedule.ended(Cause.PASSWORD_REJECTED, EVERY)
        await due_at(schedule, clock)
    passed = clock.now
    schedule.ended(None, EVERY)
    assert await due_at(schedule, clock) == passed + EVERY
    refused = clock.now
    schedule.ended(Cause.PASSWORD_REJECTED, EVERY)
    assert await due_at(schedule, clock) == refused + 60


async def test_network_trouble_is_probed_on_the_grid(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    await schedule.wait()
    clock.now += 5.0
    schedule.ended(Cause.CONNECT_TIMED_OUT, EVERY)
    assert await due_at(schedule, clock) == EVERY


async def test_what_only_a_person_can_mend_is_never_due_until_asked_for(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    await schedule.wait()
    schedule.ended(Cause.CERTIFICATE_UNTRUSTED, EVERY)
    assert await due_at(schedule, clock, limit=1e6, step=1e4) is None
    schedule.now()
    assert await is_due(schedule)


async def test_now_wakes_a_wait_that_is_under_way(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    await schedule.wait()
    schedule.ended(Cause.CERTIFICATE_UNTRUSTED, EVERY)
    waiting = asyncio.ensure_future(schedule.wait())
    await asyncio.sleep(0)
    schedule.now()
    async with asyncio.timeout(5):
        await waiting


@pytest.mark.parametrize(("asked", "then"), [(4.0, 10.0), (6.0, 20.0)])
async def test_a_probe_that_was_asked_for_is_one_probe_and_leaves_the_grid_where_it_is(
    clock: Clock, asked: float, then: float
) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    await schedule.wait()
    schedule.ended(None, EVERY)
    clock.now = asked
    schedule.now()
    schedule.now()
    assert await is_due(schedule)
    clock.now += 0.5
    schedule.ended(None, EVERY)
    assert await due_at(schedule, clock) == then


async def test_what_was_asked_for_while_a_probe_ran_comes_right_after_it(clock: Clock) -> None:
    schedule = Schedule(clock, lambda: 0.0)
    await schedule.wait()
    schedule.now()
    schedule.ended(None, EVERY)
    assert await is_due(schedule)
    schedule.ended(None, EVERY)
    assert not await is_due(schedule)
