"""Percentiles stay true, over any span that histograms are merged for."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.monitor.histogram import HIGHEST_MS, RELATIVE_ERROR, Histogram

LATENCIES = st.lists(st.floats(min_value=0.001, max_value=3_600_000), max_size=60)


def merged(*parts: Histogram) -> Histogram:
    whole = Histogram()
    for part in parts:
        whole.merge(part)
    return whole


@given(LATENCIES, LATENCIES, LATENCIES)
def test_merging_gives_the_same_in_any_order_as_counting_together(
    one: list[float], two: list[float], three: list[float]
) -> None:
    a, b, c = Histogram.of(one), Histogram.of(two), Histogram.of(three)
    together = Histogram.of(one + two + three)
    assert merged(a, merged(b, c)) == merged(merged(a, b), c) == merged(c, b, a) == together


@given(LATENCIES.filter(bool), st.floats(min_value=0, max_value=100))
def test_a_percentile_is_within_the_error_of_the_true_one(latencies: list[float], percent: float) -> None:
    rank = max(1, math.ceil(percent / 100 * len(latencies)))
    true = sorted(latencies)[rank - 1]
    found = Histogram.of(latencies).percentile(percent)
    assert found is not None
    assert abs(found - true) <= true * RELATIVE_ERROR * 1.000001


@given(LATENCIES)
def test_what_is_encoded_is_read_back(latencies: list[float]) -> None:
    whole = Histogram.of(latencies)
    assert Histogram.decode(whole.encode()) == whole
    assert whole.count == len(latencies)


def test_a_day_of_probes_is_a_hundred_bytes() -> None:
    whole = Histogram.of(3 + (n % 97) / 10 for n in range(8640))
    assert len(whole.encode()) < 100


def test_nothing_measured_has_no_percentile() -> None:
    assert Histogram().percentile(50) is None


def test_latencies_beyond_the_scale_are_counted_at_its_ends() -> None:
    whole = Histogram.of([0.0, -1.0, math.inf])
    assert whole.count == 3
    highest = whole.percentile(100)
    assert highest is not None
    assert highest == pytest.approx(HIGHEST_MS, rel=0.1)


def test_bytes_that_are_no_histogram_are_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        Histogram.decode(b"\xc1")
