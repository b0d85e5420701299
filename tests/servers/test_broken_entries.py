"""A servers file with a wrong entry, or with settings that nobody knows, over real servers."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.board import Health
from canary_tui.monitor.requests import Hold, RunTest, SetEnabled, StartClient
from tests.harness.ports import wait_for
from tests.servers.cli import COMMAND, TUNNEL, Canary, environment, finish, start
from tests.servers.test_monitor import port_of, psql, row, running, wait_until

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

WRONG = "  - name: wrong\n    engine: postgresql\n    database: {host: h, port: 99999}\n"
MISTAKE = "servers[1].database.port: 99999 is not a port (1–65535)"


def append(world: World, text: str) -> None:
    world.paths.servers.write_text(world.paths.servers.read_text() + text)


def edit(world: World, old: str, new: str) -> None:
    text = world.paths.servers.read_text()
    assert old in text
    world.paths.servers.write_text(text.replace(old, new))


# The commands


def test_the_others_are_listed_and_probed_and_the_wrong_one_with_its_mistake(
    canary: Canary, world: World, postgres: Postgres
) -> None:
    world.write(world.server(postgres, name="direct"))
    append(world, WRONG)
    listed = canary("list")
    assert (listed.status, listed.err) == (0, "")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["NAME", "direct", "wrong", "✕"]
    assert MISTAKE in listed.out
    one, two = (json.loads(line) for line in canary("list", "--json").out.splitlines())
    assert ("problems" in one, one["database"]["port"]) == (False, postgres.port)
    assert (two["server"], two["database"], len(two["problems"])) == ("wrong", None, 1)
    probed = canary("probe", "--json")
    good, bad = (json.loads(line) for line in probed.out.splitlines())
    assert (probed.status, good["ok"], bad["ok"]) == (1, True, False)
    assert (bad["failure"]["stage"], bad["failure"]["cause"]) == ("settings", "settings_invalid")
    assert MISTAKE in bad["failure"]["detail"]
    assert bad["stages"] == [{"stage": "settings", "ok": False, "ms": 0.0}]
    assert canary("probe", "direct").status == 0
    said = canary("probe", "wrong")
    assert (said.status, MISTAKE in said.out) == (1, True)


@pytest.mark.parametrize(
    "command", ["connect", "key", "trust", "audit", "rotate", "password"], ids=lambda name: name
)
def test_a_command_for_the_wrong_one_says_its_mistake_and_exits_with_2(
    canary: Canary, world: World, command: str
) -> None:
    world.paths.servers.parent.mkdir(parents=True, exist_ok=True)
    one = "  - name: o\n    engine: mysql\n    database: {host: h}\n"
    world.paths.servers.write_text(f"servers:\n{one}{WRONG}")
    outcome = canary(command, "wrong")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == f"servers.yaml:7: {MISTAKE}\n"


def test_servers_are_added_beside_the_wrong_one_and_it_can_be_removed(canary: Canary, world: World) -> None:
    world.paths.servers.parent.mkdir(parents=True, exist_ok=True)
    world.paths.servers.write_text("servers:\n" + WRONG + "    ssh: {host: j, user: u, local_port: 15432}\n")
    assert canary("add", "wrong", *TUNNEL).status == 2
    assert canary("add", "orders", *TUNNEL).status == 0
    added = world.tools.file.load().need("orders").ssh
    assert added is not None
    assert added.local_port not in {None, 15432}
    assert WRONG in world.paths.servers.read_text()
    outcome = canary("remove", "wrong", "--yes")
    assert outcome.status == 0
    assert [entry.name for entry in world.tools.file.load().entries] == ["orders"]


def test_a_disabled_wrong_entry_is_not_probed_unasked(
    canary: Canary, world: World, postgres: Postgres
) -> None:
    world.write(world.server(postgres, name="direct"))
    append(world, WRONG + "    enabled: false\n")
    assert canary("probe").status == 0
    assert canary("probe", "wrong").status == 1


def test_what_has_no_effect_is_said_once_by_each_command_and_never_on_stdout(
    canary: Canary, world: World, postgres: Postgres, sshd: Sshd
) -> None:
    world.write(world.server(postgres, sshd))
    edit(world, "    database:\n", "    database:\n      sslmode: verify-full\n")
    edit(world, "    ssh:\n", "    ssh:\n      proxy_jump: a@b\n")
    for command in (
        ("list",),
        ("list", "--json"),
        ("probe", "--json"),
        ("key", "orders"),
        ("audit", "orders"),
    ):
        outcome = canary(*command)
        assert outcome.status == 0, outcome
        assert "sslmode" not in outcome.out
        tls, jump = (line for line in outcome.err.splitlines() if line.startswith("warning: servers.yaml:"))
        assert "sslmode: has no effect; our word is tls (the connection is made with tls: prefer)" in tls
        assert "proxy_jump: has no effect; our word is via; this version has no jump hosts yet" in jump
    # It runs as it always did: with prefer, and straight to the SSH server.
    assert json.loads(canary("probe", "--json").out)["ok"]


def test_completion_says_nothing_of_it(canary: Canary, world: World) -> None:
    canary("add", "orders", *TUNNEL)
    append(world, "sslmode: require\n" + "defaults: {interval: 3s}\n")
    asked = {"_CANARY_COMPLETE": "bash_complete", "COMP_WORDS": "canary probe o", "COMP_CWORD": "2"}
    done = subprocess.run(
        COMMAND, env=environment(world, **asked), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("plain,orders\n", "")


# The monitor


def test_a_tunnel_goes_on_with_its_last_good_settings_while_its_entry_is_wrong(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd), world.server(postgres, name="direct"))
    with running(world) as monitor:
        held = [monitor.ask(Hold(name)) for name in ("orders", "direct")]
        port = port_of(wait_until(monitor, lambda found: found.health is Health.UP))
        edit(world, "    database:\n", "    database:\n      tls: maybe\n")
        wait_until(monitor, lambda found: bool(found.mistakes))
        wait_until(monitor, lambda found: bool(found.mistakes), "direct")
        last = row(monitor).last
        wait_until(monitor, lambda found: found.last is not last and found.health is Health.UP)
        assert psql(world, postgres, port) == "hello"
        assert "maybe is not one of" in row(monitor).mistakes[0]
        assert monitor.snapshot().problems == ()
        edit(world, "tls: maybe", "tls: prefer")
        wait_until(monitor, lambda found: not found.mistakes)
        assert not any(one.done() for one in held)
        assert port_of(row(monitor)) == port


def test_one_that_is_wrong_is_closed_when_it_is_switched_off_or_taken_out(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd))
    with running(world) as monitor:
        held = monitor.ask(Hold("orders"))
        wait_until(monitor, lambda found: found.health is Health.UP)
        edit(world, "    database:\n", "    enabled: false\n    database:\n      tls: maybe\n")
        held.result(15)
        assert wait_until(monitor, lambda found: found.health is Health.BROKEN).mistakes
        world.tools.file.remove("orders")
        wait_for(lambda: monitor.snapshot().row("orders") is None, 15, "the row is gone")


def test_one_that_was_never_good_is_listed_and_begins_when_it_is_put_right(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd))
    edit(world, "    database:\n", "    database:\n      tls: maybe\n")
    with running(world) as monitor:
        assert row(monitor).health is Health.BROKEN
        monitor.ask(Hold("orders")).result(15)  # there is nothing to wait for
        with pytest.raises(Exception, match="maybe is not one of"):
            monitor.ask(RunTest("orders")).result(15)
        with pytest.raises(Exception, match="maybe is not one of"):
            monitor.ask(SetEnabled("orders", True)).result(15)
        with pytest.raises(Exception, match="maybe is not one of"):
            monitor.ask(StartClient("orders")).result(15)
        edit(world, "tls: maybe", "tls: prefer")
        wait_until(monitor, lambda found: found.health is Health.UP)


def test_watch_says_what_is_wrong_and_what_has_no_effect_and_goes_on(
    world: World, postgres: Postgres
) -> None:
    world.write(world.server(postgres, name="direct"))
    edit(world, "    database:\n", "    database:\n      sslmode: require\n")
    append(world, WRONG)
    process = start(world, "watch")
    assert process.stdout is not None
    try:
        first, said = process.stdout.readline(), ""
        while "✓ answers" not in said:
            said += (line := process.stdout.readline())
            assert line
    finally:
        process.terminate()
        outcome = finish(process)
    assert outcome.status == 0
    assert "1 servers are watched; " in first
    assert MISTAKE in first
    assert "sslmode: has no effect; our word is tls" in first
