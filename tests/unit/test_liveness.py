"""When an SSH server is asked whether it lives, and when it is given up: on a clock of the test's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from canary_tui.tunnels.liveness import ANSWER_SECONDS, IDLE_SECONDS, Liveness

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.tunnels.metered import MeteredConnection

LOST = IDLE_SECONDS + ANSWER_SECONDS


class Clock:
    """An event loop whose time passes when the test says so, and which counts the timers that fired."""

    def __init__(self) -> None:
        self.now = 100.0
        self.fired = 0
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """What it is taken for."""
        return cast("asyncio.AbstractEventLoop", self)

    def time(self) -> float:
        """Return the seconds."""
        return self.now

    def get_debug(self) -> bool:
        """No: a handle asks."""
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing: ``go_to`` passes it over."""

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        """Call at that time."""
        self._timers.append(asyncio.TimerHandle(when, callback, args, self.loop))
        return self._timers[-1]

    def go_to(self, seconds: float) -> None:
        """Let so many seconds pass in all, timer by timer."""
        end = 100.0 + seconds
        while due := [timer for timer in self._timers if timer.when() <= end and not timer.cancelled()]:
            timer = min(due, key=asyncio.TimerHandle.when)
            self._timers.remove(timer)
            self.now = max(self.now, timer.when())
            self.fired += 1
            timer._run()
        self.now = end


class Connection:
    """What is heard from a server, and when it was asked; ``answers`` after so many seconds."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.heard = clock.now
        self.asked: list[float] = []
        self.given_up: list[float] = []
        self.answers: float | None = None
        self.liveness = Liveness(cast("MeteredConnection", self), self._give_up, loop=clock.loop)

    def send_keepalive(self) -> None:
        """Answer, where the server does."""
        self.asked.append(self.clock.now - 100.0)
        if self.answers is not None:
            self.clock.call_at(self.clock.now + self.answers, self.hear)

    def hear(self) -> None:
        """Data came in."""
        self.heard = self.clock.now

    def _give_up(self, _reason: str) -> None:
        self.given_up.append(self.clock.now - 100.0)
        self.liveness.stop()


@pytest.fixture
def connection() -> Connection:
    return Connection(Clock())


def test_a_silent_server_is_asked_once_and_given_up(connection: Connection) -> None:
    connection.clock.go_to(60)
    assert connection.asked == [IDLE_SECONDS]
    assert connection.given_up == [LOST]
    assert LOST <= 13, "15 s are promised, and the machine may be busy"


@pytest.mark.parametrize("answers", [0.01, 4.9])
def test_a_server_that_answers_is_kept(connection: Connection, answers: float) -> None:
    connection.answers = answers
    connection.clock.go_to(600)
    assert connection.given_up == []
    assert len(connection.asked) == int(600 / (IDLE_SECONDS + answers))
    assert connection.clock.fired <= 3 * len(connection.asked) + 1


def test_data_of_any_kind_is_life_and_asks_for_no_keepalive(connection: Connection) -> None:
    for second in range(100):
        connection.clock.go_to(second)
        connection.hear()
    assert connection.asked == []
    assert connection.clock.fired < 100 / 4, "data sets no timer"


def test_a_server_that_answers_no_keepalive_is_kept_while_data_comes(connection: Connection) -> None:
    for second in range(10, 100, 10):
        connection.clock.go_to(second)
        connection.hear()
    assert len(connection.asked) == 9
    assert connection.given_up == []


def test_where_a_probe_waits_it_is_asked_after_half_of_its_time(connection: Connection) -> None:
    connection.clock.go_to(1)
    with connection.liveness.awaited(5.0):
        connection.clock.go_to(2)
        connection.hear()
        connection.clock.go_to(4.4)
        assert connection.asked == []
        connection.clock.go_to(5.4)
        assert connection.asked == [4.5]
        assert connection.liveness.silence == "", "it has a moment to answer"
        connection.clock.go_to(6)
        assert connection.liveness.silence == "the SSH server has said nothing for 4 s"
    assert connection.liveness.silence, "that the probe is over is no answer"
    connection.clock.go_to(60)
    assert connection.asked == [4.5]
    assert connection.given_up == [2 + LOST]


def test_a_slow_database_is_not_taken_for_a_dead_server(connection: Connection) -> None:
    connection.answers = 0.5
    with connection.liveness.awaited(60.0):
        for second in range(60):
            connection.clock.go_to(second)
            assert connection.liveness.silence == ""
    assert len(connection.asked) == int(60 / (IDLE_SECONDS + 0.5))
    assert connection.given_up == []


def test_probes_that_pass_need_no_keepalive_and_hardly_a_timer(connection: Connection) -> None:
    for second in range(100):
        connection.clock.go_to(second)
        with connection.liveness.awaited(5.0):
            connection.hear()
    assert connection.asked == []
    assert connection.clock.fired <= 100 / 2.5


def test_a_process_that_was_stopped_asks_before_it_gives_up(connection: Connection) -> None:
    connection.clock.now += 60
    connection.clock.go_to(60)
    assert connection.asked == [60]
    connection.clock.go_to(64)
    assert connection.given_up == []
    connection.clock.go_to(66)
    assert connection.given_up == [60 + ANSWER_SECONDS]


def test_nothing_is_asked_of_a_connection_that_has_ended(connection: Connection) -> None:
    connection.liveness.stop()
    with connection.liveness.awaited(5.0):
        connection.clock.go_to(60)
    assert connection.asked == []
    assert connection.given_up == []
