"""The old key after a change of key: its line is shown while anything shows it, and nothing is guessed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys.rotation import Step
from canary_tui.monitor import edits
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.key_trial import attempt
from canary_tui.monitor.requests import Save
from canary_tui.monitor.rotation import begin, state, switch
from canary_tui.tui.presenters.keys import tried_lines
from tests.servers.cli import Canary
from tests.servers.rotating import attempted, entries, make, without, works
from tests.servers.test_monitor import running, wait_until
from tests.servers.test_rotation import told
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from canary_tui.servers.model import Server
    from tests.harness.sshd import Sshd


# What keeps its file from being used


@pytest.mark.parametrize("named", [True, False])
async def test_a_key_that_others_may_read_is_changed_to_the_end(
    world: World, sshd: Sshd, server: Server, named: bool
) -> None:
    line = world.key("orders").line
    if not named:
        world.tools.file.set_value("orders", ("ssh", "key"), "")
    (world.paths.keys / "orders").chmod(0o644)
    await make(world, sshd)
    switched = await attempted(world)
    assert switched.step is Step.SWITCHED
    assert switched.old is not None
    assert switched.old.line == line
    assert entries(world).old_key == "orders"
    shown = await state(world.tools, "orders")
    assert shown.old == switched.old
    assert shown.trouble == ""

    assert (await attempted(world)).step is Step.STILL_ACCEPTED
    without(sshd, line)
    assert (await attempted(world)).step is Step.FINISHED


@pytest.mark.parametrize("left", ["half a key", None])
async def test_a_key_that_cannot_be_read_is_shown_by_its_public_half(
    world: World, sshd: Sshd, server: Server, canary: Canary, left: str | None
) -> None:
    key, path = world.key("orders"), world.paths.keys / "orders"
    path.unlink()
    if left is not None:
        path.write_text(left)
        path.chmod(0o600)
    await make(world, sshd)
    switched = await asyncio.to_thread(canary, "rotate", "orders", "--check")
    assert (switched.status, switched.out) == (0, f"{key.line}\n")
    assert key.fingerprint in switched.err
    assert ("Its private key is gone" in switched.err) == (left is None)
    assert entries(world).old_key == ("orders" if left else ""), "of a key that is gone no refusal is seen"


async def test_an_old_key_that_cannot_be_tried_names_the_ways_out(
    world: World, sshd: Sshd, server: Server
) -> None:
    await make(world, sshd)
    await attempted(world)
    (world.paths.keys / "orders").write_text("half a key")
    tried = await attempted(world)
    assert tried.step is Step.FAILED
    assert tried.failure is not None
    assert tried.failure.cause is Cause.KEY_UNREADABLE
    [remedy] = tried.failure.remedies
    assert "remove the key's line from" in remedy
    assert "take the entry `old_key:` of orders out" in remedy

    without(sshd, world.tools.keys.public(world.paths.keys / "orders")[0])
    world.tools.file.set_value("orders", ("ssh", "old_key"), "")
    assert (await attempted(world)).step is Step.NOTHING
    assert (await begin(world.tools, "orders")).made


async def test_only_a_key_that_nothing_shows_is_not_shown(
    world: World, sshd: Sshd, server: Server, canary: Canary
) -> None:
    await make(world, sshd)
    for name in ("orders", "orders.pub"):
        (world.paths.keys / name).write_text("half a key")
    switched = await asyncio.to_thread(canary, "rotate", "orders", "--check")
    assert (switched.status, switched.out) == (0, "")
    assert "neither its file nor the .pub beside it can be read" in switched.err
    assert "gone" not in switched.err
    assert entries(world).old_key == "orders"


async def test_the_screen_has_the_line_of_a_lost_key_which_the_key_view_will_not_show(
    world: World, sshd: Sshd, server: Server
) -> None:
    line = world.key("orders").line
    (world.paths.keys / "orders").unlink()
    await make(world, sshd)
    tried = await attempted(world)
    assert (await state(world.tools, "orders")).old is None
    assert line in "".join(text for words in tried_lines(tried) for text, _ in words)


# Two processes, and a line that others need


async def test_who_switches_second_is_not_told_to_remove_a_line_that_others_need(
    world: World, sshd: Sshd, server: Server
) -> None:
    world.write(with_ssh(msgspec.structs.replace(server, name="billing"), key="orders"))
    await make(world, sshd)
    seen = world.tools.file.load().get("orders")
    assert seen is not None
    assert (await attempted(world)).step is Step.SWITCHED, "the other process"
    old = await asyncio.to_thread(switch, world.tools, seen)
    assert old is not None
    assert old.needed_by == ("billing",)
    assert entries(world).old_key == ""


# Another account


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"port": 2222}, {"user": "another"}])
async def test_an_old_key_does_not_follow_its_server_to_another_account(
    world: World, sshd: Sshd, server: Server, changes: dict[str, object]
) -> None:
    entry = await make(world, sshd)
    await attempted(world)
    saved = await edits.save(world.tools, with_ssh(server, **changes), "orders")
    assert saved.ssh == entries(world)
    assert (entries(world).key, entries(world).old_key) == (entry, "")
    assert (world.paths.keys / "orders").exists(), "its line is still to be removed"
    assert (world.paths.keys / "orders.pub").exists()


async def test_a_new_key_goes_along_to_another_account(world: World, sshd: Sshd, server: Server) -> None:
    entry = await make(world, sshd)
    await edits.save(world.tools, with_ssh(server, user="another"), "orders")
    assert (entries(world).key, entries(world).next_key) == ("orders", entry)


async def test_another_spelling_of_the_host_is_no_other_account(
    world: World, sshd: Sshd, server: Server
) -> None:
    world.tools.file.set_value("orders", ("ssh", "host"), "Localhost")
    world.tools.file.set_value("orders", ("ssh", "old_key"), "before")
    await edits.save(world.tools, with_ssh(server, host="localhost"), "orders")
    assert entries(world).old_key == "before"


def test_the_account_that_keeps_the_old_line_is_named_in_the_log(
    world: World, sshd: Sshd, server: Server
) -> None:
    async def change() -> None:
        await make(world, sshd)
        await attempt(world.tools, "orders")

    asyncio.run(change())
    with running(world) as monitor:
        now = wait_until(monitor, lambda row: row.tunnel is TunnelState.UP).server
        assert (now.ssh and now.ssh.old_key) == "orders"
        monitor.ask(Save(with_ssh(now, user="another"), replaces="orders")).result(15)
        told(monitor, f"remove the line of old key orders from {sshd.user}@127.0.0.1:{sshd.port}")
    assert asyncio.run(works(world)) is False, "the keys are not installed there"
