"""A client that cannot be served is told why by its own program."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.monitor import doorway
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.local_ports import listening
from canary_tui.tunnels import relay as relays
from canary_tui.tunnels.relay import Relay
from tests.harness.ports import eventually, free_port
from tests.servers.held_tunnel import held_tunnel, mysql, psql
from tests.servers.world import with_database, with_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest

    from canary_tui.tunnels.login import ClientRefusal
    from canary_tui.tunnels.route import Route
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World


async def test_psql_prints_that_the_key_is_not_accepted(world: World, sshd: Sshd, postgres: Postgres) -> None:
    server = with_ssh(world.server(postgres, sshd, install=False), connect_wait=0.5)
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.WAITING)
        said = await psql(postgres, f"host=127.0.0.1 port={at_work.port}")
        assert "FATAL:  canary-tui: orders: SSH login: key not accepted. " in said
        assert len(at_work.refused) == 1
        assert at_work.refused[0].startswith("SSH login: key not accepted. ")
        assert at_work.refused[0] in said


async def test_psql_that_insists_on_tls_is_not_sent_a_password_prompt(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = with_ssh(world.server(postgres, sshd, install=False), connect_wait=0.5)
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.WAITING)
        said = await psql(postgres, f"host=127.0.0.1 port={at_work.port} sslmode=require")
        assert "does not support SSL" in said
        assert len(at_work.refused) == 1


async def test_mysql_prints_that_the_key_is_not_accepted(world: World, sshd: Sshd, mariadb: MariaDB) -> None:
    server = with_ssh(world.server(mariadb, sshd, install=False), connect_wait=0.5)
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.WAITING)
        said = await mysql(mariadb, ["--host=127.0.0.1", f"--port={at_work.port}"])
        # MariaDB's client adds that it could not know who says so.
        assert "canary-tui: orders: SSH login: key not accepted. " in said
        assert len(at_work.refused) == 1


async def test_a_client_is_told_that_the_database_refuses(world: World, sshd: Sshd, mariadb: MariaDB) -> None:
    server = world.server(mariadb, sshd, port=free_port())
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.UP)
        said = await mysql(mariadb, ["--host=127.0.0.1", f"--port={at_work.port}"])
        assert "canary-tui: orders: forward: database refused" in said


async def test_a_client_is_told_that_forwarding_is_not_permitted(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd)  # its key is limited to this database
    async with held_tunnel(world, with_database(server, port=1)) as at_work:
        await at_work.until(TunnelState.UP)
        said = await psql(postgres, f"host=127.0.0.1 port={at_work.port}")
        assert "canary-tui: orders: forward: forwarding not permitted" in said


async def test_a_client_waits_for_a_tunnel_that_comes_up_in_time(
    world: World, make_sshd: Callable[..., Sshd], postgres: Postgres
) -> None:
    sshd = make_sshd()
    server = with_ssh(world.server(postgres, sshd), connect_wait=10.0)
    sshd.stop()
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.WAITING)
        asking = asyncio.create_task(psql(postgres, f"host=127.0.0.1 port={at_work.port}"))
        await asyncio.to_thread(sshd.start)
        assert await asking == "hello"
        assert at_work.refused == []


async def test_a_client_that_gives_up_waiting_is_not_connected_to_the_database(
    world: World, make_sshd: Callable[..., Sshd], make_mariadb: Callable[..., MariaDB]
) -> None:
    sshd, mariadb = make_sshd(), make_mariadb()
    server = with_ssh(world.server(mariadb, sshd), connect_wait=10.0)
    sshd.stop()
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.WAITING)
        before = mariadb.aborted_connects()
        _, writer = await asyncio.open_connection("127.0.0.1", at_work.port)
        await eventually(lambda: at_work.supervisor.clients == 1)
        writer.close()
        await asyncio.to_thread(sshd.start)
        await eventually(lambda: at_work.refused)
        assert at_work.refused == ["a client that did not wait for the tunnel"]
        assert await mysql(mariadb, ["--host=127.0.0.1", f"--port={at_work.port}"]) == "hello"
        assert mariadb.aborted_connects() == before


async def test_a_client_that_came_before_the_loss_was_known_gets_the_next_tunnel(
    world: World, make_sshd: Callable[..., Sshd], postgres: Postgres
) -> None:
    sshd = make_sshd()
    async with held_tunnel(world, world.server(postgres, sshd)) as at_work:
        await at_work.until(TunnelState.UP)
        sshd.suspend()
        asking = asyncio.create_task(psql(postgres, f"host=127.0.0.1 port={at_work.port}"))
        await eventually(lambda: at_work.supervisor.clients == 1)
        at_work.supervisor.retry_now()
        await eventually(lambda: TunnelState.LOST in at_work.states)
        sshd.resume()
        assert await asking == "hello"
        assert at_work.refused == []


async def test_a_client_does_not_wait_for_what_only_a_person_can_mend(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = with_ssh(world.server(postgres, sshd), connect_wait=300.0)
    world.paths.known_hosts.unlink()
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.STOPPED)
        said = await psql(postgres, f"host=127.0.0.1 port={at_work.port}")
        assert "canary-tui: orders: host key: " in said


@contextlib.asynccontextmanager
async def refusing(refusal: ClientRefusal) -> AsyncIterator[int]:
    """The port of a relay that has no way to anywhere."""

    async def way() -> Route:
        raise Failed(Cause.TUNNEL_LOST)

    relay = Relay(way, changed=lambda: None, refused=lambda _: refusal)
    try:
        yield relay.listen(listening(0))
        await eventually(lambda: relay.clients == 0)
    finally:
        await relay.close()


class Chatter:
    """A refusal that never ends and answers everything."""

    over = False
    heard = 0

    def hear(self, data: bytes) -> bytes:
        """Count."""
        self.heard += len(data)
        return b"."


async def test_a_client_that_cannot_be_served_is_listened_to_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relays, "REFUSAL_SECONDS", 0.3)
    chatter = Chatter()
    async with refusing(chatter) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"."
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * (10 * relays.REFUSAL_BYTES))
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(5):
                await reader.read()
        writer.close()
    assert 0 < chatter.heard < 5 * relays.REFUSAL_BYTES


async def test_a_program_that_connects_again_and_again_does_not_fill_the_log(
    world: World, sshd: Sshd, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorway, "REFUSALS", 3)
    server = with_ssh(world.server(postgres, sshd, install=False), connect_wait=0.0)
    async with held_tunnel(world, server) as at_work:
        await at_work.until(TunnelState.WAITING)
        for _ in range(5):
            assert "key not accepted" in await psql(postgres, f"host=127.0.0.1 port={at_work.port}")
        assert len(at_work.refused) == 3
        monkeypatch.setattr(doorway, "REFUSALS_SECONDS", 0.0)
        await psql(postgres, f"host=127.0.0.1 port={at_work.port}")
        assert at_work.refused[-1].endswith(" (and 2 more before)")
