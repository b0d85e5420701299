"""A change of key that is given up, or finds something in its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys.rotation import Step
from canary_tui.monitor import edits
from canary_tui.monitor.rotation import CannotRotate, begin, give_up, state
from tests.servers.rotating import attempted, entries, make, works
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from canary_tui.servers.model import Server
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


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
