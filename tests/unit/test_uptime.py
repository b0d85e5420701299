"""Seconds up, down, asleep and unknown: nothing is counted that nobody looked at."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.diagnosis.stages import Cause
from canary_tui.monitor.uptime import Uptime, UptimeCounter, holds

START = 3600.0 * 490_000
HOUR = 3600.0


def probe(counter: UptimeCounter, at: float, *, up: bool = True, hold: float = 30.0) -> None:
    counter.probed(START + at, up=up, hold=hold, ms=1.0)


def sums(counter: UptimeCounter) -> tuple[float, float, float]:
    hours = counter.hours.values()
    return sum(h.up for h in hours), sum(h.down for h in hours), sum(h.asleep for h in hours)


def test_what_a_probe_found_holds_until_the_next_one_ends() -> None:
    counter = UptimeCounter()
    probe(counter, 0)
    probe(counter, 10, up=False)
    probe(counter, 25)
    counter.advance(START + 30)
    assert sums(counter) == (15, 15, 0)


def test_it_does_not_hold_for_ever() -> None:
    counter = UptimeCounter()
    probe(counter, 0, hold=30)
    for second in range(1, 100):
        counter.advance(START + second)
    assert sums(counter) == (30, 0, 0)


def test_time_in_which_the_process_stood_still_is_unknown() -> None:
    counter = UptimeCounter()
    probe(counter, 0, up=False, hold=math.inf)
    counter.advance(START + 5)
    counter.advance(START + 2 * HOUR)
    assert sums(counter) == (0, 35, 0)


def test_sleep_is_neither_up_nor_down() -> None:
    counter = UptimeCounter()
    probe(counter, 0, up=False, hold=60)
    counter.slept(START + 7210, 7200)
    probe(counter, 7215)
    assert sums(counter) == (0, 15, 7200)


def test_nothing_is_counted_while_nobody_watches() -> None:
    counter = UptimeCounter()
    probe(counter, 0)
    counter.unwatched(START + 4)
    counter.slept(START + 200, 100)
    counter.advance(START + 300)
    assert sums(counter) == (4, 0, 0)


def test_a_clock_that_is_stepped_back_counts_nothing() -> None:
    counter = UptimeCounter()
    probe(counter, 100)
    counter.advance(START + 110)
    counter.advance(START)
    assert sums(counter) == (10, 0, 0)
    counter.advance(START + 5)
    assert sums(counter)[0] <= 15


def test_seconds_go_to_the_hour_they_belong_to() -> None:
    counter = UptimeCounter()
    probe(counter, HOUR - 8)
    probe(counter, HOUR + 12)
    hours = [(hour - 490_000, totals.up) for hour, totals in sorted(counter.hours.items())]
    assert hours == [(0, 8), (1, 12)]


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.floats(0, 100)), max_size=30))
def test_no_more_is_counted_than_went_by(steps: list[tuple[float, bool, float]]) -> None:
    counter, at = UptimeCounter(), 0.0
    for wait, up, hold in steps:
        at += wait
        probe(counter, at, up=up, hold=hold)
    assert sum(sums(counter)) <= at + 1e-6
    assert all(t.up + t.down + t.asleep <= HOUR + 1e-6 for t in counter.hours.values())


def test_uptime_leaves_sleep_and_the_unknown_out() -> None:
    assert Uptime(up=90, down=10, asleep=500, unknown=500).percent == pytest.approx(90)
    assert Uptime(unknown=86_400).percent is None


def test_a_probe_answers_for_three_intervals_or_half_a_minute() -> None:
    assert holds(None, 1) == holds(Cause.DATABASE_REFUSED, 1) == 30
    assert holds(None, 60) == 180


def test_a_server_that_is_probed_less_on_purpose_stays_known_to_be_down() -> None:
    assert holds(Cause.PASSWORD_REJECTED, 10) >= 900
    assert holds(Cause.CERTIFICATE_EXPIRED, 10) == math.inf
