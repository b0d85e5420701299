"""One odd line in known_hosts: it is told wherever a person looks, and the servers of other hosts work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from canary_tui.cli.trust_command import look
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.events import TunnelState
from tests.servers.cli import Canary
from tests.servers.test_monitor import running, wait_until

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World


def spoil(world: World, line: str) -> str:
    """Put an odd line before the others, and return what is said of it."""
    path = world.paths.known_hosts
    path.write_text(f"{line}\n{path.read_text()}")
    return f"{path}:1: "


def test_it_is_said_by_the_commands_and_the_way_is_open(
    world: World,
    sshd: Sshd,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    world.write(world.server(postgres, sshd))
    said = spoil(world, "elsewhere ssh-ed25519 AAAA!")
    canary = Canary(world, monkeypatch, capfd)
    for command in (["probe"], ["trust", "orders"], ["audit", "orders"]):
        outcome = canary(*command)
        assert outcome.status == 0, outcome
        assert outcome.err.count(said) == 1


def test_it_is_in_the_monitors_log_and_the_tunnel_is_up(world: World, sshd: Sshd, postgres: Postgres) -> None:
    world.write(world.server(postgres, sshd))
    said = spoil(world, "elsewhere ssh-ed25519 AAAA!")
    with running(world) as monitor:
        wait_until(monitor, lambda row: row.tunnel is TunnelState.UP)
        assert sum(said in line.text for line in monitor.log_after(0)) == 1


@pytest.mark.parametrize("line", ["%s ssh-ed25519 AAAA!", "@revokd %s ssh-ed25519 AAAA", "%s"])
async def test_one_that_names_this_host_is_never_taken_for_a_host_that_is_new(
    line: str, world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd)
    world.paths.known_hosts.write_text("")
    said = spoil(world, line.replace("%s", f"[{sshd.host}]:{sshd.port}"))
    failure = (await world.probe(server)).failure
    assert failure is not None
    assert failure.cause is Cause.SETTINGS_INVALID
    assert failure.detail.startswith(said)
    with pytest.raises(Failed, match="known_hosts:1: "):
        await look(server, world.tools)
