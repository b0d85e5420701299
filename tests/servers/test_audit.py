"""The audit against a real sshd: the limited key is limited, the plain one is not, and it says so."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.findings import what_to_do
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.audit import audit
from canary_tui.monitor.json_records import audit_json
from canary_tui.servers.model import PasswordEnv
from canary_tui.tunnels import audit as tries
from tests.servers.cli import spawn
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.servers.model import Server
    from canary_tui.tunnels.audit import AuditReport
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


def found(report: AuditReport) -> dict[str, str]:
    return {check.check: check.found.value for check in report.checks}


REFUSED = dict.fromkeys(
    [
        "other_port",
        "other_host",
        "unix_socket",
        "shell",
        "command",
        "agent",
        "reverse_forward",
        "reverse_forward_port_1",
        "root_login",
    ],
    "refused",
)


@pytest.mark.parametrize("engine", ["postgres", "mariadb"])
async def test_the_restricted_line_gives_a_clean_audit(
    world: World, sshd: Sshd, engine: str, request: pytest.FixtureRequest
) -> None:
    database: Postgres | MariaDB = request.getfixturevalue(engine)
    report = await audit(world.server(database, sshd), world.tools)
    assert found(report) == {"database": "allowed", **REFUSED}
    assert report.ok
    assert audit_json(report)["findings"] == []


async def test_the_plain_line_gives_exactly_the_findings_it_should(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = plain(world, sshd, postgres)
    report = await audit(server, world.tools)
    wide = ["other_port", "other_host", "unix_socket", "shell", "command", "agent", "reverse_forward"]
    assert found(report) == {"database": "allowed", **REFUSED, **dict.fromkeys(wide, "allowed")}
    assert audit_json(report)["findings"] == wide
    assert report.line.startswith("restrict,port-forwarding,permitopen=")


async def test_a_forced_command_is_granted_but_useless_and_no_finding(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd, install=False)
    sshd.authorize(f'command="cat" {world.key("orders").line}')  # an echo of the input is no shell
    report = await audit(server, world.tools)
    assert (found(report)["shell"], found(report)["command"]) == ("refused", "refused")


async def test_a_key_that_does_not_reach_its_database_is_a_finding(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd, install=False)
    sshd.authorize(f"restrict {world.key('orders').line}")
    report = await audit(server, world.tools)
    assert audit_json(report)["findings"] == ["database", "shell", "command"]


async def test_an_audit_leaves_no_session_behind(world: World, sshd: Sshd, postgres: Postgres) -> None:
    from tests.harness.ports import wait_for

    await audit(plain(world, sshd, postgres), world.tools)
    wait_for(lambda: not sshd.sessions(), 10, "the audit's session is gone")


async def test_a_root_login_is_itself_a_finding(world: World, sshd: Sshd, postgres: Postgres) -> None:
    server = with_ssh(world.server(postgres, sshd), user="root")
    if sshd.authorized_keys.parent.joinpath("root").exists():
        pytest.skip("root has keys on this sshd")
    root_keys = sshd.authorized_keys.parent / "root"
    root_keys.write_text(world.key("orders").line + "\n")
    world.write(server)
    try:
        report = await audit(server, world.tools)
        said = await asyncio.to_thread(spawn, world, "audit", "orders")
        root_keys.write_text(f"{report.line}\n")
        limited = await asyncio.to_thread(spawn, world, "audit", "orders")
    finally:
        root_keys.unlink()
    assert "root_login" in audit_json(report)["findings"]
    assert "reverse_forward_port_1" in audit_json(report)["findings"]
    assert (said.status, said.err) == (1, f"{what_to_do(['shell', 'root_login'])}\n")
    assert (limited.status, limited.err) == (1, f"{what_to_do(['root_login'])}\n")
    assert "account without privileges" in limited.err
    assert limited.out.endswith(f"{report.line}\n")


def plain(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    server = world.server(postgres, sshd, install=False)
    sshd.authorize(world.key("orders").line)
    return server


async def test_a_closed_database_port_and_a_missing_password_are_no_findings(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    """The key is as it should be: what fails lies beyond what an authorized_keys line can mend."""
    server = world.server(postgres, sshd, port=1)
    assert (await audit(server, world.tools)).ok
    sshd.deauthorize()
    server = world.server(postgres, sshd, name="other", password=PasswordEnv(env="CANARY_TEST_NOT_SET"))
    assert (await audit(server, world.tools)).ok


async def test_a_connection_that_ends_meanwhile_is_no_evidence(
    world: World, make_sshd: Callable[..., Sshd], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = make_sshd()
    server = world.server(postgres, ssh)

    async def killed(*_: object) -> tuple[bool, str]:
        await asyncio.to_thread(ssh.kill_sessions)
        return False, "it seems to be refused"

    with monkeypatch.context() as patch:
        patch.setattr(tries, "_shell", killed)
        with pytest.raises(Failed) as failed:
            await audit(server, world.tools)
    assert failed.value.cause is Cause.TUNNEL_LOST
    assert (await audit(server, world.tools)).ok


async def test_a_session_that_never_began_is_no_evidence(
    world: World, make_sshd: Callable[..., Sshd], postgres: Postgres
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: sshd changes its root for no other")
    server = world.server(postgres, make_sshd(["ChrootDirectory /nonexistent"]))
    with pytest.raises(Failed) as failed:
        await audit(server, world.tools)
    assert failed.value.cause is Cause.SSH_CLOSED_AT_LOGIN
