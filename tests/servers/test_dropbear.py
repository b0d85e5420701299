"""An SSH server that is not OpenSSH: the line for it works there, and an audit locks nobody out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys.authorized import restricted_line
from canary_tui.keys.ssh_software import USUAL
from canary_tui.monitor.audit import audit
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.json_records import audit_json
from tests.harness.postgres import Postgres
from tests.servers.cli import spawn
from tests.servers.held_tunnel import held_tunnel, mysql, psql

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.servers.model import Server
    from tests.harness.dropbear import Dropbear
    from tests.harness.mariadb import MariaDB
    from tests.servers.world import World


@pytest.fixture
def dropbear(make_dropbear: Callable[..., Dropbear]) -> Dropbear:
    return make_dropbear()


def listed(world: World, database: Postgres | MariaDB, ssh: Dropbear) -> Server:
    """Return a server whose key is not installed yet, in the servers file."""
    server = world.server(database, ssh, install=False)
    world.write(server)
    return server


async def test_the_line_that_is_printed_works_there_and_limits_what_it_can(
    world: World, dropbear: Dropbear, postgres: Postgres
) -> None:
    server = listed(world, postgres, dropbear)
    printed = await asyncio.to_thread(spawn, world, "key", "orders")
    assert printed.status == 0
    assert "dropbear" in printed.err
    assert "reverse forwards" in printed.err
    dropbear.authorize(printed.out)
    assert "Bad public key options" not in dropbear.log_text()
    assert (await world.probe(server)).ok
    report = await audit(server, world.tools)
    assert audit_json(report)["findings"] == ["reverse_forward"]
    assert f"{report.line}\n" == printed.out
    assert "Leave the line as it is" in report.advice
    assert "dropbear: the option -k" in report.advice


async def test_with_reverse_forwards_off_the_audit_is_clean(
    world: World, make_dropbear: Callable[..., Dropbear], mariadb: MariaDB
) -> None:
    dropbear = make_dropbear("-k")
    server = listed(world, mariadb, dropbear)
    dropbear.authorize((await asyncio.to_thread(spawn, world, "key", "orders")).out)
    assert (await audit(server, world.tools)).ok


async def test_the_script_installs_that_line_too(
    world: World, dropbear: Dropbear, postgres: Postgres
) -> None:
    listed(world, postgres, dropbear)
    line = await asyncio.to_thread(spawn, world, "key", "orders")
    script = await asyncio.to_thread(spawn, world, "key", "orders", "--format", "script")
    before = line.out.partition("ecdsa")[0].strip()
    assert before in script.out.replace("'\"'\"'", "'")


async def test_openssh_s_line_is_refused_as_a_whole_and_the_remedy_tells_which_line_to_take(
    world: World, dropbear: Dropbear, postgres: Postgres
) -> None:
    server = listed(world, postgres, dropbear)
    key = world.key("orders").line
    dropbear.authorize(restricted_line(key, server.database.host, server.database.port, USUAL))
    failure = (await world.probe(server)).failure
    assert "Bad public key options" in dropbear.log_text()
    assert failure is not None
    assert failure.cause is Cause.KEY_NOT_ACCEPTED
    assert any("canary key orders" in remedy for remedy in failure.remedies)
    assert any("dropbear's log" in remedy for remedy in failure.remedies)
    assert not any("sshd" in remedy for remedy in failure.remedies)


@pytest.mark.parametrize(
    ("options", "cause", "remedy"),
    [
        (["-j"], Cause.FORWARDING_NOT_PERMITTED, "without the option `-j`"),
        (["-G", "daemon"], Cause.KEY_NOT_ACCEPTED, "outside the group of `-G`"),
    ],
)
async def test_what_an_option_of_it_forbids_is_told_with_that_option(
    world: World,
    make_dropbear: Callable[..., Dropbear],
    postgres: Postgres,
    options: list[str],
    cause: Cause,
    remedy: str,
) -> None:
    ssh = make_dropbear(*options)
    server = listed(world, postgres, ssh)
    ssh.authorize(world.key("orders").line)
    failure = (await world.probe(server)).failure
    assert failure is not None
    assert failure.cause is cause
    assert any(remedy in said for said in failure.remedies)
    assert not any("sshd" in said for said in failure.remedies)


async def test_a_plain_line_is_answered_with_the_line_for_that_server(
    world: World, dropbear: Dropbear, postgres: Postgres
) -> None:
    server = listed(world, postgres, dropbear)
    dropbear.authorize(world.key("orders").line)
    report = await audit(server, world.tools)
    assert {"other_port", "shell", "command", "reverse_forward"} <= set(report.findings)
    assert report.advice.startswith("Install this line")
    dropbear.authorized_keys.unlink()
    dropbear.authorize(report.line)
    assert (await audit(server, world.tools)).findings == ["reverse_forward"]


@pytest.mark.parametrize("engine", ["postgres", "mariadb"])
async def test_a_tunnel_through_it_serves_clients(
    world: World, dropbear: Dropbear, engine: str, request: pytest.FixtureRequest
) -> None:
    database: Postgres | MariaDB = request.getfixturevalue(engine)
    server = listed(world, database, dropbear)
    dropbear.authorize((await asyncio.to_thread(spawn, world, "key", "orders")).out)
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.UP)
        if isinstance(database, Postgres):
            said = await psql(database, f"host=127.0.0.1 port={at_work.port}")
        else:
            said = await mysql(database, ["--host=127.0.0.1", f"--port={at_work.port}"])
        assert said == "hello"
