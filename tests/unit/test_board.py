"""Events folded into the rows that a screen shows."""

from __future__ import annotations

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause, Failure, HostKeyOffer, Stage
from canary_tui.monitor.board import RECENT, Board, Health
from canary_tui.monitor.events import (
    AnyEvent,
    ClientRefused,
    ClientsChanged,
    FileRejected,
    FleetLoaded,
    LocalEndChanged,
    Noted,
    PasswordWanted,
    ProbeFinished,
    ProbeStarted,
    TunnelState,
)
from canary_tui.monitor.lock import Holder
from canary_tui.servers.fleet import Fleet
from tests.unit.boards import board_of, result, row_of, server, texts, tunnel

OFFER = HostKeyOffer(
    host="bastion", port=22, key_type="ssh-ed25519", fingerprint="SHA256:x", public_line="ssh-ed25519 A"
)


def failure(cause: Cause = Cause.KEY_NOT_ACCEPTED) -> Failure:
    return Failure(stage=Stage.AUTH, cause=cause, summary="it did not accept the key", remedies=("do",))


def up(board: Board) -> None:
    board.apply(tunnel(TunnelState.UP, local="127.0.0.1:15432"))
    board.apply(ProbeFinished(at=3.0, result=result()))


def test_rows_stand_in_the_order_of_the_file() -> None:
    board = board_of(server("b"), server("a"), server("c", enabled=False))
    snapshot = board.publish()
    assert [(r.server.name, r.health) for r in snapshot.rows] == [
        ("b", Health.UNKNOWN),
        ("a", Health.UNKNOWN),
        ("c", Health.OFF),
    ]
    assert snapshot.loaded
    assert not Board().publish().loaded


def test_a_new_list_keeps_what_is_known_of_a_server_that_did_not_change() -> None:
    board = board_of(server("a"), server("b"))
    board.apply(tunnel(TunnelState.UP, name="a"))
    board.apply(ProbeFinished(at=3.0, result=result("a")))
    kept = row_of(board, "a")
    board.apply(FleetLoaded(at=9.0, fleet=Fleet(servers=(server("c"), server("a")))))
    assert [r.server.name for r in board.publish().rows] == ["c", "a"]
    assert row_of(board, "a") is kept


def test_a_server_that_is_switched_off_is_off_from_then_on() -> None:
    board = board_of()
    up(board)
    board.apply(FleetLoaded(at=9.0, fleet=Fleet(servers=(server(enabled=False),))))
    row = row_of(board)
    assert (row.health, row.since) == (Health.OFF, 9.0)


def test_a_wrong_file_keeps_the_rows_and_says_what_is_wrong() -> None:
    board = board_of()
    board.apply(FileRejected(at=2.0, problems=("servers.yaml:3: what",)))
    assert board.publish().problems == ("servers.yaml:3: what",)
    assert row_of(board).server == server()
    board.apply(FleetLoaded(at=3.0, fleet=Fleet(servers=(server(),))))
    assert board.publish().problems == ()


def test_an_opening_tunnel_and_a_probe_that_passes_make_a_server_up() -> None:
    board = board_of()
    board.apply(tunnel(TunnelState.OPENING))
    assert row_of(board).health is Health.OPENING
    board.apply(tunnel(TunnelState.UP, at=3.0, local="127.0.0.1:15432"))
    assert (row_of(board).health, row_of(board).local) == (Health.UNKNOWN, "127.0.0.1:15432")
    board.apply(ProbeStarted(at=4.0, server="orders"))
    assert row_of(board).health is Health.UNKNOWN
    board.apply(ProbeFinished(at=5.0, result=result()))
    row = row_of(board)
    assert (row.health, row.since, row.last) == (Health.UP, 5.0, result())
    assert texts(board) == ["tunnel opening", "tunnel up at 127.0.0.1:15432", ""]


def test_since_is_when_the_health_last_changed() -> None:
    board = board_of()
    up(board)
    board.apply(ProbeFinished(at=8.0, result=result()))
    assert row_of(board).since == 3.0


def test_a_probe_over_the_limit_is_slow() -> None:
    board = board_of()
    up(board)
    board.apply(ProbeFinished(at=4.0, result=result(ms=251.0)))
    assert row_of(board).health is Health.SLOW
    board.apply(ProbeFinished(at=4.0, result=result(ms=250.0)))
    assert row_of(board).health is Health.UP


def test_a_probe_that_fails_takes_a_server_down_and_one_that_passes_brings_it_back() -> None:
    board = board_of()
    up(board)
    board.apply(ProbeFinished(at=4.0, result=result(wrong=failure())))
    assert (row_of(board).health, row_of(board).failure) == (Health.DOWN, failure())
    board.apply(ProbeFinished(at=5.0, result=result()))
    assert (row_of(board).health, row_of(board).failure) == (Health.UP, None)
    assert row_of(board).recent == (3.0, None, 3.0)


def test_only_the_last_probes_are_kept_in_a_row() -> None:
    board = board_of()
    for number in range(RECENT + 5):
        board.apply(ProbeFinished(at=3.0, result=result(ms=float(number))))
    assert row_of(board).recent == tuple(float(n) for n in range(5, RECENT + 5))


def test_a_tunnel_that_waits_says_why_and_until_when() -> None:
    board = board_of()
    board.apply(tunnel(TunnelState.WAITING, reason="no answer", failure=failure(), retry_at=99.0))
    row = row_of(board)
    assert (row.health, row.failure, row.retry_at) == (Health.DOWN, failure(), 99.0)
    assert texts(board) == ["tunnel waiting: no answer"]


def test_a_host_key_waits_for_a_person_until_the_tunnel_goes_on() -> None:
    board = board_of()
    board.apply(tunnel(TunnelState.STOPPED, failure=failure(Cause.HOST_KEY_UNKNOWN), host_key=OFFER))
    assert row_of(board).host_key == OFFER
    board.apply(tunnel(TunnelState.OPENING))
    assert row_of(board).host_key is None


def test_a_host_key_that_a_probe_met_waits_for_a_person() -> None:
    board = board_of()
    board.apply(ProbeFinished(at=3.0, result=result(wrong=failure(), host_key=OFFER)))
    assert row_of(board).host_key == OFFER


def test_a_tunnel_that_closes_leaves_no_failure_behind() -> None:
    board = board_of()
    board.apply(tunnel(TunnelState.WAITING, failure=failure()))
    board.apply(tunnel(TunnelState.CLOSED, at=4.0))
    row = row_of(board)
    assert (row.failure, row.health) == (None, Health.UNKNOWN)


@pytest.mark.parametrize("cause", [Cause.PASSWORD_MISSING, Cause.PASSWORD_REJECTED])
def test_a_password_is_wanted_until_a_probe_needs_none(cause: Cause) -> None:
    board = board_of()
    board.apply(PasswordWanted(at=2.0, server="orders"))
    assert row_of(board).password_wanted
    board.apply(ProbeFinished(at=3.0, result=result(wrong=failure(cause))))
    assert row_of(board).password_wanted is (cause is Cause.PASSWORD_MISSING)


UNKNOWN: list[AnyEvent] = [
    tunnel(TunnelState.UP, name="gone"),
    ProbeStarted(at=2.0, server="gone"),
    ProbeFinished(at=2.0, result=result("gone")),
    ClientsChanged(at=2.0, server="gone", clients=1, bytes_up=0, bytes_down=0),
    ClientRefused(at=2.0, server="gone", reason="why"),
    LocalEndChanged(at=2.0, server="gone", trouble="which"),
    Noted(at=2.0, server="gone", text="what"),
    PasswordWanted(at=2.0, server="gone"),
]


@pytest.mark.parametrize("event", UNKNOWN, ids=lambda event: type(event).__name__)
def test_what_is_late_from_a_server_that_was_removed_is_left_out(event: AnyEvent) -> None:
    board = board_of()
    before = board.publish()
    board.apply(event)
    after = board.publish()
    assert after.rows == before.rows
    assert board.log_after(0, 10) == []
    assert after.row("gone") is None


def test_who_else_monitors_is_published_and_the_same_again_is_no_change() -> None:
    board, holder = board_of(), Holder(1234, 5.0)
    board.follow(holder)
    snapshot = board.publish()
    assert (snapshot.monitored_by, snapshot.unread) == (holder, "")
    board.follow(Holder(1234, 5.0))
    assert board.version == snapshot.version
    board.follow(holder, "it is gone")
    assert board.publish().unread == "it is gone"
    board.follow(None)
    assert (board.publish().monitored_by, board.publish().unread) == (None, "")


def test_a_snapshot_never_changes() -> None:
    board = board_of()
    snapshot = board.publish()
    kept = msgspec.structs.asdict(snapshot)
    up(board)
    board.apply(FleetLoaded(at=9.0, fleet=Fleet()))
    assert msgspec.structs.asdict(snapshot) == kept
    assert board.publish().version > snapshot.version
    with pytest.raises(AttributeError):
        snapshot.version = 5  # type: ignore[misc]
