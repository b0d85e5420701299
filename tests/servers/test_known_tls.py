"""A database that had TLS does not lose it unnoticed: tls_downgraded, known_tls, canary trust --no-tls."""

from __future__ import annotations

import asyncio
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.databases.first_bytes import SSL_REQUEST
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Database, Engine, Server, SshServer, TlsMode
from canary_tui.tunnels.known_tls import KnownTls
from tests.harness.proxy import Proxy
from tests.servers.cli import Canary
from tests.servers.probing import probe_cleanly
from tests.servers.world import with_database

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.breakable import Breakable
    from tests.servers.world import World

ENGINES = (Engine.POSTGRESQL, Engine.MYSQL)
LOST = (Stage.TLS, Cause.TLS_DOWNGRADED)
CHUNK = 65_536


class Strips(Proxy):
    """Sits between; once ``strip`` is set it says that the database has no TLS, and notes what it is told."""

    strip = False
    heard = b""

    async def _serve(self, client: socket.socket) -> None:
        if not self.strip:
            await super()._serve(client)
            return
        loop = asyncio.get_running_loop()
        with await self._connect() as upstream:
            first = asyncio.create_task(loop.sock_recv(client, CHUNK))
            greeting = asyncio.create_task(loop.sock_recv(upstream, CHUNK))
            done, late = await asyncio.wait({first, greeting}, return_when=asyncio.FIRST_COMPLETED)
            for task in late:
                task.cancel()
            if greeting in done:  # MySQL: the bit for TLS is taken out of the capabilities
                said = bytearray(greeting.result())
                said[said.index(0, 5) + 15] &= ~0x08
                await loop.sock_sendall(client, said)
            else:
                assert first.result() == SSL_REQUEST
                await loop.sock_sendall(client, b"N")
            while data := await loop.sock_recv(client, CHUNK):
                self.heard += data
                await loop.sock_sendall(upstream, data)
                await loop.sock_sendall(client, await loop.sock_recv(upstream, CHUNK))


@pytest.mark.parametrize("tunnelled", [False, True], ids=["direct", "tunnel"])
@pytest.mark.parametrize("engine", ENGINES)
async def test_who_takes_tls_out_of_the_way_is_told_neither_user_nor_password(
    world: World,
    breakable: Breakable,
    sshd: Sshd,
    engine: Engine,
    tunnelled: bool,
) -> None:
    database = breakable.of(engine)
    with Strips((database.host, database.port)) as between:
        server = world.server(database, sshd if tunnelled else None, port=between.port)
        passed = await probe_cleanly(world, server)
        assert passed.ok, passed.failure
        between.strip = True
        for _ in range(2):
            failure = (await probe_cleanly(world, server)).failure
            assert failure is not None
            assert (failure.stage, failure.cause) == LOST
        assert database.user.encode() + b"\0" not in between.heard, "nor as a part of our own name"
        strict = (await probe_cleanly(world, with_database(server, tls=TlsMode.REQUIRE))).failure
        assert strict is not None
        assert (strict.stage, strict.cause) == (Stage.TLS, Cause.TLS_NOT_OFFERED)
        between.strip = False
        assert (await probe_cleanly(world, server)).ok


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_login_that_fails_after_tls_has_shown_tls_too(
    world: World, breakable: Breakable, engine: Engine
) -> None:
    server = world.server(breakable.of(engine), user="nobody-here")
    assert not (await probe_cleanly(world, server)).ok
    assert world.tools.known_tls.seen(server)
    assert stat.S_IMODE(world.paths.known_tls.stat().st_mode) == 0o600


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_database_that_never_had_tls_is_used_as_it_is(
    world: World, postgres: Postgres, mariadb: MariaDB, engine: Engine
) -> None:
    server = world.server(mariadb if engine is Engine.MYSQL else postgres)
    for _ in range(2):
        assert (await probe_cleanly(world, server)).ok
    assert not world.paths.known_tls.exists()


@pytest.mark.parametrize("mode", [0, 0o666])
async def test_a_file_that_is_none_of_ours_alone_is_said_and_no_password_goes_out(
    world: World, postgres: Postgres, mode: int
) -> None:
    """A folder cannot be read, by root neither; what others may write could have lost its lines."""
    if mode:
        world.paths.known_tls.touch()
        world.paths.known_tls.chmod(mode)
    else:
        world.paths.known_tls.mkdir()
    failure = (await probe_cleanly(world, world.server(postgres))).failure
    assert failure is not None
    assert (failure.stage, failure.cause) == (Stage.SETTINGS, Cause.SETTINGS_INVALID)
    assert "known_tls" in failure.detail


def a_server(host: str = "10.0.3.12", port: int = 5432, ssh: str = "me@bastion:22") -> Server:
    """Settings that name a database and the way to it."""
    user, _, rest = ssh.partition("@")
    way = SshServer(host=rest.split(":")[0], port=int(rest.split(":")[1]), user=user) if ssh else None
    return Server(name="s", engine=Engine.MYSQL, database=Database(host=host, port=port), ssh=way)


OTHERS = (
    a_server(host="10.0.3.13"),
    a_server(port=5433),
    a_server(ssh="you@bastion:22"),
    a_server(ssh="me@bastion:2222"),
    a_server(ssh="me@bastion2:22"),
    a_server(ssh=""),
    a_server(host="10.0.3.12 seen=", ssh=""),
)


def test_each_way_and_each_database_counts_for_itself(tmp_path: Path) -> None:
    known = KnownTls(tmp_path / "known_tls")
    known.add(a_server())
    assert known.seen(a_server())
    assert known.seen(msgspec.structs.replace(a_server(), name="other", engine=Engine.POSTGRESQL))
    assert [known.seen(other) for other in OTHERS] == [""] * len(OTHERS)
    for other in OTHERS:
        known.add(other)
    known.forget(a_server())
    assert not known.seen(a_server())
    assert all(known.seen(other) for other in OTHERS)


def test_lines_that_are_none_of_ours_stay_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "known_tls"
    odd = b"# a comment\r\n\xff\xfe not text\n\nme@bastion:22 10.0.3.12:5432\ndirect  x seen=\x1b[2J\n"
    path.write_bytes(odd)
    known = KnownTls(path)
    known.add(a_server())
    assert path.read_bytes().startswith(odd)
    known.add(a_server())
    known.forget(a_server())
    assert path.read_bytes() == odd


def test_programs_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    servers = [a_server(port=5000 + number) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda server: KnownTls(tmp_path / "known_tls").add(server), servers))
    known = KnownTls(tmp_path / "known_tls")
    assert all(known.seen(server) for server in servers)
    assert len((tmp_path / "known_tls").read_text().splitlines()) == len(servers)


def test_the_command_asks_and_then_lets_it_be_without(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    canary, server = Canary(world, monkeypatch, capfd), a_server()
    world.write(server)
    nothing = canary("trust", "s", "--no-tls")
    assert (nothing.status, "never been seen" in nothing.err) == (0, True)
    world.tools.known_tls.add(server)
    assert canary("trust", "s", "--no-tls", stdin="n\n").status == 1
    assert canary("trust", "s", "--no-tls").status == 130, "nobody answers"
    assert canary("trust", "s", "--no-tls", "--fingerprint", "SHA256:x").status == 2
    assert canary("trust", "s", "--yes").status == 2
    assert world.tools.known_tls.seen(server)
    asked = canary("trust", "s", "--no-tls", stdin="y\n")
    assert (asked.status, "10.0.3.12 port 5432 (me@bastion)" in asked.err) == (0, True)
    assert not world.tools.known_tls.seen(server)
    world.tools.known_tls.add(server)
    assert canary("trust", "s", "--no-tls", "--yes").status == 0
    assert not world.tools.known_tls.seen(server)


@pytest.mark.parametrize("mode", [mode for mode in TlsMode if mode.required])
def test_nothing_is_accepted_where_the_entry_insists_on_tls(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], mode: TlsMode
) -> None:
    canary, server = Canary(world, monkeypatch, capfd), with_database(a_server(), tls=mode)
    world.write(server)
    world.tools.known_tls.add(server)
    outcome = canary("trust", "s", "--no-tls", "--yes")
    assert (outcome.status, f"`tls: {mode.value}`" in outcome.err) == (2, True)
    assert world.tools.known_tls.seen(server)
