"""Failures that have one reason are one incident."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failure, ProbeResult, RouteKind, Stage
from canary_tui.monitor.events import FleetLoaded, IncidentChanged, ProbeFinished
from canary_tui.monitor.incident_tracker import UNWATCHED, IncidentTracker, place_of
from canary_tui.monitor.incidents import Incident
from canary_tui.servers.fleet import Fleet
from canary_tui.servers.model import Database, Engine, Server, SshServer

if TYPE_CHECKING:
    from collections.abc import Iterable

JUMP = "jump.example.com"


def server(name: str, *, ssh: str | None = JUMP, host: str = "10.0.0.1", port: int = 5432) -> Server:
    return Server(
        name=name,
        engine=Engine.POSTGRESQL,
        database=Database(host=host, port=port),
        ssh=None if ssh is None else SshServer(host=ssh, user="u"),
    )


def failure(cause: Cause, stage: Stage | None = None) -> Failure:
    return Failure(
        stage=stage or ROWS[cause].stage or Stage.FORWARD, cause=cause, summary=f"{cause}.", remedies=()
    )


def result(name: str, cause: Cause | None = None) -> ProbeResult:
    return ProbeResult(
        server=name,
        ok=cause is None,
        route=RouteKind.REUSED,
        started_at=0,
        total_ms=1,
        stages=(),
        failure=failure(cause) if cause else None,
    )


def watched(tracker: IncidentTracker, at: float, *names: str) -> list[IncidentChanged]:
    """Have the servers file be read, with these servers in it."""
    return tracker.apply(FleetLoaded(at=at, fleet=Fleet(servers=tuple(map(server, names)))))


def watching(*names: str) -> IncidentTracker:
    tracker = IncidentTracker()
    assert watched(tracker, 0, *names) == []
    return tracker


def probed(
    tracker: IncidentTracker, at: float, name: str, cause: Cause | None = None
) -> list[IncidentChanged]:
    """Have a probe end."""
    return tracker.apply(ProbeFinished(at=at, result=result(name, cause)))


def changes(found: Iterable[IncidentChanged]) -> list[str]:
    return [event.change.value for event in found]


def test_three_databases_behind_one_dead_jumpbox_are_one_incident() -> None:
    tracker = IncidentTracker()
    servers = [server(f"s{n}", host=f"10.0.0.{n}") for n in range(3)]
    tracker.apply(FleetLoaded(at=0, fleet=Fleet(servers=tuple(servers))))
    said = [probed(tracker, 10 + n, s.name, Cause.CONNECTION_REFUSED) for n, s in enumerate(servers)]
    assert [changes(one) for one in said] == [["opened"], ["joined"], ["joined"]]
    assert said[2][0].incident.servers == ("s0", "s1", "s2")
    said = [probed(tracker, 20 + n, s.name) for n, s in enumerate(servers)]
    assert [changes(one) for one in said] == [["left"], ["left"], ["closed"]]
    ended = said[2][0].incident
    assert (ended.started, ended.ended, ended.ended_by) == (10, 22, "s2 answered again")


@pytest.mark.parametrize(
    ("one", "two", "cause", "together"),
    [
        (server("a"), server("b", port=6543), Cause.HOST_KEY_CHANGED, True),
        (server("a"), server("b", ssh="other"), Cause.CONNECT_TIMED_OUT, False),
        (server("a"), server("b"), Cause.DATABASE_REFUSED, True),
        (server("a"), server("b", port=6543), Cause.DATABASE_REFUSED, False),
        (server("a"), server("b", ssh="other"), Cause.DATABASE_STARTING, False),
        (server("a"), server("b"), Cause.KEY_NOT_ACCEPTED, False),
        (server("a"), server("b"), Cause.PASSWORD_REJECTED, False),
        (server("a"), server("b"), Cause.KEY_MISSING, False),
        (server("a"), server("b", port=6543), Cause.TUNNEL_LOST, True),
        (server("a", ssh=None), server("b", ssh=None), Cause.NAME_NOT_FOUND, True),
        (server("a", ssh=None), server("b", ssh=None, host="db2"), Cause.CONNECTION_REFUSED, False),
        (server("a", ssh=None), server("b", ssh=None), Cause.QUERY_TIMED_OUT, False),
    ],
)
def test_what_failures_are_grouped_by(one: Server, two: Server, cause: Cause, together: bool) -> None:
    assert (place_of(one, failure(cause)) == place_of(two, failure(cause))) is together


def test_a_failure_that_repeats_says_nothing_new() -> None:
    tracker = watching("a")
    assert changes(probed(tracker, 1, "a", Cause.DATABASE_REFUSED)) == ["opened"]
    assert probed(tracker, 2, "a", Cause.DATABASE_REFUSED) == []


def test_a_lost_tunnel_gives_way_to_the_reason_that_it_does_not_come_back() -> None:
    tracker = watching("a")
    probed(tracker, 1, "a", Cause.TUNNEL_LOST)
    said = probed(tracker, 2, "a", Cause.CONNECTION_REFUSED)
    assert changes(said) == ["joined"]
    incident = said[0].incident
    assert (incident.cause, incident.stage, incident.started) == (Cause.CONNECTION_REFUSED, Stage.CONNECT, 1)


def test_a_server_that_fails_elsewhere_now_changes_its_incident() -> None:
    tracker = watching("a")
    probed(tracker, 1, "a", Cause.DATABASE_REFUSED)
    said = probed(tracker, 2, "a", Cause.PASSWORD_REJECTED)
    assert changes(said) == ["closed", "opened"]
    assert "fails elsewhere" in said[0].incident.ended_by


def test_a_server_that_is_switched_off_ends_what_it_alone_took_part_in() -> None:
    tracker = watching("a", "b")
    probed(tracker, 1, "a", Cause.DATABASE_REFUSED)
    assert watched(tracker, 2, "a", "b") == []
    said = watched(tracker, 3, "b")
    assert changes(said) == ["closed"]
    assert "switched off" in said[0].incident.ended_by
    assert probed(tracker, 4, "a", Cause.DATABASE_REFUSED) == [], "it is not watched now"


OLD = Incident(
    id=5,
    started=5,
    stage=Stage.FORWARD,
    cause=Cause.DATABASE_REFUSED,
    place=place_of(server("a"), failure(Cause.DATABASE_REFUSED)),
    servers=("a", "b"),
    summary="refused",
)


def test_an_incident_goes_on_after_a_restart_if_a_server_still_fails() -> None:
    tracker = IncidentTracker()
    assert tracker.adopt(10, [OLD]) == []
    assert watched(tracker, 10, "a", "b") == []
    assert changes(probed(tracker, 11, "a", Cause.DATABASE_REFUSED)) == []
    assert changes(probed(tracker, 12, "b")) == ["left"]
    said = probed(tracker, 13, "a")
    assert changes(said) == ["closed"]
    ended = said[0].incident
    assert (ended.id, ended.started, ended.ended_by) == (5, 5, "a answered again")


def test_an_incident_that_is_over_after_a_restart_ended_while_not_watched() -> None:
    tracker = IncidentTracker()
    tracker.adopt(10, [OLD])
    watched(tracker, 10, "a", "b")
    assert changes(probed(tracker, 11, "b")) == ["left"]
    said = probed(tracker, 12, "a")
    assert changes(said) == ["closed"]
    assert said[0].incident.ended_by == UNWATCHED


def test_servers_that_are_gone_after_a_restart_keep_no_incident_open() -> None:
    tracker = watching("c")
    assert [one.incident.ended_by for one in tracker.adopt(10, [OLD])] == [UNWATCHED]


def test_probes_that_ended_before_the_history_was_open_count() -> None:
    tracker = watching("a", "b")
    probed(tracker, 9.5, "a", Cause.DATABASE_REFUSED)
    probed(tracker, 9.6, "b")
    said = tracker.adopt(10, [OLD])
    assert changes(said) == ["joined"]
    assert (said[0].incident.id, said[0].incident.started) == (5, 5)
    assert changes(probed(tracker, 11, "a")) == ["closed"]
