"""Each event goes through each fold once and in order; what a fold makes of it is passed on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.board import Board
from canary_tui.monitor.breakdowns import Breakdowns
from canary_tui.monitor.event_flow import EventFlow
from canary_tui.monitor.events import FleetLoaded, IncidentChanged, Noted, ProbeFinished
from canary_tui.monitor.history.unwritten import Batch
from canary_tui.servers.fleet import Fleet
from tests.unit.fake_history import REFUSED, START, probe, server

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.monitor.events import AnyEvent


class Entered(EventFlow):
    """Says what was taken while something else was."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Board(), Breakdowns(self.take, folder))
        self.heard: list[AnyEvent] = []
        self.listeners.append(self.heard.append)
        self.nested: list[AnyEvent] = []
        self._taking = False

    def take(self, event: AnyEvent) -> None:
        if self._taking:
            self.nested.append(event)
        self._taking = True
        super().take(event)
        self._taking = False

    def notes(self) -> list[str]:
        return [event.text for event in self.heard if isinstance(event, Noted)]

    def written(self) -> Batch:
        batch = self.unwritten.batch(START)
        assert batch is not None
        return batch


@pytest.fixture
async def flow(tmp_path: Path) -> Entered:
    flow = Entered(tmp_path)
    flow.take(FleetLoaded(at=START, fleet=Fleet(servers=(server("orders"),))))
    return flow


def failed(at: float = START) -> ProbeFinished:
    return ProbeFinished(at=at, result=probe("orders", at, failure=REFUSED))


def a_defect(*_: object) -> None:
    raise RuntimeError("odd")


async def test_an_incident_is_told_right_after_the_probe_that_noticed(flow: Entered) -> None:
    flow.heard.clear()
    flow.take(failed())
    flow.take(ProbeFinished(at=START + 5, result=probe("orders", START + 5)))
    names = [event.__struct_config__.tag for event in flow.heard]
    assert names == ["probe_finished", "incident_changed", "probe_finished", "incident_changed"]
    batch = flow.written()
    assert [line.result for line in batch.lines] == [
        e.result for e in flow.heard if isinstance(e, ProbeFinished)
    ]
    assert [one.ended for one in batch.incidents] == [START + 5]
    assert [(name, totals.down) for name, _, totals, _ in batch.hours] == [("orders", 5)]
    assert not flow.nested


async def test_a_line_of_the_log_is_written_as_it_was_shown(flow: Entered) -> None:
    for text in ("first", "second"):
        flow.take(Noted(at=START, server="", text=text))
    lines = flow.written().lines
    assert (
        [line.text for line in lines]
        == [line.text for line in flow.board.log_after(0, 9)]
        == ["first", "second"]
    )
    assert lines[0].seq < lines[1].seq, "two lines of one moment are in order"


@pytest.mark.parametrize(
    ("fold", "said"),
    [
        ("board", "the board failed: RuntimeError: odd"),
        ("uptime", "counting uptime failed: RuntimeError: odd"),
        ("incidents", "grouping incidents failed: RuntimeError: odd"),
        ("unwritten", "the history failed: RuntimeError: odd"),
    ],
)
async def test_a_fold_that_fails_is_said_once_and_not_while_an_event_is_taken(
    flow: Entered, fold: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getattr(flow, fold), "apply", a_defect)
    for number in range(3):
        flow.take(failed(START + number))
    assert flow.notes() == []
    await asyncio.sleep(0)
    assert [text.partition(" (")[0] for text in flow.notes()] == [said]
    assert not flow.nested
    assert any(isinstance(event, IncidentChanged) for event in flow.heard) == (fold != "incidents")
    assert sum(isinstance(event, ProbeFinished) for event in flow.heard) == 3
    assert (flow.board.row("orders").last is None) == (fold == "board")  # type: ignore[union-attr]
    assert bool(flow.written().hours) == (fold != "uptime")


async def test_a_listener_that_fails_keeps_nothing_from_the_others(flow: Entered) -> None:
    flow.listeners.insert(0, a_defect)
    flow.take(failed())
    await asyncio.sleep(0)
    assert [text.partition(" (")[0] for text in flow.notes()] == [
        "what listens to events failed: RuntimeError: odd"
    ]
    assert not flow.nested
    assert len(flow.written().lines) == 2, "the probe, and what failed"
