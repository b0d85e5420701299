"""A change of key where two work on it at once, or others need the key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from canary_tui.keys.rotation import Step
from canary_tui.monitor.probe import probe
from canary_tui.monitor.rotation import begin, give_up
from tests.servers.rotating import attempted, entries, make, without, works
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.servers.model import Server
    from tests.harness.sshd import Sshd


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
