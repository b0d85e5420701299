"""The matrix: the password is asked for in a form that the server can read."""

from __future__ import annotations

from functools import partial

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine
from tests.harness.mysql8 import Mysql8
from tests.harness.ports import free_port
from tests.servers.failure_case import Case, FailureCase
from tests.servers.world import with_database

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage


async def hba_wants_it_in_clear(case: FailureCase, *, direct: bool = False) -> None:
    """Three ways out: TLS that verifies, a method that asks for a proof, or saying so."""
    server = case.server(PG, direct=direct, host="localhost", ca_file=str(case.authority.ca))
    with case.beside():
        case.hba("host all all 127.0.0.0/8 password")
        await case.fails(server)
        await case.works(case.follow(server, "database.tls: verify-full"))
        assert case.advice("database.allow_cleartext: true")
        await case.works(with_database(server, allow_cleartext=True))
        assert case.advice("scram-sha-256")
    await case.works(server)


async def mysql_wants_it(plugin: str, case: FailureCase) -> None:
    """A case-in: Debian has no MySQL 8."""
    with Mysql8(plugin, "secret", tls=case.authority.issue(["another.internal"])) as fake:
        server = case.server(MY, port=fake.port, password="secret")
        await case.fails(server)
        assert fake.shown == []
        followed = case.follow(server, "database.tls: verify-ca")
        await case.works(with_database(followed, ca_file=str(case.authority.ca)))


async def ldap_is_asked(case: FailureCase) -> None:
    """An LDAP server that is down: a password in the database is no way out, another line is."""
    ldap = f'ldapserver=127.0.0.1 ldapport={free_port()} ldapprefix="uid="'
    case.hba(f"host all all 127.0.0.0/8 ldap {ldap}")
    server = case.server(PG, allow_cleartext=True)
    await case.fails(server)
    assert not any("\\password" in remedy for remedy in case.failure.remedies)
    case.hba_advice("host orders canary")
    await case.works(server)


CASES = (
    Case("pg_hba.conf: ldap", C.PASSWORD_REJECTED, S.LOGIN, ldap_is_asked),
    Case("pg_hba.conf: password", C.PASSWORD_NOT_SENT, S.LOGIN, hba_wants_it_in_clear),
    *(
        Case(plugin, C.PASSWORD_NOT_SENT, S.LOGIN, partial(mysql_wants_it, plugin))
        for plugin in ("mysql_clear_password", "sha256_password", "caching_sha2_password")
    ),
    Case("password, direct", C.PASSWORD_NOT_SENT, S.LOGIN, partial(hba_wants_it_in_clear, direct=True)),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)
