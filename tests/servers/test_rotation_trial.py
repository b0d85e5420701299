"""Trying the keys where logins are slow, where sshd is old, and where the server goes away meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncssh
import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause, HostKeyOffer
from canary_tui.keys.rotation import Step
from canary_tui.monitor.key_trial import learn_version
from canary_tui.monitor.rotation import begin, finish, switch
from canary_tui.servers.model import ProbePlan
from tests.servers.cli import Canary, spawn
from tests.servers.rotating import attempted, entries, make, without
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from canary_tui.servers.model import Server
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


@asynccontextmanager
async def jumpbox(
    world: World, server: Server, *accepts: str, version: str = "OpenSSH_9.2", wait: float = 0.0
) -> AsyncIterator[Server]:
    """The server's settings, behind an SSH server with a version and a slowness that no sshd has on demand.

    It accepts the keys of the entries ``accepts``, ``wait`` seconds after it was asked, and forwards.
    """
    known = {world.tools.keys.load(world.paths.keys / entry).fingerprint for entry in accepts}

    class Jumpbox(asyncssh.SSHServer):
        def public_key_auth_supported(self) -> bool:
            return True

        async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            await asyncio.sleep(wait)
            return key.get_fingerprint() in known

        def connection_requested(self, *_: object) -> bool:
            return True

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    async with await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Jumpbox, server_host_keys=[host_key], server_version=version
    ) as listener:
        port = listener.get_port()
        kind, public = host_key.export_public_key().decode().split()[:2]
        world.tools.known_hosts.pin(
            HostKeyOffer(
                host="127.0.0.1", port=port, key_type=kind, fingerprint="", public_line=f"{kind} {public}"
            )
        )
        world.tools.file.set_value(server.name, ("ssh", "port"), port)
        yield with_ssh(server, port=port)


# What a try shows


async def test_a_new_key_has_a_logins_time_where_a_probe_of_a_standing_tunnel_has_less(
    world: World, server: Server
) -> None:
    world.tools.file.set_value("orders", ("probe", "timeout"), 1.0)
    entry = await make(world)
    async with jumpbox(world, server, "orders", entry, wait=1.2) as slow:
        assert not (await world.probe(msgspec.structs.replace(slow, probe=ProbePlan(timeout=1.0)))).ok
        assert (await attempted(world)).step is Step.SWITCHED
    assert entries(world).key == entry


async def test_a_login_that_takes_too_long_is_no_refusal_and_says_so(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("canary_tui.monitor.key_trial.LOGIN_SECONDS", 0.5)
    world.tools.file.set_value("orders", ("probe", "timeout"), 1.0)
    entry = await make(world)
    async with jumpbox(world, server, "orders", entry, wait=60):
        tried = await attempted(world)
    assert tried.step is Step.FAILED
    assert tried.failure is not None
    assert tried.failure.cause is Cause.AUTH_TIMED_OUT
    assert (entries(world).key, entries(world).next_key) == ("orders", entry)


async def test_a_database_that_does_not_answer_is_no_refusal_of_the_key(
    world: World, sshd: Sshd, server: Server
) -> None:
    found = await begin(world.tools, "orders")
    assert found.next is not None
    sshd.authorize(found.next.line)
    world.tools.file.set_value("orders", ("database", "port"), 1)
    tried = await attempted(world)
    assert tried.step is Step.FAILED
    assert tried.failure is not None
    assert tried.failure.cause is Cause.DATABASE_REFUSED


async def test_a_server_that_allows_one_attempt_refuses_a_key_all_the_same(
    world: World, make_sshd: Callable[..., Sshd], postgres: Postgres
) -> None:
    sshd = make_sshd(["MaxAuthTries 1"])
    world.write(world.server(postgres, sshd))
    await make(world)
    waiting = await attempted(world)
    assert waiting.step is Step.NOT_ACCEPTED
    assert waiting.failure is not None
    assert waiting.failure.cause is Cause.TOO_MANY_ATTEMPTS

    shown = (await begin(world.tools, "orders")).next
    assert shown is not None
    sshd.authorize(shown.restricted)
    assert (await attempted(world)).step is Step.SWITCHED
    without(sshd, world.key("orders").line)
    assert (await attempted(world)).step is Step.FINISHED


# The line for an old sshd


@pytest.mark.parametrize("accepts", [("orders",), ()])
async def test_the_line_to_install_suits_an_sshd_that_this_process_has_never_seen(
    world: World, server: Server, accepts: tuple[str, ...]
) -> None:
    async with jumpbox(world, server, *accepts, version="OpenSSH_7.4"):
        outcome = await asyncio.to_thread(spawn, world, "rotate", "orders")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("restrict,port-forwarding,permitopen=")
    assert "permitlisten" not in outcome.out, "7.4 would ignore the whole line"
    assert "OpenSSH 7.4 and cannot limit reverse forwards" in outcome.err


async def test_a_key_in_use_that_cannot_be_read_does_not_hide_the_version(
    world: World, server: Server
) -> None:
    (world.paths.keys / "orders").chmod(0o644)
    async with jumpbox(world, server, version="OpenSSH_7.4") as old:
        await learn_version(world.tools, old)
    found = (await begin(world.tools, "orders")).next
    assert found is not None
    assert "permitlisten" not in found.restricted


async def test_a_version_is_not_believed_before_the_host_key_is_trusted(world: World, server: Server) -> None:
    async with jumpbox(world, server, version="OpenSSH_7.4") as old:
        world.paths.known_hosts.unlink()
        await learn_version(world.tools, old)
    assert world.tools.logins.version(old.ssh) == ""


async def test_a_known_version_costs_no_login(world: World, sshd: Sshd, server: Server) -> None:
    await learn_version(world.tools, server)
    assert "OpenSSH" in world.tools.logins.version(server.ssh)
    before = sshd.logins()
    await learn_version(world.tools, server)
    assert sshd.logins() == before


def test_a_change_of_key_begins_where_the_ssh_server_is_not_reached(
    world: World, postgres: Postgres, make_sshd: Callable[..., Sshd], canary: Canary
) -> None:
    gone = make_sshd()
    world.write(world.server(postgres, gone))
    gone.stop()
    outcome = canary("rotate", "orders")
    assert outcome.status == 0
    assert "permitlisten" in outcome.out, "the line for the usual versions"
    assert "is made" in outcome.err


# A server that is removed meanwhile


@pytest.mark.parametrize("left", ["switch", "finish"])
def test_a_server_that_is_removed_while_its_keys_are_tried_is_said_in_words(
    world: World, sshd: Sshd, server: Server, canary: Canary, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sshd.authorize(canary("rotate", "orders").out)
    if left == "finish":
        assert canary("rotate", "orders", "--check").status == 0
        without(sshd, world.key("orders").line)

    def removed(*arguments: Any) -> object:
        world.tools.file.remove("orders")
        return {"switch": switch, "finish": finish}[left](*arguments)

    monkeypatch.setattr(f"canary_tui.monitor.key_trial.{left}", removed)
    outcome = canary("rotate", "orders", "--check")
    assert (outcome.status, outcome.out) == (1, "")
    assert "no server is called orders" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("arguments", [(), ("--check",), ("--cancel",)])
def test_a_server_that_is_removed_before_a_step_is_said_in_words(
    world: World, server: Server, canary: Canary, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*_: object) -> Server:
        world.tools.file.remove("orders")
        return server

    monkeypatch.setattr("canary_tui.cli.rotate_command.find_server", found)
    outcome = canary("rotate", "orders", *arguments)
    assert (outcome.status, outcome.out) == (1, "")
    assert "Traceback" not in outcome.err
    assert "orders" in outcome.err
    assert list(world.paths.keys.glob("orders.2*")) == []
