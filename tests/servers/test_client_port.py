"""Somebody else has the port that is ours by the settings: no client is started, and nothing leaves."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor.board import Health
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.follower import Follower
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.requests import Close, ProbeNow, RetryNow, SetEnabled, StartClient
from canary_tui.monitor.view import View
from canary_tui.servers.model import PasswordCommand
from tests.harness.accounts import as_user
from tests.harness.neighbours import Squatter
from tests.harness.ports import free_port, wait_for
from tests.servers.cli import COMMAND, environment
from tests.servers.test_monitor import LIMIT, running, wait_until
from tests.servers.test_terminal import Terminal
from tests.servers.watching import Watching, at_home
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.servers.model import Server
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tell")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
WHO = [pytest.param("nobody", marks=as_root), None]


def with_command(world: World, database: Postgres | MariaDB, sshd: Sshd, port: int) -> Server:
    """List a tunnelled server at ``localhost`` whose password leaves a trace when it is looked for."""
    command = ("sh", "-c", f"touch {world.folder}/asked; echo {database.password}")
    server = world.server(database, sshd, host="localhost", password=PasswordCommand(command))
    world.write(with_ssh(server, local_port=port))
    return server


def refusal(call: object) -> Failed:
    """What ``client_env`` fails with."""
    with pytest.raises(Failed) as refused:
        call.result(LIMIT)  # type: ignore[attr-defined]
    return refused.value


@pytest.mark.parametrize("user", WHO)
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_client_is_not_started_while_somebody_else_has_the_port(
    engine: str, user: str | None, world: World, sshd: Sshd, postgres: Postgres, mariadb: MariaDB
) -> None:
    database, port = (postgres if engine == "postgresql" else mariadb), free_port()
    with_command(world, database, sshd, port)
    with Squatter("127.0.0.1", port, user=user) as squatter, running(world) as monitor:
        assert squatter.said == "ready"
        wait_until(monitor, lambda row: row.failure is not None)
        failed = refusal(monitor.ask(StartClient("orders")))
        assert failed.cause is Cause.LOCAL_PORT_TAKEN
        assert str(port) in failed.detail
        assert not (world.folder / "asked").exists(), "the password was not even looked for"
        assert squatter.stop() == ""


def test_a_client_is_not_started_while_no_tunnel_is_open(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    with_command(world, postgres, sshd, free_port())
    with running(world) as monitor:
        monitor.ask(Close("orders")).result(LIMIT)
        failed = refusal(monitor.ask(StartClient("orders")))
        assert (failed.cause, failed.detail) == (Cause.TUNNEL_LOST, "the tunnel of orders is closed")
        monitor.ask(RetryNow("orders"))
        wait_until(monitor, lambda row: row.health is Health.UP)
        monitor.ask(SetEnabled("orders", False)).result(LIMIT)
        wait_until(monitor, lambda row: row.tunnel is TunnelState.CLOSED)
        (world.folder / "asked").unlink()
        assert refusal(monitor.ask(StartClient("orders"))).cause is Cause.TUNNEL_LOST
        assert not (world.folder / "asked").exists()


def test_what_keeps_the_tunnel_down_is_said_and_a_bound_port_is_enough(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    """A client that comes while the tunnel is down is told so in its own protocol."""
    port = free_port()
    with_command(world, postgres, sshd, port)
    sshd.deauthorize()
    with running(world) as monitor:
        wait_until(monitor, lambda row: row.failure is not None)
        argv, given = monitor.ask(StartClient("orders")).result(LIMIT)
        assert (argv, given["PGPORT"]) == (["psql"], str(port))


def test_a_client_is_not_started_without_tls_that_was_there(
    world: World, sshd: Sshd, mariadb: MariaDB
) -> None:
    server = with_ssh(world.server(mariadb, sshd), local_port=free_port())
    world.write(server)
    world.tools.known_tls.add(server)
    with running(world) as monitor:
        wait_until(monitor, lambda row: row.health is Health.DOWN)
        assert refusal(monitor.ask(StartClient("orders"))).cause is Cause.TLS_DOWNGRADED
        world.tools.known_tls.forget(server)
        monitor.ask(ProbeNow("orders"))
        wait_until(monitor, lambda row: row.health is Health.UP)
        argv, _ = monitor.ask(StartClient("orders")).result(LIMIT)
        assert argv[0].endswith("/mysql")


@as_root
def test_the_application_says_who_has_the_port_and_keeps_the_terminal(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    port = free_port()
    with_command(world, postgres, sshd, port)
    before = postgres.connections_seen()
    with Squatter("127.0.0.1", port, user="nobody") as squatter:
        terminal = Terminal(world.folder)
        try:
            terminal.wait_for(b"local port taken")
            terminal.seen.clear()
            os.write(terminal.ours, b"s")
            terminal.wait_for(b"local port taken:")
            assert b"\x1b[?1049l" not in terminal.seen, "the terminal was not given away"
        finally:
            terminal.close()
        assert squatter.stop() == ""
    assert postgres.connections_seen() == before
    assert not (world.folder / "asked").exists()


@pytest.mark.parametrize("user", WHO)
def test_a_second_copy_gives_no_password_to_who_took_the_port_of_a_monitor_that_died(
    user: str | None,
    world: World,
    sshd: Sshd,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home, port = at_home(world, tmp_path, monkeypatch), free_port()
    with_command(home, postgres, sshd, port)
    with Watching() as first:
        first.until(lambda: any(event["probe"]["ok"] for event in first.of("probe_finished")), "it is up")
        follower = Follower(home.paths)
        holder = Lock(home.paths).acquire()
        assert holder is not None

        def shown() -> bool:
            follower.look(holder)
            row = follower.snapshot.row("orders")
            return row is not None and bool(row.local)

        wait_for(shown, LIMIT, "the copy knows the port")
        view = View(home.paths, follower)
        _, given = asyncio.run(view.answer(StartClient("orders")))
        assert given["PGPORT"] == str(port)
        (home.folder / "asked").unlink()
        first.process.kill()
        first.process.wait()
        with pytest.raises(Failed, match="nobody is known to listen"):
            asyncio.run(view.answer(StartClient("orders")))
        with Squatter("127.0.0.1", port, user=user) as squatter:
            with pytest.raises(Failed, match="nobody, uid" if user else "process") as refused:
                asyncio.run(view.answer(StartClient("orders")))
            assert refused.value.cause is Cause.LOCAL_PORT_TAKEN
            assert squatter.stop() == ""
        assert not (home.folder / "asked").exists()
        follower.end()


@as_root
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_of_two_unprivileged_users_the_one_that_squats_gets_no_byte(
    engine: str, world: World, sshd: Sshd, postgres: Postgres, mariadb: MariaDB, tmp_path: Path
) -> None:
    database, port = (postgres if engine == "postgresql" else mariadb), free_port()
    world.write(with_ssh(world.server(database, sshd), local_port=port))
    state = tmp_path / "state-of-daemon"
    state.mkdir(mode=0o700)
    os.chown(state, *(as_daemon := (1, 1)))
    client = (
        ["psql", "-XAtc", "select inet_server_port()"]
        if engine == "postgresql"
        else ["sh", "-c", "mysql -BNe 'select @@port'"]
    )
    with Squatter("127.0.0.1", port, user="nobody") as squatter:
        done = subprocess.run(
            [*as_user("daemon"), *COMMAND, "connect", "orders", "--", *client],
            env=environment(world, XDG_STATE_HOME=str(state), HOME=str(state)),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (0, f"{database.port}\n"), done.stderr
        assert squatter.stop() == ""
    assert {path.stat().st_uid for path in state.rglob("*")} <= {as_daemon[0]}
