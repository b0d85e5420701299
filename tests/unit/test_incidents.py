"""Failures that have one reason are one incident."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failure, ProbeResult, RouteKind, Stage
from canary_tui.monitor.incidents import UNWATCHED, Change, Incident, IncidentTracker, place_of
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


def changes(found: Iterable[tuple[Change, Incident]]) -> list[str]:
    return [change.value for change, _ in found]


def test_three_databases_behind_one_dead_jumpbox_are_one_incident() -> None:
    tracker = IncidentTracker()
    servers = [server(f"s{n}", host=f"10.0.0.{n}") for n in range(3)]
    said = [
        tracker.probed(10 + n, s, result(s.name, Cause.CONNECTION_REFUSED)) for n, s in enumerate(servers)
    ]
    assert [changes(one) for one in said] == [["opened"], ["joined"], ["joined"]]
    (incident,) = tracker.open
    assert incident.servers == ("s0", "s1", "s2")
    said = [tracker.probed(20 + n, s, result(s.name)) for n, s in enumerate(servers)]
    assert [changes(one) for one in said] == [["left"], ["left"], ["closed"]]
    ended = said[2][0][1]
    assert (ended.started, ended.ended, ended.ended_by) == (10, 22, "s2 answered again")
    assert tracker.open == ()


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
    tracker = IncidentTracker()
    assert changes(tracker.probed(1, server("a"), result("a", Cause.DATABASE_REFUSED))) == ["opened"]
    assert tracker.probed(2, server("a"), result("a", Cause.DATABASE_REFUSED)) == []


def test_a_lost_tunnel_gives_way_to_the_reason_that_it_does_not_come_back() -> None:
    tracker = IncidentTracker()
    tracker.probed(1, server("a"), result("a", Cause.TUNNEL_LOST))
    assert changes(tracker.probed(2, server("a"), result("a", Cause.CONNECTION_REFUSED))) == ["joined"]
    (incident,) = tracker.open
    assert (incident.cause, incident.stage, incident.started) == (Cause.CONNECTION_REFUSED, Stage.CONNECT, 1)


def test_a_server_that_fails_elsewhere_now_changes_its_incident() -> None:
    tracker = IncidentTracker()
    tracker.probed(1, server("a"), result("a", Cause.DATABASE_REFUSED))
    said = tracker.probed(2, server("a"), result("a", Cause.PASSWORD_REJECTED))
    assert changes(said) == ["closed", "opened"]
    assert "fails elsewhere" in said[0][1].ended_by


def test_a_server_that_is_switched_off_ends_what_it_alone_took_part_in() -> None:
    tracker = IncidentTracker()
    tracker.watched(0, ["a", "b"])
    tracker.probed(1, server("a"), result("a", Cause.DATABASE_REFUSED))
    assert tracker.watched(2, ["a", "b"]) == []
    said = tracker.watched(3, ["b"])
    assert changes(said) == ["closed"]
    assert "switched off" in said[0][1].ended_by
    assert tracker.probed(4, server("a"), result("a", Cause.DATABASE_REFUSED)) == [], "it is not watched now"


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
    assert changes(tracker.probed(11, server("a"), result("a", Cause.DATABASE_REFUSED))) == []
    assert changes(tracker.probed(12, server("b"), result("b"))) == ["left"]
    said = tracker.probed(13, server("a"), result("a"))
    assert changes(said) == ["closed"]
    assert (said[0][1].id, said[0][1].started, said[0][1].ended_by) == (5, 5, "a answered again")


def test_an_incident_that_is_over_after_a_restart_ended_while_not_watched() -> None:
    tracker = IncidentTracker()
    tracker.adopt(10, [OLD])
    assert changes(tracker.probed(11, server("b"), result("b"))) == ["left"]
    said = tracker.probed(12, server("a"), result("a"))
    assert changes(said) == ["closed"]
    assert said[0][1].ended_by == UNWATCHED


def test_servers_that_are_gone_after_a_restart_keep_no_incident_open() -> None:
    tracker = IncidentTracker()
    tracker.watched(9, ["c"])
    assert [i.ended_by for _, i in tracker.adopt(10, [OLD])] == [UNWATCHED]


def test_probes_that_ended_before_the_history_was_open_count() -> None:
    tracker = IncidentTracker()
    tracker.watched(9, ["a", "b"])
    tracker.probed(9.5, server("a"), result("a", Cause.DATABASE_REFUSED))
    tracker.probed(9.6, server("b"), result("b"))
    tracker.adopt(10, [OLD])
    (incident,) = tracker.open
    assert (incident.id, incident.started) == (5, 5)
    assert changes(tracker.probed(11, server("a"), result("a"))) == ["closed"]
