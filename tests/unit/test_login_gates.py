"""How many log in to one SSH server at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.tunnels.login_gates import FIRST_WIDTH, WIDEST, Gate, LoginGates

BUSY = Failed(Cause.SSH_TOO_MANY_CONNECTIONS)


async def logins(gate: Gate, *, good: int = 0, failing: Failed | None = None) -> None:
    """Log in one after the other."""
    for _ in range(good):
        async with gate.login():
            pass
    if failing is not None:
        with suppress(Failed):
            async with gate.login():
                raise failing


class Crowd:
    """Logins that end when they are told to, all begun at once."""

    def __init__(self, gate: Gate, count: int, *, patient: bool = False) -> None:
        self.inside: set[int] = set()
        self.entered: list[int] = []
        self._ends = [asyncio.Event() for _ in range(count)]
        self.failing: Failed | None = None
        self.tasks = [asyncio.create_task(self._login(gate, n, patient)) for n in range(count)]

    async def _login(self, gate: Gate, number: int, patient: bool) -> None:
        async with gate.login(patient=patient):
            self.inside.add(number)
            self.entered.append(number)
            try:
                await self._ends[number].wait()
                if self.failing is not None:
                    raise self.failing
            finally:
                self.inside.discard(number)

    async def end(self, *numbers: int) -> None:
        for number in numbers:
            self._ends[number].set()
        await settle()

    async def gone(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_one_ssh_host_and_port_has_one_gate_however_it_is_spelled() -> None:
    gates = LoginGates()
    gate = gates.of("bastion", 22)
    assert gates.of("Bastion", 22) is gate
    assert gates.of("bastion", 2222) is not gate
    assert gates.of("bastion.example.com", 22) is not gate


async def test_so_many_at_a_time_and_the_others_in_their_order() -> None:
    crowd = Crowd(Gate(), 5)
    await settle()
    assert crowd.inside == {0, 1}
    await crowd.end(1)
    assert crowd.inside == {0, 2}
    await crowd.end(0, 2)
    assert crowd.entered == [0, 1, 2, 3, 4]
    await crowd.gone()


async def test_it_grows_while_logins_go_well_and_no_further_than_four() -> None:
    gate = Gate()
    assert gate.width == FIRST_WIDTH == 2
    await logins(gate, good=2)
    assert gate.width == WIDEST == 4
    await logins(gate, good=1000)
    assert gate.width == 4


async def test_who_waits_comes_in_when_it_grows() -> None:
    gate = Gate()
    crowd = Crowd(gate, 8)
    await settle()
    await crowd.end(0, 1)
    assert len(crowd.inside) == 4
    await crowd.gone()


@pytest.mark.parametrize("cause", [Cause.SSH_TOO_MANY_CONNECTIONS, Cause.SSH_CLOSED_EARLY])
async def test_it_halves_when_the_server_is_busy_and_never_closes(cause: Cause) -> None:
    gate = Gate()
    await logins(gate, good=2)
    widths = []
    for _ in range(5):
        await logins(gate, failing=Failed(cause))
        widths.append(gate.width)
    assert widths == [2, 1, 1, 1, 1]
    await logins(gate, good=1)
    assert gate.width == 1, "it does not grow at once again"
    await logins(gate, good=5000)
    assert gate.width == 4


async def test_each_time_that_the_server_is_busy_makes_it_more_careful() -> None:
    gate = Gate()
    runs = []
    for _ in range(4):
        while gate.width > 1:
            await logins(gate, failing=BUSY)
        run = 0
        while gate.width == 1:
            await logins(gate, good=1)
            run += 1
        runs.append(run)
    assert runs == sorted(runs)
    assert runs[-1] > runs[0]


async def test_what_a_busy_server_tells_several_at_once_counts_once() -> None:
    gate = Gate()
    await logins(gate, good=2)
    crowd = Crowd(gate, 4)
    crowd.failing = BUSY
    await settle()
    await crowd.end(0, 1, 2, 3)
    assert gate.width == 2


@pytest.mark.parametrize(
    "failed",
    [
        Failed(Cause.KEY_NOT_ACCEPTED),
        Failed(Cause.HOST_KEY_CHANGED),
        Failed(Cause.CONNECT_TIMED_OUT),
        Failed(Cause.SSH_NO_ANSWER),
        Failed(Cause.SSH_CLOSED_EARLY, facts={"excess": "cut off by us"}),
    ],
)
async def test_what_has_nothing_to_do_with_room_changes_nothing(failed: Failed) -> None:
    gate = Gate()
    await logins(gate, good=1, failing=failed)
    assert gate.width == FIRST_WIDTH
    await logins(gate, good=1)
    assert gate.width == WIDEST


async def test_a_person_does_not_wait_behind_tunnels_that_come_back() -> None:
    gate = Gate()
    tunnels = Crowd(gate, 10, patient=True)
    await settle()
    person = Crowd(gate, 1)
    await settle()
    assert not person.inside
    await tunnels.end(0)
    assert person.inside == {0}
    await tunnels.gone()
    await person.gone()


async def test_who_gives_up_leaves_no_hole_and_no_place() -> None:
    gate = Gate()
    crowd = Crowd(gate, 5)
    await settle()
    crowd.tasks[2].cancel()
    # Given its turn and given up in one moment.
    crowd._ends[0].set()
    await asyncio.sleep(0)
    crowd.tasks[3].cancel()
    await settle()
    assert crowd.inside == {1, 4}
    await crowd.gone()
    again = Crowd(gate, 3)
    await settle()
    assert len(again.inside) == 2
    await again.gone()


def test_it_serves_one_event_loop_after_the_other() -> None:
    gate = Gate()

    async def crowded() -> list[int]:
        crowd = Crowd(gate, 4)
        await settle()
        await crowd.end(0, 1, 2, 3)
        await settle()
        return crowd.entered

    assert asyncio.run(crowded()) == asyncio.run(crowded()) == [0, 1, 2, 3]
