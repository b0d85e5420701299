"""`engine: tcp`: any service behind a TCP port, over a real sshd with the line that is installed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.audit import audit
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.local import LocalMonitor
from canary_tui.servers.model import Listen
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.presenters.report import report
from tests.harness.misbehave import ClosesAtOnce, ResetsAtOnce, Says, Silent
from tests.harness.ports import free_port
from tests.servers.held_tunnel import held_tunnel
from tests.servers.tcp_services import HOST, service
from tests.servers.test_story import install_and_trust, see, type_into
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.diagnosis.stages import ProbeResult
    from tests.harness.mariadb import MariaDB
    from tests.harness.misbehave import Fake
    from tests.harness.sshd import Sshd


OVER_SSH = ["settings", "resolve", "connect", "handshake", "host_key", "auth", "forward", "database"]
DIRECTLY = ["settings", "resolve", "connect", "database"]


def stages(result: ProbeResult) -> list[str]:
    return [stage.stage.value for stage in result.stages]


def blame(result: ProbeResult) -> tuple[Stage, Cause] | None:
    return (result.failure.stage, result.failure.cause) if result.failure else None


@pytest.mark.parametrize("tunnelled", [True, False], ids=["ssh", "direct"])
async def test_a_service_that_says_nothing_is_well(world: World, sshd: Sshd, tunnelled: bool) -> None:
    with Silent() as silent:
        result = await world.probe(service(world, silent.port, sshd if tunnelled else None))
        assert result.ok, result.failure
        assert stages(result) == (OVER_SSH if tunnelled else DIRECTLY)
        assert result.stages[-1].note == ""
        assert (silent.connections, bytes(silent.received)) == (1, b"")


async def test_the_end_of_the_time_while_it_is_listened_to_is_no_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("canary_tui.databases.tcp.session.LISTEN_SECONDS", 60.0)
    with Silent() as silent:
        result = await world.probe(service(world, silent.port, timeout=1.0))
    assert result.ok, result.failure


@pytest.mark.parametrize("tunnelled", [True, False], ids=["ssh", "direct"])
async def test_what_a_service_says_first_is_shown(world: World, sshd: Sshd, tunnelled: bool) -> None:
    """An sshd is such a service."""
    result = await world.probe(service(world, sshd.port, sshd if tunnelled else None))
    assert result.ok, result.failure
    assert result.stages[-1].note.startswith("it says: SSH-2.0-OpenSSH_")


async def test_a_greeting_that_is_no_text_is_shown_as_far_as_it_is(
    world: World, sshd: Sshd, mariadb: MariaDB
) -> None:
    result = await world.probe(service(world, mariadb.port, sshd))
    assert result.ok, result.failure
    assert "MariaDB" in result.stages[-1].note
    assert result.stages[-1].note.isprintable()
    with Says(b"\0\1\2") as odd:
        result = await world.probe(service(world, odd.port))
    assert result.stages[-1].note == "it says: nothing that can be shown"


@pytest.mark.parametrize("tunnelled", [True, False], ids=["ssh", "direct"])
@pytest.mark.parametrize("kind", [ClosesAtOnce, ResetsAtOnce])
async def test_one_that_closes_at_once_is_down(
    world: World, sshd: Sshd, kind: Callable[[], Fake], tunnelled: bool
) -> None:
    with kind() as closing:
        result = await world.probe(service(world, closing.port, sshd if tunnelled else None))
    assert blame(result) == (Stage.DATABASE, Cause.DATABASE_CLOSED_EARLY)
    assert result.failure is not None
    assert "PostgreSQL" not in " ".join((result.failure.summary, *result.failure.remedies))
    assert "postgresql" not in " ".join(result.failure.remedies)


async def test_one_that_says_why_it_closes_is_quoted(world: World, sshd: Sshd) -> None:
    said = b"-ERR max number of clients reached\r\n"
    with Says(said, "close") as full:
        result = await world.probe(service(world, full.port, sshd))
    assert blame(result) == (Stage.DATABASE, Cause.DATABASE_CLOSED_EARLY)
    assert result.failure is not None
    assert result.failure.detail == "it says: -ERR max number of clients reached"


@pytest.mark.parametrize("tunnelled", [True, False], ids=["ssh", "direct"])
async def test_a_flood_is_cut_off(world: World, sshd: Sshd, tunnelled: bool) -> None:
    with Says(b"\x1b]0;mark\x07 flood " * 1_000_000) as flood:
        result = await world.probe(service(world, flood.port, sshd if tunnelled else None))
    assert blame(result) == (Stage.DATABASE, Cause.WRONG_PROTOCOL)
    assert result.failure is not None
    assert "sends without end" in result.failure.summary


async def test_a_closed_port_is_the_forwards_failure(world: World, sshd: Sshd) -> None:
    result = await world.probe(service(world, free_port(), sshd))
    assert blame(result) == (Stage.FORWARD, Cause.DATABASE_REFUSED)
    assert result.failure is not None
    assert any("Start the service" in remedy for remedy in result.failure.remedies)


async def test_the_restricted_line_gives_a_clean_audit(world: World, sshd: Sshd) -> None:
    with Silent() as silent:
        found = await audit(service(world, silent.port, sshd), world.tools)
    assert found.ok, found.findings
    assert found.checks[0].title == f"the database {HOST}:{silent.port}"


async def test_the_report_names_no_login(world: World, sshd: Sshd) -> None:
    with ClosesAtOnce() as closing:
        server = service(world, closing.port, sshd)
        text = report(server, await world.probe(server))
    assert "Login:" not in text
    assert "Database:  tcp 127.0.0.1" in text
    assert "Look at:   the service's log; the addresses that it lets in" in text


# Clients


async def test_bytes_pass_both_ways_and_no_guard_looks_at_them(world: World, sshd: Sshd) -> None:
    """What would be a request for a clear-text password is some bytes of some protocol."""
    asks = b"R\0\0\0\x08\0\0\0\x03"
    with Says(asks, after_client=True) as echo:
        async with held_tunnel(world, service(world, echo.port, sshd)) as at_work:
            await at_work.until(TunnelState.UP)
            reader, writer = await asyncio.open_connection(HOST, at_work.port)
            writer.write(b"\0\0\0\x08\0\x03\0\0")
            assert await reader.readexactly(len(asks)) == asks
            writer.close()
        assert bytes(echo.received) == b"\0\0\0\x08\0\x03\0\0"


async def test_a_client_that_cannot_be_served_is_hung_up_on_without_a_word(world: World, sshd: Sshd) -> None:
    server = with_ssh(service(world, free_port(), sshd), connect_wait=0.5)
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.UP)
        reader, writer = await asyncio.open_connection(HOST, at_work.port)
        writer.write(b"PING\r\n")
        assert await reader.read() == b""
        writer.close()
        assert at_work.refused[0].startswith("forward: database refused. ")


async def test_the_socket_is_nobodys_in_particular(world: World, sshd: Sshd) -> None:
    with Says(b"hello") as greeter:
        server = with_ssh(service(world, greeter.port, sshd), listen=Listen.SOCKET)
        async with held_tunnel(world, server) as at_work:
            await at_work.until(TunnelState.UP)
            assert at_work.supervisor.local.endswith("/cache/tcp.sock")
            reader, writer = await asyncio.open_unix_connection(at_work.supervisor.local)
            assert await reader.readexactly(5) == b"hello"
            writer.close()


# The application


async def test_from_an_empty_list_to_a_client_through_the_local_port(world: World, sshd: Sshd) -> None:
    """The service is the sshd itself, which says who it is."""
    monitor = LocalMonitor(world.paths)
    monitor.start()
    app = CanaryApp(monitor)
    try:
        async with app.run_test(size=(100, 60), notifications=True) as pilot:
            await see(pilot, "a add")
            await pilot.press("a")
            await see(pilot, "Database User")
            await type_into(pilot, "name", "cache")
            await pilot.press("tab", "t")
            await see(pilot, lambda text: "Database User" not in text and "Query" not in text)
            await type_into(pilot, "db-host", HOST)
            await type_into(pilot, "db-port", str(sshd.port))
            await type_into(pilot, "ssh-host", sshd.host)
            await type_into(pilot, "ssh-port", str(sshd.port))
            await type_into(pilot, "ssh-user", sshd.user)
            await pilot.press("ctrl+s")
            await install_and_trust(pilot, sshd)
            shown = await see(pilot, lambda text: "✓ Database" in text and "it says: SSH-2.0-OpenSSH" in text)
            assert "Query" not in shown
            await pilot.press("escape", "escape", "escape")
            await see(pilot, lambda text: "● cache" in text and " up " in text)
            await pilot.press("s")
            await see(pilot, "no client to start")
            row = monitor.snapshot().row("cache")
            assert row is not None
            reader, writer = await asyncio.open_connection(HOST, int(row.local.rpartition(":")[2]))
            assert (await reader.readline()).startswith(b"SSH-2.0-OpenSSH")
            writer.close()
    finally:
        assert monitor.stop(5)
