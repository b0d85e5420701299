"""The matrix: TLS between the database and us."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest

from canary_tui.cli import no_tls
from canary_tui.databases.mysql.wire import packet
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.misbehave import Says
from tests.harness.process import run
from tests.servers.matrix import Case
from tests.servers.scene import Scene, with_database
from tests.servers.test_databases import GREETING, TlsFront

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from canary_tui.servers.model import Server

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage
DAY = dt.timedelta(days=1)
TLS_ONLY = "hostssl all all 127.0.0.0/8 scram-sha-256"
BEGINS_TLS = {PG: b"S", MY: GREETING}
"""What a database says before it waits for our TLS."""


async def not_offered(engine: Engine, mode: TlsMode, scene: Scene, case: Case) -> None:
    """The two remedies: do without where the way is trusted, or switch it on."""
    server = scene.server(engine, tls=mode, ca_file=str(scene.authority.ca))
    with scene.beside():
        if engine is PG:
            scene.undo.callback(scene.postgres.execute, "ALTER SYSTEM RESET ssl")
            scene.restarted(PG, ssl="off")
        else:
            scene.restarted(MY, ssl="0")
        await scene.fails(server, case)
        await scene.passes(scene.follow(server, "database.tls: prefer"))
        if engine is PG:
            name, value = scene.advice("ssl = on").split(" = ")
            scene.postgres.settings[name] = value
            scene.postgres.reload()
            await scene.passes(server)
    await scene.passes(server)


async def downgraded(engine: Engine, scene: Scene, case: Case, *, direct: bool = False) -> None:
    """A database whose TLS is switched off. Three ways out: switch it on, do without, or say so."""
    server = scene.server(engine, direct=direct)
    await scene.passes(server)
    with scene.beside():
        if engine is PG:
            scene.undo.callback(scene.postgres.execute, "ALTER SYSTEM RESET ssl")
            scene.restarted(PG, ssl="off")
        else:
            scene.restarted(MY, ssl="0")
        logins = scene.real(engine).logins_seen()
        await scene.fails(server, case)
        await scene.fails(server, case)
        assert scene.real(engine).logins_seen() == logins
        await scene.passes(with_database(server, tls=TlsMode.DISABLE))
        assert scene.advice("canary trust orders --no-tls")
        assert no_tls.accept(server, scene.world.tools, yes=True) == 0
        await scene.passes(server)
    await scene.passes(server)
    assert scene.world.tools.known_tls.seen(server)


async def required(scene: Scene, case: Case) -> None:
    server = scene.server(PG, tls=TlsMode.DISABLE)
    scene.hba(TLS_ONLY)
    await scene.fails(server, case)
    await scene.passes(scene.follow(server, "database.tls: require"))
    scene.hba_advice("host orders canary")
    await scene.passes(server)


async def mysql_requires(scene: Scene, case: Case) -> None:
    """A fake: MySQL has a number of its own for it (3159), MariaDB says that the password is wrong."""
    words = b"#HY000Connections using insecure transport are prohibited"
    said = GREETING + packet(b"\xff" + (3159).to_bytes(2, "little") + words, 2)
    with Says(said, "close") as fake:
        await scene.fails(scene.server(MY, tls=TlsMode.DISABLE, port=fake.port), case)
    assert scene.advice("ALTER USER 'canary'@'ADDRESS' REQUIRE NONE;")
    await scene.passes(scene.follow(scene.server(MY, tls=TlsMode.DISABLE), "database.tls: require"))


async def untrusted(engine: Engine, scene: Scene, case: Case, *, direct: bool = False) -> None:
    server = scene.server(engine, direct=direct, host="localhost", tls=TlsMode.VERIFY_FULL)
    await scene.fails(server, case)
    assert "self-signed certificate in certificate chain" in scene.failure.detail
    await scene.passes(scene.follow(server, "database.tls: require"))
    assert scene.advice("database.ca_file")
    trusted = scene.server(engine, host="localhost", tls=TlsMode.VERIFY_FULL, ca_file=str(scene.authority.ca))
    await scene.passes(trusted)


async def too_weak(engine: Engine, scene: Scene, case: Case) -> None:
    """A stand-in shows it: databases refuse to load such a certificate by themselves."""

    def verified(port: int) -> Server:
        ca_file = str(scene.authority.ca)
        return scene.server(engine, host="localhost", tls=TlsMode.VERIFY_FULL, ca_file=ca_file, port=port)

    with TlsFront(engine, scene.authority, weak=True) as front:
        await scene.fails(verified(front.address[1]), case)
    assert scene.advice("openssl x509")
    await scene.passes(verified(scene.real(engine).port))


async def other_name(engine: Engine, scene: Scene, case: Case) -> None:
    server = scene.server(engine, tls=TlsMode.VERIFY_FULL, ca_file=str(scene.authority.ca))
    await scene.fails(server, case)
    assert "DNS:localhost" in run(["bash", "-c", scene.advice("openssl s_client")])
    await scene.passes(scene.follow(server, "database.tls: verify-ca"))
    scene.certificate(engine, scene.authority.issue([scene.advice("IP:").removeprefix("IP:")]))
    await scene.passes(server)


async def outside_its_dates(engine: Engine, scene: Scene, case: Case, *, early: bool) -> None:
    """The remedy is followed in the database: another file, and the command that has it read."""
    server = scene.server(engine, host="localhost", tls=TlsMode.VERIFY_FULL, ca_file=str(scene.authority.ca))
    now = dt.datetime.now(dt.UTC)
    days = {"not_before": now + DAY} if early else {"not_after": now - DAY}
    with scene.beside():
        scene.certificate(engine, scene.authority.issue(["localhost"], **days))  # type: ignore[arg-type]
        await scene.fails(server, case)
        if engine is PG:
            assert scene.postgres.execute(scene.advice("SHOW ssl_cert_file;")) == "server.crt"
            assert scene.advice("SELECT pg_reload_conf();")
        else:
            assert "server.crt" in scene.mariadb.execute(scene.advice("SHOW VARIABLES LIKE 'ssl_cert'"))
            assert scene.advice("FLUSH SSL;")
    await scene.passes(server)


async def client_certificate(line: str, scene: Scene, case: Case) -> None:
    server = scene.server(PG)
    scene.hba(line)
    await scene.fails(server, case)
    scene.hba_advice("hostssl orders canary")
    await scene.passes(server)


async def client_certificate_in_the_handshake(engine: Engine, scene: Scene, case: Case) -> None:
    """A fake in front of a database: MariaDB and PostgreSQL themselves ask only later, at the login."""
    with TlsFront(engine, scene.authority) as front:
        await scene.fails(scene.server(engine, tls=TlsMode.REQUIRE, port=front.address[1]), case)
    await scene.passes(scene.server(engine, tls=TlsMode.REQUIRE))


async def old_protocol_only(engine: Engine, scene: Scene, case: Case) -> None:
    server = scene.server(engine, tls=TlsMode.REQUIRE)
    with scene.beside():
        if engine is PG:
            scene.restarted(PG, ssl_min_protocol_version="TLSv1", ssl_max_protocol_version="TLSv1.1")
        else:
            scene.restarted(MY, **{"tls-version": "TLSv1.1"})
        await scene.fails(server, case)
        if engine is PG:
            name, value = scene.advice("ssl_min_protocol_version = ").split(" = ")
            scene.postgres.settings = {name: value.strip("'")}
            scene.postgres.reload()
        else:
            name, value = scene.advice("tls_version = ").split(" = ")
            scene.mariadb.settings = {name: value}
            scene.mariadb.restart()
        await scene.passes(server)


async def nonsense_in_the_handshake(engine: Engine, scene: Scene, case: Case) -> None:
    """A fake: what it says in answer to our TLS is no TLS."""
    with Then(BEGINS_TLS[engine], b"\x00" * 64, greets=engine is MY) as fake:
        await scene.fails(scene.server(engine, tls=TlsMode.REQUIRE, port=fake.port), case)
    await scene.passes(scene.server(engine, tls=TlsMode.REQUIRE))


async def closes_in_the_handshake(engine: Engine, scene: Scene, case: Case) -> None:
    """A fake: it goes away in answer to our TLS."""
    with Then(BEGINS_TLS[engine], b"", greets=engine is MY) as fake:
        await scene.fails(scene.server(engine, tls=TlsMode.REQUIRE, port=fake.port), case)
    await scene.passes(scene.server(engine, tls=TlsMode.REQUIRE))


async def silence_in_the_handshake(engine: Engine, scene: Scene, case: Case) -> None:
    """A fake: no database stops half-way on demand."""
    with Says(BEGINS_TLS[engine], after_client=engine is PG) as fake:
        await scene.fails(scene.server(engine, tls=TlsMode.REQUIRE, port=fake.port, timeout=1.0), case)
    await scene.passes(scene.server(engine, tls=TlsMode.REQUIRE))


class Then(Says):
    """Says ``begin``, at once or when spoken to, and ``more`` to what comes then; closes after that."""

    def __init__(self, begin: bytes, more: bytes, *, greets: bool) -> None:
        super().__init__(begin, "close", after_client=not greets)
        self.more = more

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if self.after_client:
            self.received += await loop.sock_recv(client, 65_536)
        await loop.sock_sendall(client, self.data)
        self.received += await loop.sock_recv(client, 65_536)
        await loop.sock_sendall(client, self.more)
        client.shutdown(socket.SHUT_WR)
        await self._listen_to(client)


def _each(name: str, cause: Cause, run: Callable[..., Awaitable[None]]) -> tuple[Case, ...]:
    """A way that both engines know."""
    return tuple(Case(f"{name}, {engine}", cause, S.TLS, partial(run, engine)) for engine in (PG, MY))


CERTIFICATE = C.CLIENT_CERTIFICATE_REQUIRED
CASES = (
    *(
        Case(f"not offered, {engine} {mode}", C.TLS_NOT_OFFERED, S.TLS, partial(not_offered, engine, mode))
        for engine, mode in ((PG, TlsMode.REQUIRE), (MY, TlsMode.REQUIRE), (PG, TlsMode.VERIFY_CA))
    ),
    *_each("no longer offered", C.TLS_DOWNGRADED, downgraded),
    Case("no longer offered, direct", C.TLS_DOWNGRADED, S.TLS, partial(downgraded, MY, direct=True)),
    Case("required, PostgreSQL", C.TLS_REQUIRED, S.TLS, required),
    Case("required, MySQL", C.TLS_REQUIRED, S.LOGIN, mysql_requires),
    *_each("untrusted", C.CERTIFICATE_UNTRUSTED, untrusted),
    Case("untrusted, direct", C.CERTIFICATE_UNTRUSTED, S.TLS, partial(untrusted, MY, direct=True)),
    *_each("signed with SHA-1", C.CERTIFICATE_TOO_WEAK, too_weak),
    *_each("other name", C.CERTIFICATE_NAME_MISMATCH, other_name),
    *_each("expired", C.CERTIFICATE_EXPIRED, partial(outside_its_dates, early=False)),
    *_each("not yet valid", C.CERTIFICATE_EXPIRED, partial(outside_its_dates, early=True)),
    Case(
        "client certificate, clientcert=",
        CERTIFICATE,
        S.LOGIN,
        partial(client_certificate, f"{TLS_ONLY} clientcert=verify-ca"),
    ),
    Case(
        "client certificate, cert",
        CERTIFICATE,
        S.LOGIN,
        partial(client_certificate, "hostssl all all 127.0.0.0/8 cert"),
    ),
    *(
        Case(
            f"client certificate in TLS, {engine}",
            CERTIFICATE,
            S.LOGIN,
            partial(client_certificate_in_the_handshake, engine),
        )
        for engine in (PG, MY)
    ),
    *_each("only TLS 1.1", C.TLS_FAILED, old_protocol_only),
    *_each("nonsense", C.TLS_FAILED, nonsense_in_the_handshake),
    *_each("closes", C.TLS_FAILED, closes_in_the_handshake),
    *_each("silence", C.TLS_TIMED_OUT, silence_in_the_handshake),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, scene: Scene) -> None:
    await case.run(scene, case)
