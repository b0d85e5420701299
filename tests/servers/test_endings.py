"""A signal ends every command in time, though its event loop, the monitor's thread or a pool's hangs."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from canary_tui.ending import ENDING_SIGNALS, Ending
from tests.harness.ports import wait_for
from tests.servers.cli import environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

LIMIT = 20.0
ENDS_WITHIN = 10.0
"""Seconds. It is three on a machine that is not busy; what hangs does so for minutes."""
TERM, HUP, INT = signal.SIGTERM, signal.SIGHUP, signal.SIGINT

HANGS = {
    "sleeps": "time.sleep(600)",
    "works": "any(False for _ in iter(int, 1))",
    "pool": "loop.run_in_executor(None, time.sleep, 600)",
}
"""What goes wrong: a call that does not come back, one that computes without end, a stuck thread."""
PROGRAM = """
import asyncio, sys, threading, time
from pathlib import Path
where, marker = sys.argv.pop(1), Path(sys.argv.pop(1))

def hang():
    loop = asyncio.get_running_loop()
    marker.write_text("hangs")
    {hang}

def patch(module, owner, name):
    import importlib
    found = importlib.import_module(module)
    found = getattr(found, owner) if owner else found
    real = getattr(found, name)
    async def hanging(*arguments, **named):
        asyncio.get_running_loop().call_later(0.3, hang)
        if name == "log_in":
            await asyncio.sleep(0.6)
        return await real(*arguments, **named)
    setattr(found, name, hanging)

patch(*where.split(":"))
from canary_tui.cli.main import main
main()
"""
HOLD = "canary_tui.monitor.held_servers:HeldServers:_live"
TUNNEL = "canary_tui.monitor.supervisor:Supervisor:_stay_up"
LOGIN = "canary_tui.tunnels.ssh_logins:SshLogins:log_in"


def started(
    world: World, hang: str, where: str, *arguments: str, terminal: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in which something hangs, and wait until it does."""
    marker = world.folder / "hangs"
    code = PROGRAM.replace("{hang}", HANGS[hang])
    process = subprocess.Popen(
        [sys.executable, "-c", code, where, str(marker), *arguments],
        env=environment(world, TERM="xterm-256color"),
        stdin=subprocess.DEVNULL if terminal is None else terminal,
        stdout=subprocess.PIPE if terminal is None else terminal,
        stderr=subprocess.STDOUT if terminal is None else terminal,
        start_new_session=True,
    )
    wait_for(lambda: marker.exists() or process.poll() is not None, LIMIT, "it hangs")
    return process


def ended(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    """Send a signal and return the exit status."""
    try:
        process.send_signal(number)
        return process.wait(ENDS_WITHIN)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def listed(world: World, sshd: Sshd, postgres: Postgres) -> World:
    """A user with one server."""
    world.write(world.server(postgres, sshd))
    return world


def ways(*numbers: signal.Signals, first: int = 1) -> pytest.MarkDecorator:
    """Each way to hang with each signal; all but the first few are for ``make soak``."""
    pairs = [(hang, number) for number in numbers for hang in HANGS]
    chosen = [
        pytest.param(*pair, marks=[] if place < first else [pytest.mark.soak], id=f"{pair[0]}-{pair[1].name}")
        for place, pair in enumerate(pairs)
    ]
    return pytest.mark.parametrize(("hang", "number"), chosen)


@ways(TERM, HUP, INT)
def test_watch(listed: World, hang: str, number: signal.Signals) -> None:
    assert ended(started(listed, hang, HOLD, "watch"), number) == (130 if number is INT else 0)


@ways(TERM, HUP)
def test_the_application(listed: World, hang: str, number: signal.Signals) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    reading = threading.Thread(target=_read_all, args=(ours,))
    reading.start()
    try:
        assert ended(started(listed, hang, HOLD, terminal=theirs), number) == 128 + number
        assert termios.tcgetattr(theirs)[3] == before[3]
    finally:
        os.close(theirs)
        reading.join(LIMIT)
        os.close(ours)


def _read_all(descriptor: int) -> None:
    with suppress(OSError):
        while os.read(descriptor, 65_536):
            continue


@ways(TERM, HUP, INT)
def test_connect(listed: World, hang: str, number: signal.Signals) -> None:
    assert ended(started(listed, hang, TUNNEL, "connect", "orders"), number) == 130


@ways(TERM)
def test_connect_gives_the_signal_to_its_command_and_returns_its_status(
    listed: World, hang: str, number: signal.Signals
) -> None:
    child = "trap 'exit 7' TERM; while :; do sleep 0.1; done"
    process = started(listed, hang, TUNNEL, "connect", "orders", "--", "sh", "-c", child)
    assert ended(process, number) == 7


def test_connect_does_not_wait_for_a_command_that_does_not_listen(listed: World, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    child = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.1; done"
    process = started(listed, "pool", TUNNEL, "connect", "orders", "--", "sh", "-c", child)
    wait_for(lambda: pid.exists() and pid.read_text().strip(), LIMIT)
    try:
        assert ended(process, TERM) == 128 + TERM
        os.kill(int(pid.read_text()), 0)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


@ways(INT, TERM, HUP)
def test_a_command_that_logs_in(listed: World, hang: str, number: signal.Signals) -> None:
    status = ended(started(listed, hang, LOGIN, "probe"), number)
    assert status == (130 if number is INT else -number)


@pytest.mark.soak
@ways(INT, TERM)
@pytest.mark.parametrize("command", ["audit", "trust", "rotate", "key"])
def test_each_command(listed: World, command: str, hang: str, number: signal.Signals) -> None:
    status = ended(started(listed, hang, LOGIN, command, "orders"), number)
    assert status == (130 if number is INT else -number)


@pytest.mark.parametrize("blocked", ["main thread", "nothing"])
def test_a_signal_is_heard_whatever_the_main_thread_does(blocked: str) -> None:
    """In C, for instance, where no handler of Python's runs."""
    heard = threading.Event()
    ending = Ending(lambda _: heard.set())
    with ending.on([signal.SIGUSR1]):
        if blocked == "nothing":
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            with suppress(AttributeError):
                time.sleep(0.3)
        assert heard.wait(LIMIT)
    assert ending.signal == signal.SIGUSR1


def test_what_is_not_listened_to_does_what_it_did_before() -> None:
    before = [signal.getsignal(number) for number in ENDING_SIGNALS]
    ending = Ending()
    with ending.on(ENDING_SIGNALS, handle=False):
        assert [signal.getsignal(number) for number in ENDING_SIGNALS] == before
    assert ending.signal == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "ending"]
