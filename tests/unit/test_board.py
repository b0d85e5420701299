"""Events folded into the rows and log lines that a screen shows."""

from __future__ import annotations

import threading

import msgspec
import pytest

from canary_tui.diagnosis.stages import (
    Cause,
    Failure,
    HostKeyOffer,
    ProbeResult,
    RouteKind,
    Stage,
)
from canary_tui.monitor.board import LOG_LENGTH, RECENT, Board, Health, LogLine, Row
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
    TunnelChanged,
    TunnelState,
)
from canary_tui.monitor.lock import Holder
from canary_tui.servers.fleet import Fleet
from canary_tui.servers.model import Database, Engine, Server, SshServer

SSH = SshServer(host="bastion", user="ssh_user")
OFFER = HostKeyOffer(
    host="bastion", port=22, key_type="ssh-ed25519", fingerprint="SHA256:x", public_line="ssh-ed25519 A"
)


def server(name: str = "orders", *, enabled: bool = True, ssh: SshServer | None = SSH) -> Server:
    database = Database(host="10.0.3.12", port=5432)
    return Server(name=name, enabled=enabled, engine=Engine.POSTGRESQL, database=database, ssh=ssh)


def failure(cause: Cause = Cause.KEY_NOT_ACCEPTED) -> Failure:
    return Failure(stage=Stage.AUTH, cause=cause, summary="it did not accept the key", remedies=("do",))


def result(
    name: str = "orders", *, ms: float = 3.0, wrong: Failure | None = None, **more: object
) -> ProbeResult:
    return msgspec.structs.replace(
        ProbeResult(
            server=name,
            ok=wrong is None,
            route=RouteKind.REUSED,
            started_at=1.0,
            total_ms=ms,
            stages=(),
            failure=wrong,
        ),
        **more,
    )  # fmt: skip


def tunnel(state: TunnelState, at: float = 2.0, name: str = "orders", **more: object) -> TunnelChanged:
    return msgspec.structs.replace(TunnelChanged(at=at, server=name, state=state), **more)


def board_of(*servers: Server) -> Board:
    board = Board()
    board.apply(FleetLoaded(at=1.0, fleet=Fleet(servers=servers or (server(),))))
    return board


def row_of(board: Board, name: str = "orders") -> Row:
    row = board.publish().row(name)
    assert row is not None
    return row


def texts(board: Board) -> list[str]:
    return [line.text for line in board.log_after(0, 100)]


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


def test_a_direct_server_has_no_tunnel_to_write_about() -> None:
    board = board_of(server(ssh=None))
    board.apply(tunnel(TunnelState.UP))
    assert texts(board) == []
    board.apply(ProbeFinished(at=3.0, result=result()))
    assert row_of(board).health is Health.UP


def test_the_same_state_again_is_not_written_twice() -> None:
    board = board_of()
    board.apply(tunnel(TunnelState.OPENING))
    board.apply(tunnel(TunnelState.OPENING, at=3.0))
    assert texts(board) == ["tunnel opening"]


def test_clients_and_their_bytes_are_shown() -> None:
    board = board_of()
    board.apply(ClientsChanged(at=2.0, server="orders", clients=2, bytes_up=10, bytes_down=20))
    row = row_of(board)
    assert (row.clients, row.bytes_up, row.bytes_down) == (2, 10, 20)


def test_refused_clients_and_notes_are_in_the_log() -> None:
    board = board_of()
    board.apply(ClientRefused(at=2.0, server="orders", reason="another user"))
    board.apply(Noted(at=3.0, server="orders", text="read me"))
    assert [(x.seq, x.at, x.text) for x in board.log_after(0, 10)] == [
        (1, 2.0, "client refused: another user"),
        (2, 3.0, "read me"),
    ]


def test_trouble_with_the_local_port_stays_until_it_is_over_and_is_in_the_log() -> None:
    board = board_of()
    board.apply(LocalEndChanged(at=2.0, server="orders", trouble="[::1]:15432 belongs to another program"))
    assert row_of(board).local_trouble == "[::1]:15432 belongs to another program"
    board.apply(LocalEndChanged(at=3.0, server="orders", trouble=""))
    assert row_of(board).local_trouble == ""
    assert [line.text for line in board.log_after(0, 10)] == [
        "[::1]:15432 belongs to another program",
        "nobody else has a part of the local port any more",
    ]
    board.apply(LocalEndChanged(at=4.0, server="orders", trouble="again"))
    board.apply(tunnel(TunnelState.CLOSED))
    assert row_of(board).local_trouble == ""


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


def test_what_is_recalled_is_in_the_rows_and_writes_no_line() -> None:
    board = board_of()
    for event in (tunnel(TunnelState.UP, local="here"), ProbeFinished(at=3.0, result=result())):
        board.recall(event)
    assert (row_of(board).health, row_of(board).local, row_of(board).since) == (Health.UP, "here", 3.0)
    assert texts(board) == []


def test_a_copied_line_gets_the_next_number_whatever_server_it_is_of() -> None:
    board = board_of()
    board.apply(Noted(at=2.0, server="orders", text="mine"))
    before = board.version
    board.copy(LogLine(seq=99, at=1.0, server="gone", text="theirs"))
    assert [(line.seq, line.server, line.text) for line in board.log_after(0, 9)] == [
        (1, "orders", "mine"),
        (2, "gone", "theirs"),
    ]
    assert board.publish().log_seq == 2
    assert board.version > before


def test_starting_over_forgets_the_servers_and_keeps_list_and_log() -> None:
    board = board_of(server("a"), server("b"), server("c", enabled=False))
    for name in ("a", "b"):
        board.apply(tunnel(TunnelState.UP, name=name, local="here"))
        board.apply(ProbeFinished(at=3.0, result=result(name)))
    lines = len(texts(board))
    board.start_over(9.0, {"b"})
    assert (row_of(board, "a").health, row_of(board, "b").health) == (Health.UP, Health.UNKNOWN)
    board.start_over(9.0)
    rows = board.publish().rows
    assert [(r.server.name, r.health, r.local, r.recent) for r in rows] == [
        ("a", Health.UNKNOWN, "", ()),
        ("b", Health.UNKNOWN, "", ()),
        ("c", Health.OFF, "", ()),
    ]
    assert len(texts(board)) == lines


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


def test_the_log_is_read_onwards_and_the_newest_lines_win() -> None:
    board = board_of()
    for number in range(10):
        board.apply(Noted(at=2.0, server="orders", text=str(number)))
    assert board.publish().log_seq == 10
    assert [line.seq for line in board.log_after(7, 100)] == [8, 9, 10]
    assert [line.seq for line in board.log_after(0, 3)] == [8, 9, 10]
    assert board.log_after(10, 100) == []
    assert board.log_after(99, 100) == []


def test_the_log_stays_within_its_length() -> None:
    board = board_of()
    for _ in range(LOG_LENGTH + 10):
        board.apply(Noted(at=2.0, server="orders", text="x"))
    lines = board.log_after(0, 10 * LOG_LENGTH)
    assert (len(lines), lines[0].seq, lines[-1].seq) == (LOG_LENGTH, 11, LOG_LENGTH + 10)


def test_another_thread_reads_every_line_once_while_more_are_written() -> None:
    board, count = board_of(), LOG_LENGTH
    read: list[int] = []
    done = threading.Event()

    def read_on() -> None:
        seq, last = 0, False
        while not last:
            last = done.is_set()
            for line in board.log_after(seq, LOG_LENGTH):
                seq = line.seq
                read.append(seq)

    reader = threading.Thread(target=read_on)
    reader.start()
    for _ in range(count):
        board.apply(Noted(at=2.0, server="orders", text="x"))
    done.set()
    reader.join(30)
    assert read == list(range(1, count + 1))
