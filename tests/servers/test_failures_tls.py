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
from tests.servers.failure_case import Case, FailureCase
from tests.servers.tls_front import GREETING, TlsFront
from tests.servers.world import with_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from canary_tui.servers.model import Server

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage
DAY = dt.timedelta(days=1)
TLS_ONLY = "hostssl all all 127.0.0.0/8 scram-sha-256"
BEGINS_TLS = {PG: b"S", MY: GREETING}
"""What a database says before it waits for our TLS."""


async def not_offered(engine: Engine, mode: TlsMode, case: FailureCase) -> None:
    """The two remedies: do without where the way is trusted, or switch it on."""
    server = case.server(engine, tls=mode, ca_file=str(case.authority.ca))
    with case.beside():
        if engine is PG:
            case.undo(case.postgres.execute, "ALTER SYSTEM RESET ssl")
            case.restarted(PG, ssl="off")
        else:
            case.restarted(MY, ssl="0")
        await case.fails(server)
        await case.works(case.follow(server, "database.tls: prefer"))
        if engine is PG:
            name, value = case.advice("ssl = on").split(" = ")
            case.postgres.settings[name] = value
            case.postgres.reload()
            await case.works(server)
    await case.works(server)


async def downgraded(engine: Engine, case: FailureCase, *, direct: bool = False) -> None:
    """A database whose TLS is switched off. Three ways out: switch it on, do without, or say so."""
    server = case.server(engine, direct=direct)
    await case.works(server)
    with case.beside():
        if engine is PG:
            case.undo(case.postgres.execute, "ALTER SYSTEM RESET ssl")
            case.restarted(PG, ssl="off")
        else:
            case.restarted(MY, ssl="0")
        logins = case.database(engine).logins_seen()
        await case.fails(server)
        await case.fails(server)
        assert case.database(engine).logins_seen() == logins
        await case.works(with_database(server, tls=TlsMode.DISABLE))
        assert case.advice("canary trust orders --no-tls")
        assert no_tls.accept(server, case.world.tools, yes=True) == 0
        await case.works(server)
    await case.works(server)
    assert case.world.tools.known_tls.seen(server)


async def required(case: FailureCase) -> None:
    server = case.server(PG, tls=TlsMode.DISABLE)
    case.hba(TLS_ONLY)
    await case.fails(server)
    await case.works(case.follow(server, "database.tls: require"))
    case.hba_advice("host orders canary")
    await case.works(server)


async def mysql_requires(case: FailureCase) -> None:
    """A fake: MySQL has a number of its own for it (3159), MariaDB says that the password is wrong."""
    words = b"#HY000Connections using insecure transport are prohibited"
    said = GREETING + packet(b"\xff" + (3159).to_bytes(2, "little") + words, 2)
    with Says(said, "close") as fake:
        await case.fails(case.server(MY, tls=TlsMode.DISABLE, port=fake.port))
    assert case.advice("ALTER USER 'canary'@'ADDRESS' REQUIRE NONE;")
    await case.works(case.follow(case.server(MY, tls=TlsMode.DISABLE), "database.tls: require"))


async def untrusted(engine: Engine, case: FailureCase, *, direct: bool = False) -> None:
    server = case.server(engine, direct=direct, host="localhost", tls=TlsMode.VERIFY_FULL)
    await case.fails(server)
    assert "self-signed certificate in certificate chain" in case.failure.detail
    await case.works(case.follow(server, "database.tls: require"))
    assert case.advice("database.ca_file")
    trusted = case.server(engine, host="localhost", tls=TlsMode.VERIFY_FULL, ca_file=str(case.authority.ca))
    await case.works(trusted)


async def too_weak(engine: Engine, case: FailureCase) -> None:
    """A case-in shows it: databases refuse to load such a certificate by themselves."""

    def verified(port: int) -> Server:
        ca_file = str(case.authority.ca)
        return case.server(engine, host="localhost", tls=TlsMode.VERIFY_FULL, ca_file=ca_file, port=port)

    with TlsFront(engine, case.authority, weak=True) as front:
        await case.fails(verified(front.address[1]))
    assert case.advice("openssl x509", "Signature Algorithm")
    await case.works(verified(case.database(engine).port))


async def other_name(engine: Engine, case: FailureCase) -> None:
    server = case.server(engine, tls=TlsMode.VERIFY_FULL, ca_file=str(case.authority.ca))
    await case.fails(server)
    assert "DNS:localhost" in run(["bash", "-c", case.advice("openssl s_client")])
    await case.works(case.follow(server, "database.tls: verify-ca"))
    case.certificate(engine, case.authority.issue([case.advice("IP:").removeprefix("IP:")]))
    await case.works(server)


async def outside_its_dates(engine: Engine, case: FailureCase, *, early: bool) -> None:
    """The remedy is followed in the database: another file, and the command that has it read."""
    server = case.server(engine, host="localhost", tls=TlsMode.VERIFY_FULL, ca_file=str(case.authority.ca))
    now = dt.datetime.now(dt.UTC)
    days = (now + DAY, now + 2 * DAY) if early else (now - 2 * DAY, now - DAY)
    with case.beside():
        shown = case.authority.issue(["localhost"], not_before=days[0], not_after=days[1])
        case.certificate(engine, shown)
        await case.fails(server)
        if engine is PG:
            assert case.postgres.execute(case.advice("SHOW ssl_cert_file;")) == "server.crt"
            assert case.advice("SELECT pg_reload_conf();")
        else:
            assert "server.crt" in case.mariadb.execute(case.advice("SHOW VARIABLES LIKE 'ssl_cert'"))
            assert case.advice("FLUSH SSL;")
    await case.works(server)


async def client_certificate(line: str, case: FailureCase) -> None:
    server = case.server(PG)
    case.hba(line)
    await case.fails(server)
    case.hba_advice("hostssl orders canary")
    await case.works(server)


async def client_certificate_in_the_handshake(engine: Engine, case: FailureCase) -> None:
    """A fake in front of a database: MariaDB and PostgreSQL themselves ask only later, at the login."""
    with TlsFront(engine, case.authority) as front:
        await case.fails(case.server(engine, tls=TlsMode.REQUIRE, port=front.address[1]))
    await case.works(case.server(engine, tls=TlsMode.REQUIRE))


async def old_protocol_only(engine: Engine, case: FailureCase) -> None:
    server = case.server(engine, tls=TlsMode.REQUIRE)
    with case.beside():
        if engine is PG:
            case.restarted(PG, ssl_min_protocol_version="TLSv1", ssl_max_protocol_version="TLSv1.1")
        else:
            case.restarted(MY, **{"tls-version": "TLSv1.1"})
        await case.fails(server)
        if engine is PG:
            name, value = case.advice("ssl_min_protocol_version = ").split(" = ")
            case.postgres.settings = {name: value.strip("'")}
            case.postgres.reload()
        else:
            name, value = case.advice("tls_version = ").split(" = ")
            case.mariadb.settings = {name: value}
            case.mariadb.restart()
        await case.works(server)


async def nonsense_in_the_handshake(engine: Engine, case: FailureCase) -> None:
    """A fake: what it says in answer to our TLS is no TLS."""
    with Then(BEGINS_TLS[engine], b"\x00" * 64, greets=engine is MY) as fake:
        await case.fails(case.server(engine, tls=TlsMode.REQUIRE, port=fake.port))
    await case.works(case.server(engine, tls=TlsMode.REQUIRE))


async def closes_in_the_handshake(engine: Engine, case: FailureCase) -> None:
    """A fake: it goes away in answer to our TLS."""
    with Then(BEGINS_TLS[engine], b"", greets=engine is MY) as fake:
        await case.fails(case.server(engine, tls=TlsMode.REQUIRE, port=fake.port))
    await case.works(case.server(engine, tls=TlsMode.REQUIRE))


async def silence_in_the_handshake(engine: Engine, case: FailureCase) -> None:
    """A fake: no database stops half-way on demand."""
    with Says(BEGINS_TLS[engine], after_client=engine is PG) as fake:
        await case.fails(case.server(engine, tls=TlsMode.REQUIRE, port=fake.port, timeout=1.0))
    await case.works(case.server(engine, tls=TlsMode.REQUIRE))


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
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)
