"""The monitor on its own thread: tunnels come back, probes come on time, and its end leaves nothing."""

from __future__ import annotations

import socket
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from canary_tui.monitor.board import Health
from canary_tui.monitor.events import TunnelChanged, TunnelState
from canary_tui.monitor.local import LocalMonitor
from canary_tui.monitor.request import TestState
from canary_tui.monitor.requests import Close, Hold, ReadKey, Remove, Restore, RetryNow, RunTest, Save, Trust
from tests.harness.ports import wait_for
from tests.servers.world import with_database, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from canary_tui.monitor.board import Row
    from canary_tui.monitor.events import AnyEvent
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

LIMIT = 15.0


@contextmanager
def running(world: World) -> Iterator[LocalMonitor]:
    """A monitor that has read the file; it must close everything in time."""
    monitor = LocalMonitor(world.paths)
    monitor.start()
    try:
        wait_for(lambda: monitor.snapshot().loaded, LIMIT, "the file has been read")
        yield monitor
    finally:
        assert monitor.stop(5), "everything is closed in time"
        assert "monitor" not in {thread.name for thread in threading.enumerate()}


def row(monitor: LocalMonitor, name: str = "orders") -> Row:
    found = monitor.snapshot().row(name)
    assert found is not None
    return found


def wait_until(monitor: LocalMonitor, what: Callable[[Row], bool], name: str = "orders") -> Row:
    wait_for(lambda: what(row(monitor, name)), LIMIT, f"{name} is as wanted: {row(monitor, name)}")
    return row(monitor, name)


def port_of(found: Row) -> int:
    return int(found.local.rpartition(":")[2])


def psql(world: World, postgres: Postgres, port: int, query: str = "select 'hello'") -> str:
    address = f"host=127.0.0.1 port={port} user={postgres.user} dbname={postgres.database}"
    done = subprocess.run(
        ["psql", "-At", address, "-c", query],
        env={"PGPASSWORD": postgres.password, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout.strip() or done.stderr.strip()


def test_a_server_comes_up_by_itself_and_psql_works_through_its_port(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd))
    with running(world) as monitor:
        found = wait_until(monitor, lambda r: r.health is Health.UP)
        assert psql(world, postgres, port_of(found)) == "hello"
        wait_until(monitor, lambda r: r.bytes_down > 0)
        assert f"local_port: {port_of(found)}" in world.paths.servers.read_text()
        assert any(line.result and line.result.ok for line in monitor.log_after(0))


def test_local_port_stays_bound_while_ssh_reconnects(world: World, sshd: Sshd, postgres: Postgres) -> None:
    world.write(world.server(postgres, sshd))
    with running(world) as monitor:
        port = port_of(wait_until(monitor, lambda r: r.health is Health.UP))
        for _ in range(3):
            sshd.kill_sessions()
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                pass
            wait_until(monitor, lambda r: r.tunnel is TunnelState.UP)
            assert psql(world, postgres, port) == "hello", "a client waits for the tunnel that comes back"
        assert port_of(row(monitor)) == port


def test_probes_reuse_the_tunnel_and_log_in_once(world: World, sshd: Sshd, postgres: Postgres) -> None:
    world.write(world.server(postgres, sshd))
    before = sshd.logins()
    with running(world) as monitor:
        wait_until(monitor, lambda r: len(r.recent) >= 4)
    assert sshd.logins() == before + 1


def test_a_refused_key_is_not_hammered_and_works_when_installed(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd, install=False))
    before = sshd.refused_logins()
    with running(world) as monitor:
        found = wait_until(monitor, lambda r: len(r.recent) >= 3)
        assert found.failure is not None
        assert found.failure.cause.value == "key_not_accepted"
        assert (found.health, found.tunnel) == (Health.DOWN, TunnelState.WAITING)
        assert sshd.refused_logins() == before + 1
        sshd.authorize(world.key("orders").line)
        monitor.ask(RetryNow("orders"))
        wait_until(monitor, lambda r: r.health is Health.UP)


def test_an_unknown_host_key_waits_for_a_person(world: World, sshd: Sshd, postgres: Postgres) -> None:
    world.write(world.server(postgres, sshd))
    world.paths.known_hosts.unlink()
    with running(world) as monitor:
        found = wait_until(monitor, lambda r: r.host_key is not None)
        assert found.tunnel is TunnelState.STOPPED
        assert found.host_key is not None
        monitor.ask(Trust("orders", found.host_key)).result(5)
        found = wait_until(monitor, lambda r: r.health is Health.UP)
        assert found.host_key is None
    assert found.server.ssh is not None


def test_a_test_dials_afresh_and_shows_its_stages(world: World, sshd: Sshd, mariadb: MariaDB) -> None:
    world.write(msgspec.structs.replace(world.server(mariadb, sshd), enabled=False))
    with running(world) as monitor:
        before = sshd.logins()
        heard: list[TestState] = []
        test = monitor.ask(RunTest("orders"), heard.append).result(LIMIT)
        assert test.result is not None
        assert test.result.ok, test.result.failure
        assert [s.stage.value for s in test.stages][-1] == "query"
        under_way = [state.stage.value for state in heard if state.stage is not None]
        assert under_way[:3] == ["settings", "resolve", "connect"], "it is told stage by stage"
        assert sshd.logins() == before + 1


def test_changes_of_the_file_are_picked_up(world: World, sshd: Sshd, postgres: Postgres) -> None:
    server = world.server(postgres, sshd)
    world.write(server)
    with running(world) as monitor:
        port = port_of(wait_until(monitor, lambda r: r.health is Health.UP))
        text = world.paths.servers.read_text()
        world.paths.servers.write_text(text + "nonsense: [\n")
        wait_for(lambda: bool(monitor.snapshot().problems), LIMIT, "the mistake is noticed")
        assert row(monitor).health is Health.UP, "the last good list stays"
        world.paths.servers.write_text(text)
        world.tools.file.set_value("orders", ("enabled",), False)
        wait_until(monitor, lambda r: r.tunnel is TunnelState.CLOSED)
        assert not monitor.snapshot().problems
        assert _refused(port), "a server that is switched off is not served"


def test_a_changed_database_moves_the_tunnel_and_not_the_port(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = with_ssh(world.server(postgres, sshd), local_port=None)
    world.write(with_database(server, port=1))
    with running(world) as monitor:
        found = wait_until(monitor, lambda r: r.failure is not None)
        assert found.failure is not None
        port = port_of(found)
        fixed = with_database(found.server, port=postgres.port)
        monitor.ask(Save(fixed, replaces="orders")).result(5)
        found = wait_until(monitor, lambda r: r.health is Health.UP)
        assert port_of(found) == port


def test_saving_makes_key_and_port_and_removing_can_be_undone(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = msgspec.structs.replace(
        with_ssh(world.server(postgres, sshd, name="template"), key="", local_port=None), name="new"
    )
    with running(world) as monitor:
        saved = monitor.ask(Save(server, replaces=None)).result(5)
        assert saved.ssh is not None
        assert saved.ssh.local_port is not None
        info = monitor.ask(ReadKey("new")).result(5)
        assert info.line.split()[0] == "ecdsa-sha2-nistp256"
        assert info.line.split()[2] == "querycanary.com"
        wait_for(lambda: monitor.snapshot().row("new") is not None, LIMIT, "it is on the board")
        monitor.ask(Remove("new")).result(5)
        assert not (world.paths.keys / "new").exists()
        monitor.ask(Restore(saved)).result(5)
        assert monitor.ask(ReadKey("new")).result(5).fingerprint == info.fingerprint


def test_a_taken_local_port_is_named_and_served_once_it_is_free(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        world.write(with_ssh(world.server(postgres, sshd), local_port=port))
        with running(world) as monitor:
            found = wait_until(monitor, lambda r: r.failure is not None)
            assert found.failure is not None
            assert found.failure.cause.value == "local_port_taken"
            assert str(port) in found.failure.summary
            other.close()
            monitor.ask(RetryNow("orders"))
            wait_until(monitor, lambda r: r.health is Health.UP)


def test_stopping_closes_tunnels_and_frees_the_port(world: World, sshd: Sshd, postgres: Postgres) -> None:
    world.write(world.server(postgres, sshd))
    with running(world) as monitor:
        held = monitor.ask(Hold("orders"))
        port = port_of(wait_until(monitor, lambda r: r.health is Health.UP))
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        wait_for(lambda: row(monitor).clients == 1, LIMIT, "the client is counted")
    assert held.done()
    assert client.recv(1) == b""
    client.close()
    assert _refused(port)
    wait_for(lambda: not sshd.sessions(), LIMIT, "no SSH session is left")


def test_one_that_is_opened_while_it_is_closed_opens_after_that_on_the_same_port(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd))
    before, states = sshd.logins(), list[TunnelState]()

    def heard(event: AnyEvent) -> None:
        if isinstance(event, TunnelChanged):
            states.append(event.state)

    with running(world) as monitor:
        port = port_of(wait_until(monitor, lambda r: r.health is Health.UP))
        monitor.listen(heard)
        closing, held = monitor.ask(Close("orders")), monitor.ask(Hold("orders"))
        closing.result(5)
        wait_for(lambda: TunnelState.UP in states, LIMIT, "it is up again")
        assert states == ["closed", "opening", "up"], "one generation after the other"
        assert port_of(wait_until(monitor, lambda r: r.health is Health.UP)) == port
        assert sshd.logins() == before + 2
        assert not held.done()


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_servers_that_start_together_get_local_ports_of_their_own(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    names = [f"server-{number}" for number in range(6)]
    world.write(*(world.server(postgres, sshd, name=name) for name in names))
    with running(world) as monitor:
        ports = {port_of(wait_until(monitor, lambda r: r.health is Health.UP, name)) for name in names}
        assert len(ports) == len(names)
        assert all(found is not None for name in names for found in row(monitor, name).recent)
