"""The stages of a probe as they are recorded: one at a time, no moment lost, the right one blamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.diagnosis.causes import TIMEOUT_CAUSES
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.trace import Trace

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import StageResult


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def recorded(trace: Trace) -> list[tuple[str, bool, float]]:
    return [(r.stage.value, r.ok, r.ms) for r in trace.results]


def test_stages_are_listed_in_their_order_with_their_times() -> None:
    clock = Clock()
    trace = Trace(clock)
    for stage, seconds in ((Stage.SETTINGS, 0.001), (Stage.RESOLVE, 0.002), (Stage.CONNECT, 0.25)):
        trace.enter(stage)
        assert trace.stage is stage
        clock.now += seconds
    trace.finish()
    assert recorded(trace) == [("settings", True, 1.0), ("resolve", True, 2.0), ("connect", True, 250.0)]


def test_a_stage_that_is_entered_twice_is_one_stage() -> None:
    clock = Clock()
    trace = Trace(clock)
    trace.enter(Stage.AUTH)
    clock.now += 1
    trace.enter(Stage.AUTH)
    clock.now += 1
    trace.finish()
    assert recorded(trace) == [("auth", True, 2000.0)]


def test_a_guess_is_renamed_and_keeps_the_time_at_which_it_began() -> None:
    clock = Clock()
    trace = Trace(clock)
    trace.enter(Stage.DATABASE)
    clock.now += 1
    trace.enter(Stage.TLS, tentative=True)
    clock.now += 2
    trace.enter(Stage.LOGIN)
    clock.now += 3
    trace.finish()
    assert recorded(trace) == [("database", True, 1000.0), ("login", True, 5000.0)]


def test_a_guess_that_is_confirmed_stands() -> None:
    clock = Clock()
    trace = Trace(clock)
    trace.enter(Stage.TLS, tentative=True)
    clock.now += 1
    trace.enter(Stage.TLS)
    trace.enter(Stage.LOGIN)
    trace.finish()
    assert [r.stage for r in trace.results] == [Stage.TLS, Stage.LOGIN]


def test_the_stage_under_way_is_blamed_whatever_stage_the_error_names() -> None:
    trace = Trace(Clock())
    trace.enter(Stage.QUERY)
    assert trace.fail(Failed(Cause.PASSWORD_REJECTED)) is Stage.QUERY
    assert [(r.stage, r.ok) for r in trace.results] == [(Stage.QUERY, False)]


def test_a_first_byte_that_is_a_refusal_belongs_to_the_stage_that_waited_for_it() -> None:
    clock = Clock()
    trace = Trace(clock)
    trace.enter(Stage.FORWARD)
    trace.enter(Stage.DATABASE)
    trace.note("10.0.3.12")
    clock.now += 1
    trace.enter(Stage.LOGIN, tentative=True)
    clock.now += 2
    assert trace.fail(Failed(Cause.DATABASE_TOO_MANY_CONNECTIONS)) is Stage.DATABASE
    assert recorded(trace) == [("forward", True, 0.0), ("database", False, 3000.0)]
    assert trace.results[-1].note == "10.0.3.12"


def test_a_guess_gives_way_to_another_stage_that_the_error_names() -> None:
    trace = Trace(Clock())
    trace.enter(Stage.DATABASE)
    trace.enter(Stage.LOGIN, tentative=True)
    assert trace.fail(Failed(Cause.INTERNAL_ERROR, stage=Stage.TLS)) is Stage.TLS
    assert [r.stage for r in trace.results] == [Stage.DATABASE, Stage.TLS]


@pytest.mark.parametrize(
    ("failed", "stage"),
    [
        (Failed(Cause.KEY_MISSING), Stage.SETTINGS),
        (Failed(Cause.QUERY_DENIED), Stage.QUERY),
        (Failed(Cause.INTERNAL_ERROR, stage=Stage.CONNECT), Stage.CONNECT),
        (Failed(Cause.INTERNAL_ERROR), Stage.SETTINGS),
    ],
)
def test_a_failure_outside_every_stage_gets_the_stage_where_it_usually_happens(
    failed: Failed, stage: Stage
) -> None:
    trace = Trace(Clock())
    assert trace.fail(failed) is stage
    assert recorded(trace) == [(stage.value, False, 0.0)]


def test_a_note_belongs_to_one_stage_alone() -> None:
    trace = Trace(Clock())
    trace.enter(Stage.RESOLVE)
    trace.note("192.0.2.7")
    trace.enter(Stage.CONNECT)
    trace.finish()
    assert [r.note for r in trace.results] == ["192.0.2.7", ""]


@pytest.mark.parametrize("stage", list(Stage))
def test_silence_has_a_name_at_every_stage(stage: Stage) -> None:
    trace = Trace(Clock())
    trace.enter(stage)
    assert trace.timed_out().cause is TIMEOUT_CAUSES[stage]


def test_who_watches_hears_of_each_begin_and_end() -> None:
    heard: list[tuple[Stage | None, int]] = []

    def watch(stage: Stage | None, results: tuple[StageResult, ...]) -> None:
        heard.append((stage, len(results)))

    trace = Trace(Clock(), watch)
    trace.enter(Stage.RESOLVE)
    trace.enter(Stage.RESOLVE)
    trace.enter(Stage.CONNECT)
    trace.fail(Failed(Cause.CONNECTION_REFUSED))
    assert heard == [(Stage.RESOLVE, 0), (Stage.CONNECT, 1), (None, 2)]


STEPS = st.lists(
    st.tuples(st.sampled_from(Stage), st.booleans(), st.integers(min_value=0, max_value=10_000)), min_size=1
)


class Ticking(Clock):
    """A clock that goes on by itself: each look at it costs a microsecond."""

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


@given(steps=STEPS, cause=st.none() | st.sampled_from(Cause))
def test_a_probe_is_in_exactly_one_stage_and_its_times_sum_to_the_whole(
    steps: list[tuple[Stage, bool, int]], cause: Cause | None
) -> None:
    clock = Ticking()
    trace = Trace(clock)
    began = 0.0
    for number, (stage, tentative, milliseconds) in enumerate(steps):
        trace.enter(stage, tentative=tentative)
        began = clock.now if number == 0 else began
        assert trace.stage is stage
        clock.now += milliseconds / 1000
    blamed = trace.fail(Failed(cause)) if cause else None
    if cause is None:
        trace.finish()
    total = (clock.now - began) * 1000
    assert sum(r.ms for r in trace.results) == pytest.approx(total, abs=0.002 * len(steps))
    assert all(r.ms >= 0 for r in trace.results)
    assert [r.ok for r in trace.results[:-1]] == [True] * (len(trace.results) - 1)
    assert trace.results[-1].ok == (cause is None)
    assert blamed in {None, trace.results[-1].stage}
    for one, following in zip(trace.results, trace.results[1:], strict=False):
        assert one.stage is not following.stage


def test_what_is_expected_names_a_time_out_of_that_stage_alone() -> None:
    trace = Trace(Clock())
    trace.enter(Stage.HANDSHAKE)
    trace.expect(Failed(Cause.NOT_SSH, detail="it sends lines"))
    assert trace.timed_out().detail == "it sends lines"
    trace.expect(None)
    assert trace.timed_out().cause is Cause.SSH_NO_ANSWER
    trace.expect(Failed(Cause.NOT_SSH))
    trace.enter(Stage.AUTH)
    assert trace.timed_out().cause is Cause.AUTH_TIMED_OUT


def test_a_wait_belongs_to_no_stage() -> None:
    clock = Clock()
    trace = Trace(clock)
    trace.enter(Stage.SETTINGS)
    clock.now += 0.001
    with trace.paused():
        clock.now += 60
    clock.now += 0.002
    trace.enter(Stage.RESOLVE)
    clock.now += 0.004
    trace.finish()
    assert recorded(trace) == [("settings", True, 3.0), ("resolve", True, 4.0)]
    assert trace.waited == pytest.approx(60)
