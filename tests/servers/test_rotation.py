"""A change of key: the old one stays in use until the new one was seen to work, whatever is broken off."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys.rotation import Step
from canary_tui.monitor import edits
from canary_tui.monitor.board import Health
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.key_trial import attempt
from canary_tui.monitor.probe import probe
from canary_tui.monitor.rotation import CannotRotate, begin, finish, give_up, state, switch
from canary_tui.servers.file import NotSaved
from tests.harness.ports import eventually, wait_for
from tests.servers.cli import Canary
from tests.servers.gates import busy, waiting
from tests.servers.test_monitor import port_of, psql, running, wait_until
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from canary_tui.keys.rotation import Tried
    from canary_tui.monitor.connection_test import Test
    from canary_tui.monitor.service import Monitor
    from canary_tui.servers.model import Server, SshServer
    from tests.harness.accounts import Account
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd

LIMIT = 15.0


def entries(world: World, name: str = "orders") -> SshServer:
    """The server's SSH block, as it stands on disk."""
    found = world.tools.file.load().get(name)
    assert found is not None
    assert found.ssh is not None
    return found.ssh


async def make(world: World, sshd: Sshd | None = None) -> str:
    """Begin a change of key, install the new line where an sshd is given, and return the new entry."""
    made = await begin(world.tools, "orders")
    assert made.next is not None
    if sshd is not None:
        sshd.authorize(made.next.restricted)
    return entries(world).next_key


async def attempted(world: World, name: str = "orders") -> Tried:
    return await attempt(world.tools, name)


async def works(world: World, name: str = "orders") -> bool:
    """Whether the key in use leads to the database."""
    now = world.tools.file.load().get(name)
    assert now is not None
    return (await world.probe(now)).ok


def without(sshd: Sshd, line: str) -> None:
    """Take a key out of the account's file, as a person would."""
    kept = [one for one in sshd.authorized_keys.read_text().splitlines() if line not in one]
    sshd.authorized_keys.write_text("".join(f"{one}\n" for one in kept))


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


def told(monitor: Monitor, words: str) -> None:
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
        monitor.hold("orders")
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


def _rotate_by_hand(world: World, account: Account, canary: Canary, monitor: Monitor) -> None:
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

    info = monitor.rotation_state("orders").result(LIMIT).next
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

    old = monitor.rotation_state("orders").result(LIMIT).old
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


def a_test(monitor: Monitor) -> Test:
    """A connection test, over."""
    test = monitor.start_test("orders")
    assert test.future is not None
    test.future.result(LIMIT)
    return test


def test_each_connection_test_tries_the_keys(world: World, sshd: Sshd, server: Server) -> None:
    with running(world) as monitor:
        assert a_test(monitor).tried is None, "no change of key is under way"
        made = monitor.rotate("orders").result(LIMIT).next
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
        monitor.hold("orders")
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
        monitor.hold("orders")
        wait_until(monitor, lambda r: r.tunnel is TunnelState.WAITING)
        sshd.authorize(canary("rotate", "orders").out)
        assert canary("rotate", "orders", "--check").status == 0
        wait_until(monitor, lambda r: r.health is Health.UP)


# What a try shows


async def test_a_new_key_that_may_not_reach_the_database_is_not_used(
    world: World, sshd: Sshd, server: Server
) -> None:
    made = await begin(world.tools, "orders")
    assert made.next is not None
    sshd.authorize(f'restrict,port-forwarding,permitopen="127.0.0.1:1" {made.next.line}')
    tried = await attempted(world)
    assert tried.step is Step.NOT_ACCEPTED
    assert tried.failure is not None
    assert tried.failure.cause is Cause.FORWARDING_NOT_PERMITTED
    assert entries(world).key == "orders"


@pytest.mark.parametrize("password", ["wrong", None])
async def test_a_key_is_seen_to_work_whatever_the_database_says(
    world: World, sshd: Sshd, server: Server, password: str | None
) -> None:
    entry = await make(world, sshd)
    source = world.password("orders", password) if password else None
    database = msgspec.structs.replace(server.database, password=source, user="nobody_there")
    world.tools.file.update("orders", lambda now, _: msgspec.structs.replace(now, database=database))
    assert (await attempted(world)).step is Step.SWITCHED
    assert entries(world).key == entry


async def test_an_account_that_refuses_every_key_does_not_end_the_change(
    world: World, sshd: Sshd, server: Server
) -> None:
    await make(world, sshd)
    await attempted(world)
    lines = sshd.authorized_keys.read_text()
    sshd.deauthorize()
    tried = await attempted(world)
    assert tried.step is Step.FAILED
    assert entries(world).old_key == "orders", "the line may be there again tomorrow"
    sshd.authorize(lines)
    assert (await attempted(world)).step is Step.STILL_ACCEPTED


async def test_nothing_is_tried_where_the_ssh_server_is_not_reached(
    world: World, sshd: Sshd, server: Server, make_sshd: Callable[..., Sshd]
) -> None:
    entry = await make(world)
    gone = make_sshd()
    world.trust(gone)
    gone.stop()
    world.tools.file.set_value("orders", ("ssh", "port"), gone.port)
    tried = await attempted(world)
    assert tried.step is Step.FAILED
    assert tried.failure is not None
    assert tried.failure.cause is Cause.CONNECTION_REFUSED
    assert (entries(world).key, entries(world).next_key) == ("orders", entry)


@pytest.mark.parametrize("engine", ["postgres", "mariadb"])
async def test_a_try_costs_one_login_of_the_new_key_and_waits_for_its_turn(
    world: World, sshd: Sshd, engine: str, request: pytest.FixtureRequest
) -> None:
    world.write(world.server(request.getfixturevalue(engine), sshd))
    await make(world, sshd)
    before = sshd.logins()
    for step, logins in ((Step.SWITCHED, 1), (Step.STILL_ACCEPTED, 2)):
        async with busy(world.tools, sshd):
            trial = asyncio.create_task(attempted(world))
            await eventually(lambda: waiting(world.tools, sshd), what="it waits for its turn")
        assert (await trial).step is step
        assert sshd.logins() == before + logins


@pytest.mark.parametrize("left", ["switch", "finish"])
async def test_what_was_seen_in_another_place_changes_nothing_here(
    world: World, sshd: Sshd, server: Server, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(world, sshd)
    if left == "finish":
        await attempted(world)
        without(sshd, world.key("orders").line)
    before = entries(world)

    def moved(*arguments: Any) -> object:
        world.tools.file.set_value("orders", ("ssh", "host"), "elsewhere")
        return {"switch": switch, "finish": finish}[left](*arguments)

    monkeypatch.setattr(f"canary_tui.monitor.key_trial.{left}", moved)
    tried = await attempted(world)
    assert tried.step is Step.FAILED
    assert tried.failure is not None
    assert "were changed while" in tried.failure.summary
    assert entries(world) == msgspec.structs.replace(before, host="elsewhere")


async def test_a_new_key_that_cannot_be_written_down_is_taken_back(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotSaved(world.paths.servers, OSError(28, "No space left on device"))

    before = sorted(world.paths.keys.iterdir())
    monkeypatch.setattr(world.tools.file, "update", refuse)
    with pytest.raises(NotSaved):
        await begin(world.tools, "orders")
    assert sorted(world.paths.keys.iterdir()) == before


async def test_a_switch_that_cannot_be_written_down_says_so_and_the_next_try_makes_it(
    world: World, sshd: Sshd, server: Server
) -> None:
    entry = await make(world, sshd)

    def refuse(*_: object) -> None:
        raise NotSaved(world.paths.servers, OSError(28, "No space left on device"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.tools.file, "update", refuse)
        tried = await attempted(world)
    assert tried.step is Step.FAILED
    assert tried.failure is not None
    assert "No space left on device" in tried.failure.summary
    assert (entries(world).key, entries(world).next_key) == ("orders", entry)
    assert (await attempted(world)).step is Step.SWITCHED


# More than one


async def test_two_tries_at_once_make_one_switch(world: World, sshd: Sshd, server: Server) -> None:
    entry = await make(world, sshd)
    one, other = await asyncio.gather(attempted(world), attempted(world))
    assert (one.step, other.step) == (Step.SWITCHED, Step.SWITCHED)
    ssh = entries(world)
    assert (ssh.key, ssh.next_key, ssh.old_key) == (entry, "", "orders")
    assert await works(world)


async def test_two_ends_at_once_move_the_old_key_once(world: World, sshd: Sshd, server: Server) -> None:
    await make(world, sshd)
    await attempted(world)
    without(sshd, world.key("orders").line)
    one, other = await asyncio.gather(attempted(world), attempted(world))
    assert (one.step, other.step) == (Step.FINISHED, Step.FINISHED)
    assert len(list(world.paths.keys.glob("orders.removed-*.pub"))) == 1
    assert await works(world)


async def test_two_beginnings_at_once_make_one_key(world: World, sshd: Sshd, server: Server) -> None:
    one, other = await asyncio.gather(begin(world.tools, "orders"), begin(world.tools, "orders"))
    assert one.next is not None
    assert other.next is not None
    assert one.next.line == other.next.line
    assert sorted([one.made, other.made]) == [False, True]
    assert len(list(world.paths.keys.glob("orders.2*.pub"))) == 1


async def test_a_key_that_was_given_up_while_it_was_tried_is_not_used(
    world: World, sshd: Sshd, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(world, sshd)

    async def probe_and_give_up(*arguments: Any, **limits: Any) -> object:
        result = await probe(*arguments, **limits)
        await give_up(world.tools, "orders")
        return result

    monkeypatch.setattr("canary_tui.monitor.key_trial.probe", probe_and_give_up)
    tried = await attempted(world)
    assert tried.step is Step.FAILED
    assert entries(world).key == "orders"
    assert await works(world)


async def test_a_shared_line_is_not_to_be_removed(world: World, sshd: Sshd, server: Server) -> None:
    other = with_ssh(msgspec.structs.replace(server, name="billing"), key="orders")
    world.write(other)
    await make(world, sshd)
    tried = await attempted(world)
    assert tried.step is Step.SWITCHED
    assert tried.old is not None
    assert tried.old.needed_by == ("billing",)
    assert entries(world).old_key == "", "there is nothing to remove"
    assert entries(world, "billing").key == "orders"
    assert (world.paths.keys / "orders").exists()


async def test_a_key_shared_with_another_account_is_removed_here_and_its_file_stays(
    world: World, sshd: Sshd, server: Server
) -> None:
    world.write(with_ssh(msgspec.structs.replace(server, name="billing"), key="orders", host="elsewhere"))
    await make(world, sshd)
    assert (await attempted(world)).step is Step.SWITCHED
    assert entries(world).old_key == "orders"
    without(sshd, world.key("orders").line)
    finished = await attempted(world)
    assert (finished.step, finished.aside) == (Step.FINISHED, "")
    assert (world.paths.keys / "orders").exists()


async def test_a_key_of_another_place_stays_where_it_is(
    world: World, sshd: Sshd, server: Server, tmp_path: Path
) -> None:
    (world.paths.keys / "orders").rename(tmp_path / "mine")
    world.tools.file.set_value("orders", ("ssh", "key"), str(tmp_path / "mine"))
    await make(world, sshd)
    await attempted(world)
    without(sshd, world.tools.keys.load(tmp_path / "mine").line)
    assert (await attempted(world)).step is Step.FINISHED
    assert (tmp_path / "mine").exists()


# Giving up, and what is in the way


async def test_a_new_key_is_given_up_and_its_files_are_kept(world: World, sshd: Sshd, server: Server) -> None:
    entry = await make(world, sshd)
    before = world.paths.servers.read_text()
    aside = await give_up(world.tools, "orders")
    assert aside is not None
    assert aside.name.startswith(f"{entry}.removed-")
    assert world.paths.servers.read_text() == before.replace(f"      next_key: {entry}\n", "")
    assert await works(world)
    with pytest.raises(CannotRotate, match="No new key"):
        await give_up(world.tools, "orders")


async def test_after_the_switch_it_is_too_late_to_give_up(world: World, sshd: Sshd, server: Server) -> None:
    await make(world, sshd)
    await attempted(world)
    with pytest.raises(CannotRotate, match="in use already"):
        await give_up(world.tools, "orders")
    with pytest.raises(CannotRotate, match="still to be removed"):
        await begin(world.tools, "orders")
    assert await works(world)


async def test_a_new_key_whose_file_is_gone_is_named_and_can_be_given_up(
    world: World, sshd: Sshd, server: Server
) -> None:
    entry = await make(world, sshd)
    (world.paths.keys / entry).unlink()
    tried = await attempted(world)
    assert tried.step is Step.FAILED
    assert tried.failure is not None
    assert tried.failure.cause is Cause.KEY_MISSING
    assert entry in tried.failure.detail
    found = await state(world.tools, "orders")
    assert (found.pending, found.next) == (True, None)
    assert entry in found.trouble
    await give_up(world.tools, "orders")
    assert await make(world) == f"{entry}-2", "what is left of the lost key keeps its name taken"


async def test_a_lost_key_is_replaced_by_a_change_of_key(world: World, sshd: Sshd, server: Server) -> None:
    (world.paths.keys / "orders").unlink()
    (world.paths.keys / "orders.pub").unlink()
    await make(world, sshd)
    tried = await attempted(world)
    assert (tried.step, tried.old) == (Step.SWITCHED, None)
    assert entries(world).old_key == "", "of a key that is gone no refusal could be seen"
    assert await works(world)


async def test_a_server_without_a_key_entry_changes_its_key_too(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(with_ssh(world.server(postgres, sshd), key=""))
    entry = await make(world, sshd)
    assert (await attempted(world)).step is Step.SWITCHED
    assert (entries(world).key, entries(world).old_key) == (entry, "orders")


async def test_a_server_that_is_removed_takes_all_its_keys_along_and_brings_them_back(
    world: World, sshd: Sshd, server: Server
) -> None:
    await make(world, sshd)
    await attempted(world)
    world.tools.keys.create("further", "c")
    world.tools.file.set_value("orders", ("ssh", "next_key"), "further")
    now = world.tools.file.load().get("orders")
    assert now is not None
    names = {path.name for path in world.paths.keys.iterdir()}
    await edits.remove(world.tools, "orders")
    assert not names & {path.name for path in world.paths.keys.iterdir()}
    await edits.restore(world.tools, now)
    assert {path.name for path in world.paths.keys.iterdir()} == names
    assert await works(world)


async def test_settings_saved_from_an_old_form_leave_the_keys_as_they_are(
    world: World, sshd: Sshd, server: Server
) -> None:
    entry = await make(world, sshd)
    await attempted(world)
    changed = msgspec.structs.replace(server, tags=("eu",))
    saved = await edits.save(world.tools, changed, "orders")
    assert saved.ssh == entries(world)
    assert (entries(world).key, entries(world).old_key) == (entry, "orders")
    assert await works(world)


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
