"""A try of the keys: what it shows, what it costs, and what it leads to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys.rotation import Step
from canary_tui.monitor.rotation import begin, finish, switch
from canary_tui.servers.file import NotSaved
from tests.harness.ports import eventually
from tests.servers.gates import busy, waiting
from tests.servers.rotating import attempted, entries, make, without
from tests.servers.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.servers.model import Server
    from tests.harness.sshd import Sshd


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
