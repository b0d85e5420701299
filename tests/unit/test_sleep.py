"""Sleep is told by two clocks, and never by the wall clock."""

from __future__ import annotations

from canary_tui.monitor.sleep import SleepMeter, seconds_suspended


def test_the_time_slept_is_told_once() -> None:
    suspended = [100.0]
    meter = SleepMeter(lambda: suspended[0])
    assert meter.look() == 0
    suspended[0] += 7200
    assert meter.look() == 7200
    assert meter.look() == 0


def test_short_sleeps_add_up_until_they_are_worth_a_word() -> None:
    suspended = [0.0]
    meter = SleepMeter(lambda: suspended[0])
    suspended[0] = 0.6
    assert meter.look() == 0
    suspended[0] = 1.2
    assert meter.look() == 1.2


def test_a_machine_that_is_awake_did_not_sleep() -> None:
    meter = SleepMeter()
    assert seconds_suspended() >= 0
    assert [meter.look() for _ in range(1000)] == [0.0] * 1000
