"""A change of key that is killed, or refused by the disk, before any of its file operations."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from canary_tui.keys.rotation import Step, Tried
from canary_tui.monitor.key_trial import attempt
from canary_tui.monitor.rotation import begin
from canary_tui.servers.file import read
from tests.servers.cli import Outcome, environment

if TYPE_CHECKING:
    from canary_tui.servers.model import SshServer
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

INTERRUPTED = """
import errno, os, signal, sys

left, folder, how = int(sys.argv.pop(1)), sys.argv.pop(1), sys.argv.pop(1)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.chmod"}

def interrupt(event, args):
    global left
    changes = event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & WRITES)
    if not changes or not str(args[0]).startswith(folder):
        return
    left -= 1
    if left >= 0:
        return
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    print("INTERRUPTED", file=sys.stderr)
    raise OSError(errno.ENOSPC, "No space left on device", str(args[0]))

from canary_tui.cli import rotate_command
from canary_tui.cli.main import main

sys.addaudithook(interrupt)
main()
"""
"""``canary``, killed before its nth change to a file of its folder, or refused all changes from then on."""

MOST = 40
"""More changes than one step of a change of key makes."""


def interrupted(world: World, at: int, how: str, *arguments: str) -> Outcome:
    """Run ``canary rotate orders`` and interrupt it before its change number ``at``."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(at), str(world.folder), how, "rotate", "orders", *arguments],
        env=environment(world),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def entries(world: World) -> SshServer:
    """The server's SSH block on disk; reading it shows that the file is whole."""
    server = read(world.paths.servers).get("orders")
    assert server is not None
    assert server.ssh is not None
    return server.ssh


def tried(world: World) -> Tried:
    return asyncio.run(attempt(world.tools, "orders"))


def the_key_in_use_works(world: World) -> bool:
    server = read(world.paths.servers).get("orders")
    assert server is not None
    return asyncio.run(world.probe(server)).ok


def nothing_is_pending(world: World, sshd: Sshd) -> None:
    """A server with one key that works."""


def a_new_key_is_installed(world: World, sshd: Sshd) -> None:
    """The next check switches."""
    made = asyncio.run(begin(world.tools, "orders"))
    assert made.next is not None
    sshd.authorize(made.next.restricted)


def the_old_line_is_removed(world: World, sshd: Sshd) -> None:
    """The next check finishes."""
    a_new_key_is_installed(world, sshd)
    old = world.tools.keys.load(world.tools.keys.path(entries(world).key)).line
    assert tried(world).step is Step.SWITCHED
    lines = [line for line in sshd.authorized_keys.read_text().splitlines() if old not in line]
    sshd.authorized_keys.write_text("".join(f"{line}\n" for line in lines))


def goes_on_to_the_end(world: World, sshd: Sshd) -> None:
    """Whatever was broken off: from here the change of key can be begun, made and finished."""
    if not (entries(world).next_key or entries(world).old_key):
        a_new_key_is_installed(world, sshd)
    elif entries(world).next_key:
        found = asyncio.run(begin(world.tools, "orders"))
        assert found.next is not None
        sshd.authorize(found.next.restricted)
    if entries(world).next_key:
        assert tried(world).step is Step.SWITCHED
    assert the_key_in_use_works(world)
    sshd.deauthorize()
    key = world.tools.keys.load(world.tools.keys.path(entries(world).key))
    sshd.authorize(key.line)
    if entries(world).old_key:
        assert tried(world).step is Step.FINISHED
    assert tried(world).step is Step.NOTHING
    assert the_key_in_use_works(world)


STEPS = {
    "begin": (nothing_is_pending, ()),
    "switch": (a_new_key_is_installed, ("--check",)),
    "finish": (the_old_line_is_removed, ("--check",)),
    "give up": (a_new_key_is_installed, ("--cancel",)),
}


@pytest.mark.parametrize("how", ["killed", "refused by the disk"])
@pytest.mark.parametrize("step", STEPS)
def test_broken_off_anywhere_it_leaves_a_key_that_works_and_can_go_on(
    world: World, sshd: Sshd, postgres: Postgres, step: str, how: str
) -> None:
    prepare, arguments = STEPS[step]
    world.write(world.server(postgres, sshd))
    for at in range(MOST):
        prepare(world, sshd)
        outcome = interrupted(world, at, how, *arguments)
        assert the_key_in_use_works(world), f"broken off before change {at}: {outcome}"
        assert "Traceback" not in outcome.err, outcome.err
        goes_on_to_the_end(world, sshd)
        if outcome.status != -signal.SIGKILL and "INTERRUPTED" not in outcome.err:
            assert outcome.status == 0, outcome.err
            break
        if outcome.status > 0:
            assert "No space left" in outcome.err, outcome.err
    else:
        pytest.fail("it never came to its end")
    assert at >= 3, "the changes were seen"
