"""What events write into the log that a screen shows, and who reads it."""

from __future__ import annotations

import threading

from canary_tui.monitor.board import LOG_LENGTH, Health, LogLine
from canary_tui.monitor.events import (
    ClientRefused,
    ClientsChanged,
    LocalEndChanged,
    Noted,
    PasswordWanted,
    ProbeFinished,
    TunnelState,
)
from tests.unit.boards import board_of, result, row_of, server, texts, tunnel


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
    made = [
        board.apply(ClientRefused(at=2.0, server="orders", reason="another user")),
        board.apply(PasswordWanted(at=2.5, server="orders")),
        board.apply(Noted(at=3.0, server="orders", text="read me")),
    ]
    assert [line for line in made if line] == board.log_after(0, 10)
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
