"""Exceptions that nobody has thought of, raised at every edge: a sentence, a status, and no hot loop."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from canary_tui.monitor.breakdowns import LONGEST_SECONDS, Breakdowns
from canary_tui.monitor.events import Noted, TunnelChanged, TunnelState
from canary_tui.servers.model import Database, Engine, Server
from tests.surroundings.canary import Home, fleet

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.monitor.events import AnyEvent

STRANGE = {
    "runtime": "RuntimeError('odd')",
    "no exception": "type('Panic', (BaseException,), {})('native code panicked')",
    "group": "BaseExceptionGroup('several', [type('Panic', (BaseException,), {})('first'), KeyError(2)])",
    "recursion": "RecursionError('maximum recursion depth exceeded')",
    "memory": "MemoryError()",
    "words that cannot be had": "type('Mute', (Exception,), {'__str__': lambda self: 'x' * 10_000_000})()",
    "control characters": "ValueError('\\x1b]0;title\\x07\\r\\n\\x1b[2J')",
}
PLACES = {
    "supervisor.run": "canary_tui.monitor.supervisor.Supervisor.run",
    "supervisor's step": "canary_tui.monitor.supervisor.Supervisor._files",
    "watcher": "canary_tui.monitor.watcher.Watcher.__init__",
    "probe": "canary_tui.monitor.watcher.probe",
    "recorder": "canary_tui.monitor.history.recorder.Recorder.run",
    "servers file": "canary_tui.monitor.fleet_file.FleetFile.watch",
    "board": "canary_tui.monitor.board.Board.apply",
}
PROGRAM = """
import asyncio, importlib, os, signal, sys, threading
module, _, attribute = PLACE.rpartition(".")
try:
    owner = importlib.import_module(module)
except ImportError:
    module, _, name = module.rpartition(".")
    owner = getattr(importlib.import_module(module), name)
calls = []
def broken(*arguments, **named):
    calls.append(1)
    raise ERROR
async def broken_later(*arguments, **named):
    broken()
is_async = asyncio.iscoroutinefunction(getattr(owner, attribute))
setattr(owner, attribute, broken_later if is_async else broken)
from canary_tui.cli.main import main
ENDING
try:
    main()
finally:
    print("CALLS", len(calls), flush=True)
"""
TUNNELLED = """\
  - name: tunnelled
    engine: postgresql
    database: {host: 127.0.0.1, port: 1}
    ssh: {host: 127.0.0.1, port: 1, user: me, key: none}
"""
DIRECT = "  - {name: direct, engine: mysql, database: {host: 127.0.0.1, port: 1}}\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    user = Home(tmp_path)
    user.write(fleet(TUNNELLED, DIRECT))
    return user


def broken(home: Home, place: str, error: str, *arguments: str, seconds: float = 0.0) -> Any:
    """Run a command in which one place always raises; where ``seconds`` are given, SIGTERM comes then."""
    ending = f"threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGTERM)).start()" if seconds else ""
    program = PROGRAM.replace("PLACE", repr(place)).replace("ERROR", error).replace("ENDING", ending)
    file = home.folder / "broken.py"
    file.write_text(textwrap.dedent(program))
    return home.run(*arguments, program=[sys.executable, str(file)])


@pytest.mark.parametrize("error", STRANGE.values(), ids=STRANGE.keys())
def test_connect_ends_with_a_sentence_when_its_supervisor_dies(home: Home, error: str) -> None:
    server = "tunnelled" if "Error" in error else "direct"
    ended = broken(home, PLACES["supervisor.run"], error, "connect", server)
    assert ended.status == 1
    assert "memory" in ended.sentence or "A defect of canary-tui: " in ended.sentence
    assert len(ended.sentence) < 1_000
    assert "\x1b" not in ended.sentence


def test_connect_with_a_command_ends_with_125(home: Home) -> None:
    ended = broken(
        home, PLACES["supervisor.run"], STRANGE["no exception"], "connect", "tunnelled", "--", "true"
    )
    assert ended.status == 125
    assert "Panic: native code panicked" in ended.sentence


@pytest.mark.parametrize(
    ("part", "error", "said"),
    [
        ("supervisor.run", "no exception", "the tunnel of tunnelled failed: Panic: native code panicked"),
        ("supervisor's step", "recursion", "tunnel waiting"),
        ("watcher", "group", "the tunnel of direct failed: Panic: first"),
        ("probe", "no exception", "the tunnel of direct failed: Panic: native code panicked"),
        ("recorder", "recursion", "the history failed: RecursionError: maximum recursion depth exceeded"),
        ("servers file", "memory", "looking at servers.yaml failed: MemoryError"),
        ("board", "runtime", "watched"),
    ],
)
def test_watch_says_what_broke_and_tries_again_slowly(home: Home, part: str, error: str, said: str) -> None:
    ended = broken(home, PLACES[part], STRANGE[error], "watch", seconds=2.5)
    words = ended.out.decode()
    assert ended.status == 0, "SIGTERM ended it, and not the defect"
    assert b"Traceback" not in ended.err
    assert said in words
    assert 1 <= int(words.rpartition("CALLS ")[2]) <= (200 if part == "board" else 20), "not in a hot loop"
    for kept in home.state.glob("crash-*.txt"):
        assert kept.stat().st_mode & 0o777 == 0o600
        assert "Traceback (most recent call last)" in kept.read_text()


def test_watch_ends_with_one_when_its_monitor_does(home: Home) -> None:
    ended = broken(home, "canary_tui.monitor.core.Core.live", STRANGE["no exception"], "watch")
    assert ended.status == 1
    assert ended.sentence.startswith("The monitor ended. A defect of canary-tui: Panic: native code panicked")
    assert str(home.state / "crash-") in ended.sentence


@pytest.mark.parametrize("error", STRANGE.values(), ids=STRANGE.keys())
def test_a_probe_that_breaks_is_a_failed_probe_and_the_others_go_on(home: Home, error: str) -> None:
    ended = broken(home, "canary_tui.monitor.probe._way", error, "probe", "--json")
    assert ended.status == 1
    assert ended.err == b""
    lines = ended.out.splitlines()[:-1]
    assert [b'"cause":"internal_error"' in line for line in lines] == [False, True], lines


@pytest.mark.parametrize("error", STRANGE.values(), ids=STRANGE.keys())
def test_a_command_that_breaks_says_so_in_one_sentence(home: Home, error: str) -> None:
    ended = broken(home, "canary_tui.servers.file.ServersFile.load", error, "list")
    assert ended.status == 1
    assert len(ended.sentence) < 1_000


def test_a_crash_file_holds_no_values_and_only_a_few_are_kept(home: Home) -> None:
    place = "canary_tui.cli.main.Paths.of_user"
    for _ in range(2):
        ended = broken(home, "canary_tui.servers.file.ServersFile.load", "ValueError('x')", "list")
        assert ended.status == 1
    assert len(list(home.state.glob("crash-*.txt"))) == 2
    for number in range(15):
        (home.state / f"crash-20000101T000000.{number}.txt").write_text("old")
    broken(home, "canary_tui.servers.file.ServersFile.load", "ValueError('x')", "list")
    assert len(list(home.state.glob("crash-*.txt"))) == 10
    newest = sorted(home.state.glob("crash-*.txt"))[-1].read_text()
    assert "ValueError: x" in newest
    assert "arguments =" not in newest
    assert place not in newest


def test_canary_debug_shows_the_traceback(home: Home) -> None:
    program = "canary_tui.servers.file.ServersFile.load"
    file = home.folder / "broken.py"
    broken(home, program, "ValueError('x')", "list")
    ended = home.run("list", program=[sys.executable, str(file)], variables={"CANARY_DEBUG": "1"})
    assert ended.status == 1
    assert b"Traceback (most recent call last)" in ended.err
    assert b"ValueError: x" in ended.err


# The waits


@pytest.fixture
def server() -> Server:
    return Server(name="a", engine=Engine.MYSQL, database=Database(host="h", port=1))


async def test_each_failure_doubles_the_wait_and_it_is_said_once_a_minute(
    tmp_path: Path, server: Server
) -> None:
    events: list[AnyEvent] = []
    broken = Breakdowns(events.append, tmp_path, first=0.001, clock=lambda: 100.0)
    for _ in range(4):
        await broken.tunnel(server, RuntimeError("odd"), seconds=0.0)
    changes = [event for event in events if isinstance(event, TunnelChanged)]
    waits = [(event.retry_at or 0) - event.at for event in changes]
    assert waits == pytest.approx([0.001, 0.002, 0.004, 0.008], abs=1e-3)
    assert {event.state for event in changes} == {TunnelState.WAITING}
    assert all("odd" in str(event.failure) for event in changes)
    assert len([event for event in events if isinstance(event, Noted)]) == 1
    assert broken._wait("other", 0.0) == 0.001
    broken._waits["other"] = LONGEST_SECONDS
    assert broken._wait("other", 0.0) == LONGEST_SECONDS
    assert broken._wait("other", 3_600.0) == 0.001, "what worked for an hour begins again at once"


async def test_a_person_does_not_wait(tmp_path: Path, server: Server) -> None:
    broken = Breakdowns(lambda _event: None, tmp_path, first=3_600.0)
    waiting = asyncio.create_task(broken.tunnel(server, RuntimeError("odd"), seconds=0.0))
    while not broken._again:
        await asyncio.sleep(0)
    broken.again("another")
    broken.again(server.name)
    await asyncio.wait_for(waiting, 10)


async def test_a_part_that_ends_is_left_and_one_that_is_cancelled_ends(tmp_path: Path) -> None:
    broken = Breakdowns(lambda _event: None, tmp_path, first=0.0001)
    tries = 0

    async def third_time_lucky() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise BaseExceptionGroup("odd", [KeyError("x")])

    await broken.keep("the part", third_time_lucky)
    assert tries == 3
    task = asyncio.create_task(broken.keep("the part", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
