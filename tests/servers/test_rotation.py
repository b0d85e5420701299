"""A change of key: the old one stays in use until the new one was seen to work, whatever is broken off."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.keys.rotation import Step
from canary_tui.monitor.board import Health
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.requests import ReadRotation, RotateKey, RunTest
from tests.harness.ports import wait_for
from tests.servers.cli import Canary
from tests.servers.rotating import entries, without
from tests.servers.test_monitor import port_of, psql, running, wait_until
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from canary_tui.monitor.local import LocalMonitor
    from canary_tui.monitor.request import TestState
    from canary_tui.servers.model import Server
    from tests.harness.accounts import Account
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


LIMIT = 15.0


# The whole story


class Client:
    """psql with one connection through the tunnel, kept open."""

    def __init__(self, postgres: Postgres, port: int) -> None:
        address = f"host=127.0.0.1 port={port} user={postgres.user} dbname={postgres.database}"
        self.process = subprocess.Popen(
            ["psql", "-XAt", address],
            env={"PGPASSWORD": postgres.password, "PATH": "/usr/bin:/bin"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def says(self, query: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{query};\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def home_sshd(make_sshd: Callable[..., Sshd]) -> Iterator[Sshd]:
    """An sshd that reads the account's own ``~/.ssh/authorized_keys``, as a jumpbox does."""
    server = make_sshd(["AuthorizedKeysFile .ssh/authorized_keys"], strict_modes=True)
    yield server
    run_as(server.account, "rm -rf ~/.ssh")


def run_as(account: Account, commands: str) -> str:
    """Run commands in a shell of the account and return what they print."""
    done = subprocess.run(
        ["/bin/sh", "-e"],
        input=commands,
        text=True,
        check=True,
        capture_output=True,
        cwd=account.home,
        env={"HOME": str(account.home), "PATH": "/usr/bin:/bin"},
        user=account.uid,
        group=account.gid,
    )
    return done.stdout


def told(monitor: LocalMonitor, words: str) -> None:
    """Wait until the log says so."""
    wait_for(
        lambda: any(words in line.text for line in monitor.log_after(0)), LIMIT, f"the log says: {words}"
    )


def test_a_key_is_changed_with_overlap_and_no_client_is_cut_off(
    world: World, home_sshd: Sshd, postgres: Postgres, canary: Canary
) -> None:
    world.write(world.server(postgres, home_sshd, install=False))
    run_as(home_sshd.account, canary("key", "orders", "--format", "script").out)
    with running(world) as monitor:
        port = port_of(wait_until(monitor, lambda r: r.health is Health.UP))
        client = Client(postgres, port)
        pid = client.says("select pg_backend_pid()")
        try:
            _rotate_by_hand(world, home_sshd.account, canary, monitor)
            assert client.says("select pg_backend_pid()") == pid, "the client's connection lives on"
        finally:
            client.close()
        home_sshd.kill_sessions()
        assert psql(world, postgres, port) == "hello", "the next login is the new key's"
    assert (entries(world).next_key, entries(world).old_key) == ("", "")
    assert not (world.paths.keys / "orders").exists()
    assert [path for path in world.paths.keys.glob("orders.removed-*") if path.suffix != ".pub"]


def _rotate_by_hand(world: World, account: Account, canary: Canary, monitor: LocalMonitor) -> None:
    """Do what the commands say, each as it stands there."""
    first = canary("rotate", "orders")
    assert first.status == 0
    assert "is made" in first.err
    assert first.out.startswith("restrict,")
    again = canary("rotate", "orders")
    assert (again.status, again.out) == (0, first.out)
    assert "waiting already" in again.err
    refused = canary("rotate", "orders", "--check")
    assert (refused.status, refused.out) == (1, "")
    assert "does not reach the database yet" in refused.err
    told(monitor, "made: install its line")

    info = monitor.ask(ReadRotation("orders")).result(LIMIT).next
    assert info is not None
    run_as(account, info.script)
    switched = canary("rotate", "orders", "--check")
    assert (switched.status, switched.out.strip()) == (0, world.key("orders").line)
    where = (f"{account.name}@127.0.0.1", "~/.ssh/authorized_keys", world.key("orders").fingerprint)
    assert all(words in switched.err for words in where)
    told(monitor, "works and is in use now; remove the line of orders")
    still = canary("rotate", "orders", "--check")
    assert (still.status, still.out) == (1, switched.out)
    assert "still accepted" in still.err

    old = monitor.ask(ReadRotation("orders")).result(LIMIT).old
    assert old is not None
    assert old.script in still.err
    assert "is removed" in run_as(account, old.script)
    kept = (account.home / ".ssh" / "authorized_keys").read_text()
    assert (info.line in kept, old.line in kept) == (True, False)
    finished = canary("rotate", "orders", "--check")
    assert (finished.status, finished.out) == (0, "")
    assert "finished" in finished.err
    told(monitor, "the change of key is over")
    nothing = canary("rotate", "orders", "--check")
    assert (nothing.status, nothing.out) == (0, "")


def a_test(monitor: LocalMonitor) -> TestState:
    """A connection test, over."""
    return monitor.ask(RunTest("orders")).result(LIMIT)


def test_each_connection_test_tries_the_keys(world: World, sshd: Sshd, server: Server) -> None:
    with running(world) as monitor:
        assert a_test(monitor).tried is None, "no change of key is under way"
        made = monitor.ask(RotateKey("orders")).result(LIMIT).next
        assert made is not None
        waiting = a_test(monitor)
        assert waiting.result is not None
        assert waiting.result.ok, "the key in use is what is tested"
        assert waiting.tried is not None
        assert waiting.tried.step is Step.NOT_ACCEPTED

        sshd.authorize(made.restricted)
        switched = a_test(monitor).tried
        assert switched is not None
        assert switched.step is Step.SWITCHED
        assert entries(world).old_key == "orders"

        still = a_test(monitor).tried
        assert still is not None
        assert still.step is Step.STILL_ACCEPTED
        without(sshd, world.key("orders").line)
        finished = a_test(monitor).tried
        assert finished is not None
        assert finished.step is Step.FINISHED
        assert a_test(monitor).tried is None


def test_a_tunnel_that_waits_for_its_key_opens_at_once_when_the_new_one_works(
    world: World, sshd: Sshd, server: Server, canary: Canary
) -> None:
    canary("rotate", "orders")
    sshd.deauthorize()
    with running(world) as monitor:
        wait_until(monitor, lambda r: r.tunnel is TunnelState.WAITING)
        sshd.authorize(canary("rotate", "orders").out)
        test = a_test(monitor)
        assert test.result is not None
        assert not test.result.ok, "the old line was removed too early"
        assert test.tried is not None
        assert test.tried.step is Step.SWITCHED
        wait_until(monitor, lambda r: r.health is Health.UP)


def test_a_switch_by_another_process_opens_the_tunnel_too(
    world: World, sshd: Sshd, server: Server, canary: Canary
) -> None:
    canary("rotate", "orders")
    sshd.deauthorize()
    with running(world) as monitor:
        wait_until(monitor, lambda r: r.tunnel is TunnelState.WAITING)
        sshd.authorize(canary("rotate", "orders").out)
        assert canary("rotate", "orders", "--check").status == 0
        wait_until(monitor, lambda r: r.health is Health.UP)


# The command's own


def test_what_cannot_be_rotated_is_said_and_nothing_changes(
    world: World, postgres: Postgres, canary: Canary, server: Server
) -> None:
    world.write(world.server(postgres, name="direct"))
    before = world.paths.servers.read_bytes()
    for arguments, status, words in (
        (("direct",), 2, "reached directly"),
        (("nobody",), 2, "it lists orders, direct"),
        (("orders", "--check", "--cancel"), 2, "one of --check and --cancel"),
        (("orders", "--cancel"), 1, "No new key of orders"),
    ):
        outcome = canary("rotate", *arguments)
        assert (outcome.status, outcome.out) == (status, "")
        assert words in outcome.err
    assert world.paths.servers.read_bytes() == before


def test_rotate_cancel_says_what_is_left_to_do(world: World, server: Server, canary: Canary) -> None:
    canary("rotate", "orders")
    outcome = canary("rotate", "orders", "--cancel")
    assert (outcome.status, outcome.out) == (0, "")
    assert "given up" in outcome.err
    assert f"{world.paths.keys}/orders.2" in outcome.err


def test_rotate_names_who_needs_a_shared_line(
    world: World, sshd: Sshd, server: Server, canary: Canary
) -> None:
    world.write(with_ssh(msgspec.structs.replace(server, name="billing"), key="orders"))
    sshd.authorize(canary("rotate", "orders").out)
    outcome = canary("rotate", "orders", "--check")
    assert (outcome.status, outcome.out) == (0, "")
    assert "needed by billing" in outcome.err


def test_rotate_says_which_key_cannot_be_read(world: World, server: Server, canary: Canary) -> None:
    canary("rotate", "orders")
    path = world.paths.keys / entries(world).next_key
    path.chmod(0o644)
    for arguments in (("orders",), ("orders", "--check")):
        outcome = canary("rotate", *arguments)
        assert (outcome.status, outcome.out) == (1, "")
        assert str(path) in outcome.err
