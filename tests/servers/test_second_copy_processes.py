"""Copies as processes: started in one instant, in a terminal, and ended by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.standby import Standby
from tests.harness.ports import free_port, wait_for
from tests.servers.second_copy import LIMIT, listening
from tests.servers.test_terminal import Terminal
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World


ROOT = Path(__file__).parents[2]
COPY = """
import sys, time
from pathlib import Path
from canary_tui.monitor.standby import Standby
from canary_tui.paths import Paths
copy, said = Standby(Paths.below(Path(sys.argv[1]))), None
print("ready", flush=True)
sys.stdin.readline()
copy.start()
while True:
    now = copy.snapshot().monitored_by
    words = str(now.pid) if now else "monitors"
    if words != said:
        print(words, flush=True)
        said = words
    time.sleep(0.01)
"""


def test_of_copies_started_in_one_instant_exactly_one_monitors_and_so_on_to_the_last(tmp_path: Path) -> None:
    with ExitStack() as ending:
        copies = [ending.enter_context(_started(tmp_path)) for _ in range(4)]
        for copy in copies:
            assert copy.stdin is not None
            copy.stdin.write(b"\n")
            copy.stdin.flush()
        said = {copy.pid: [_line(copy)] for copy in copies}
        while copies:
            (monitor,) = [copy for copy in copies if said[copy.pid][-1] == "monitors"]
            copies.remove(monitor)
            for copy in copies:
                while said[copy.pid][-1] != str(monitor.pid):
                    said[copy.pid].append(_line(copy))
            monitor.kill()
            monitor.wait()
            # Each of the others says who it is now: one that it monitors, the others its number.
            for copy in copies:
                said[copy.pid].append(_line(copy))


@contextmanager
def _started(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", COPY, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        try:
            assert _line(process) == "ready"
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def test_in_a_terminal_it_says_who_monitors_refuses_in_words_and_takes_over(
    world: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    port = free_port()
    world.write(with_ssh(world.server(postgres, own_sshd), local_port=port))
    with ExitStack() as ending:
        first = Terminal(world.folder)
        ending.callback(first.close)
        wait_for(lambda: len(own_sshd.sessions()) == 1, LIMIT, "the first has its tunnel")
        second = Terminal(world.folder)
        ending.callback(second.close)
        second.wait_for(f"Process {first.process.pid} has been monitoring since".encode())
        second.wait_for(b"is up")
        second.seen.clear()
        os.write(second.ours, b"t")
        second.wait_for(b"shell.")
        assert listening(second.process.pid) == set()
        assert port in listening(first.process.pid)
        assert own_sshd.logins() == 1
        first.process.kill()
        second.wait_for(b"this copy monitors now")
        wait_for(lambda: port in listening(second.process.pid), LIMIT, "the port is the second's")
        wait_for(lambda: own_sshd.logins() == 2, LIMIT, "and it has logged in once")
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(5) == 128 + signal.SIGTERM


def test_it_takes_over_though_nobody_reads_its_terminal(
    world: World, own_sshd: Sshd, postgres: Postgres
) -> None:
    port = free_port()
    world.write(with_ssh(world.server(postgres, own_sshd), local_port=port))
    with ExitStack() as ending:
        first = Terminal(world.folder)
        ending.callback(first.close)
        wait_for(lambda: port in listening(first.process.pid), LIMIT, "the first has its port")
        second = Terminal(world.folder)
        ending.callback(second.close)
        second.wait_for(f"Process {first.process.pid} has been monitoring since".encode())
        second.stall()
        first.process.kill()
        wait_for(lambda: port in listening(second.process.pid), LIMIT, "the port is the second's")
        wait_for(lambda: own_sshd.logins() == 2, LIMIT, "and it has logged in")
        second.go_on()
        second.wait_for(b"this copy monitors now")
        second.wait_for(b"is up")
        assert own_sshd.logins() == 2, "what was opened goes on"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_second_copy_in_time(
    world: World, own_sshd: Sshd, postgres: Postgres, number: int
) -> None:
    world.write(world.server(postgres, own_sshd))
    with ExitStack() as ending:
        first, second = Standby(world.paths), None
        first.start()
        ending.callback(first.stop)
        second = Terminal(world.folder)
        ending.callback(second.close)
        second.wait_for(f"Process {os.getpid()} has been monitoring since".encode())
        second.process.send_signal(number)
        assert second.process.wait(4) == 128 + number
