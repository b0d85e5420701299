"""Terminals that vanish, are dumb or speak no UTF-8; signals that are ignored; a crash of the screens."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

from canary_tui.cli.application import shows_screens
from tests.surroundings.canary import COMMAND, Home
from tests.surroundings.terminal import Terminal, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDS_WITHIN = 3.0 + 2.0
"""Seconds: the promise, and what a busy machine may take."""
SHOWN = b"orders"


# The terminal vanishes


@pytest.mark.parametrize("ignored", [(), (signal.SIGHUP,), (signal.SIGHUP, signal.SIGINT)], ids=str)
def test_the_application_ends_when_its_terminal_does(home: Home, ignored: Sequence[int]) -> None:
    with terminal(home, ignored=ignored) as window:
        window.wait_for(SHOWN)
        window.lose()
        assert window.process.wait(ENDS_WITHIN) in {128 + signal.SIGHUP, -signal.SIGHUP}


def test_the_application_ends_when_only_its_input_does(home: Home) -> None:
    ours, theirs = pty.openpty()
    other, shown_at = pty.openpty()
    termios.tcsetwinsize(shown_at, (24, 80))
    process = home.start(
        stdin=theirs, stdout=shown_at, stderr=shown_at, variables={"TERM": "xterm"}, start_new_session=True
    )
    try:
        seen = b""
        while SHOWN not in seen:
            seen += os.read(other, 65_536)
        os.close(theirs)
        os.close(ours)
        assert process.wait(ENDS_WITHIN) == 128 + signal.SIGHUP
    finally:
        process.kill()
        process.wait()
        for descriptor in (other, shown_at):
            os.close(descriptor)


@pytest.mark.parametrize("ignored", [(), (signal.SIGHUP,)], ids=str)
def test_connect_ends_when_nobody_can_press_ctrl_c_any_more(home: Home, ignored: Sequence[int]) -> None:
    with terminal(home, "connect", "orders", ignored=ignored) as window:
        window.wait_for(b"psql")
        window.lose()
        # By the handler, or by the signal itself where that comes first.
        assert window.process.wait(ENDS_WITHIN) in {130, -signal.SIGHUP}


IN_BACKGROUND = """
import os, subprocess, sys
print(subprocess.Popen(sys.argv[1:], process_group=0).pid, flush=True)
os._exit(0)
"""


def test_connect_in_the_background_outlives_its_terminal(home: Home) -> None:
    """``canary connect orders & disown``: nobody was to press Ctrl-C at this terminal."""
    program = [sys.executable, "-c", IN_BACKGROUND, *COMMAND]
    with terminal(home, "connect", "orders", program=program) as window:
        window.wait_for(b"PGHOST")
        pid = int(window.seen.split()[0])
        window.lose()
        time.sleep(1.0)  # it must not end; there is nothing to wait for
        os.kill(pid, signal.SIGTERM)


def test_watch_ends_with_its_terminal_unless_that_was_forbidden(home: Home) -> None:
    with terminal(home, "watch") as window:
        window.wait_for(b"servers are watched")
        window.lose()
        assert window.process.wait(ENDS_WITHIN) == 0
    with terminal(home, "watch", ignored=[signal.SIGHUP]) as window:
        window.wait_for(b"servers are watched")
        window.lose()
        before = window.seconds_of_cpu()
        time.sleep(1.5)  # it must go on; there is nothing to wait for
        assert window.process.poll() is None, "nohup canary watch goes on"
        assert window.seconds_of_cpu() - before < 1.0, "and does not spin"
        window.process.send_signal(signal.SIGTERM)
        assert window.process.wait(ENDS_WITHIN) == 0


# Signals


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["remove", "orders"], b"Remove orders"),
        (["connect", "orders"], b"Ctrl-C closes it"),
        (["watch"], b"servers are watched"),
    ],
    ids=str,
)
def test_ctrl_c_works_at_a_terminal_though_sigint_was_ignored(
    home: Home, command: list[str], shown: bytes
) -> None:
    with terminal(home, *command, ignored=[signal.SIGINT]) as window:
        window.wait_for(shown)
        window.type(b"\x03")
        assert window.ended() == 130
        assert b"Traceback" not in window.seen


def test_without_a_terminal_an_ignored_sigint_stays_ignored(home: Home) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    for command, said in ((["watch"], b"watched"), (["connect", "orders"], b"PGHOST")):
        process = home.start(*command, preexec_fn=ignore)
        assert process.stdout is not None
        seen = b""
        while said not in seen:
            seen += os.read(process.stdout.fileno(), 65_536)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.7)
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDS_WITHIN) in {0, 130, 143}
        process.communicate()


def test_an_ignored_sigchld_takes_no_exit_status_away(home: Home) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    ended = home.run("connect", "orders", "--", "sh", "-c", "exit 7", preexec_fn=ignore)
    assert ended.status == 7


def test_blocked_signals_are_heard_all_the_same(home: Home) -> None:
    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})

    process = home.start("watch", preexec_fn=block)
    assert process.stdout is not None
    assert b"watched" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(ENDS_WITHIN) == 0
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_terminal_as_it_was(home: Home, number: signal.Signals) -> None:
    with terminal(home) as window:
        window.wait_for(SHOWN)
        window.process.send_signal(number)
        assert window.ended() == 128 + number
        assert b"\x1b[?1049l" in window.seen
        assert termios.tcgetattr(window.ours)[:4] == window.before[:4]


# What a terminal is and sends


@pytest.mark.parametrize("term", ["dumb", "unknown", "nonsense", "", None])
def test_a_terminal_that_shows_no_screens_is_told_to_use_the_commands(home: Home, term: str | None) -> None:
    with terminal(home, variables={"TERM": term}) as window:
        assert window.ended() == 2
    said = window.seen.decode().replace("\r", "").strip()
    assert said.splitlines()[-1].endswith("canary probe, canary list and canary watch do without screens")
    assert ("TERM is " + (term or "not set")) in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "term",
    ["xterm-256color", "xterm-kitty", "xterm-ghostty", "tmux-256color", "screen.linux", "linux", "vt100"],
)
def test_a_terminal_whose_entry_is_missing_here_is_no_worse(term: str) -> None:
    assert shows_screens(term)


@pytest.mark.parametrize(
    "odd",
    [{"COLUMNS": "0"}, {"COLUMNS": "9999999", "LINES": "9999999"}, {"COLUMNS": "-3", "LINES": "x"}],
    ids=str,
)
def test_the_terminals_own_size_counts(home: Home, odd: dict[str, str]) -> None:
    with terminal(home, variables=odd) as window:
        window.wait_for(SHOWN)
        window.type(b"q")
        assert window.ended() == 0


@pytest.mark.parametrize("size", [(0, 0), (200, 640), (1, 1)], ids=str)
def test_a_terminal_of_any_size_is_survived(home: Home, size: tuple[int, int]) -> None:
    with terminal(home, size=size) as window:
        window.wait_for(b"\x1b[?1049h")
        if size != (1, 1):
            window.wait_for(SHOWN)
        window.type(b"q")
        assert window.ended() == 0


def test_bytes_that_are_no_text_are_no_crash(home: Home) -> None:
    with terminal(home) as window:
        window.wait_for(SHOWN)
        window.type(b"\xff\xfe\xc3\x28\xed\xa0\x80\x00")
        window.type(b"?")
        window.wait_for(b"down")
        window.type(b"\x11")
        assert window.ended() == 0
        assert b"Traceback" not in window.seen


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_screens_in_an_encoding_without_our_signs_are_plain_and_whole(home: Home, encoding: str) -> None:
    with terminal(home, variables={"PYTHONIOENCODING": encoding}) as window:
        window.wait_for(SHOWN)
        window.wait_for(b"X")  # the sign of a server that is down
        window.type(b"q")
        assert window.ended() == 0
    window.seen.decode(encoding)
    assert "●".encode() not in window.seen


def test_screens_go_to_the_terminal_though_standard_error_leads_elsewhere(home: Home) -> None:
    with (home.folder / "log").open("wb") as log, terminal(home, stderr=log) as window:
        window.wait_for(SHOWN)
        window.type(b"q")
        assert window.ended() == 0
    assert (home.folder / "log").read_bytes() == b""


# A crash

CRASH = """
import sys
from canary_tui.tui import app
from canary_tui.tui.screens.server_list import ServerList
WHERE
from canary_tui.cli.main import main
main()
"""
PLACES = {
    "a timer": "def broken(self, *_): password = 'hunter2'; raise RuntimeError('odd \\x1b[2J')\n"
    "app.CanaryApp._tick = broken",
    "a key": "def broken(self): password = 'hunter2'; raise ZeroDivisionError('odd')\n"
    "ServerList.action_add = broken",
    "the start": "def broken(self): password = 'hunter2'; raise ExceptionGroup('odd', [OSError('odd')])\n"
    "app.CanaryApp.on_mount = broken",
    "the monitor": "import canary_tui.monitor.core as w\n"
    "async def broken(self, _):\n    password = 'hunter2'\n    raise BaseException('odd')\n"
    "w.Core.live = broken",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_crash_restores_the_terminal_and_says_one_sentence(home: Home, place: str) -> None:
    file = home.folder / "crash.py"
    file.write_text(CRASH.replace("WHERE", place))
    how: dict[str, Any] = {"program": [sys.executable, str(file)]}
    with terminal(home, **how) as window:
        if "action_add" in place:
            window.wait_for(SHOWN)
            window.type(b"a")
        assert window.ended() == 1
        assert termios.tcgetattr(window.ours)[:4] == window.before[:4]
    _, left, after = window.seen.rpartition(b"\x1b[?1049l")
    assert left or place == PLACES["the start"]
    said = after.decode().rpartition("\x1b")[2] if left else window.seen.decode()
    assert "A defect of canary-tui: " in said
    assert "odd" in said
    (kept,) = home.state.glob("crash-*.txt")
    assert str(kept) in said.replace("\r\n", "")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert b"Traceback" not in window.seen
    assert b"hunter2" not in window.seen
    assert "hunter2'" not in kept.read_text().replace("password = 'hunter2'", ""), "no values of variables"


def test_a_terminal_object_is_closed_twice_without_harm(home: Home) -> None:
    window = Terminal(home, ["list"])
    assert window.ended() == 0
    window.lose()
    window.close()
