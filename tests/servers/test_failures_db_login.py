"""The matrix: the database answers, and lets this user not in with this."""

from __future__ import annotations

import socket
import struct
from functools import partial

import pytest

from canary_tui.databases.mysql.wire import packet
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, PasswordCommand, TlsMode
from tests.harness.misbehave import Says
from tests.servers.failure_case import Case, FailureCase
from tests.servers.failure_sql import sql
from tests.servers.tls_front import GREETING
from tests.servers.world import with_database

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage
SCRAM = "host all all 127.0.0.0/8 scram-sha-256"
CANARY = "'canary'@'ADDRESS'"
FAKE_GREETING = GREETING[:4] + GREETING[4:].replace(b"\xff\xff\xff\x02", b"\xff\xf7\xff\x02")
"""The same without TLS."""


def as_they_were(case: FailureCase) -> str:
    """What gives MariaDB's user back its password and what it may."""
    return (
        f"ALTER USER canary@'%' IDENTIFIED BY '{case.mariadb.password}' "
        "REQUIRE NONE PASSWORD EXPIRE NEVER ACCOUNT UNLOCK"
    )


async def wrong_password(engine: Engine, case: FailureCase, *, direct: bool = False) -> None:
    server = case.server(engine, direct=direct, password="not this one")
    await case.fails(server)
    assert "not this one" not in repr(case.failure)
    assert case.advice("canary password orders")
    case.world.password("orders", case.database(engine).password)
    await case.works(server)


async def password_changed_meanwhile(case: FailureCase) -> None:
    """What a command printed is kept; after a refusal it runs once more, without anybody's doing."""
    file = case.world.folder / "password"
    file.write_text("the old one\n")
    server = with_database(case.server(MY), password=PasswordCommand(("cat", str(file))))
    await case.fails(server)
    file.write_text(f"{case.mariadb.password}\n")
    await case.works(server)


async def new_password_is_set(case: FailureCase) -> None:
    server = case.server(MY, password="the new one")
    await case.fails(server)
    case.undo(case.mariadb.execute, as_they_were(case))
    remedy = case.advice(
        f"ALTER USER {CANARY} IDENTIFIED BY 'PASSWORD';", ADDRESS="%", PASSWORD="the new one"
    )
    case.mariadb.execute(remedy)
    await case.works(server)


async def unknown_user(engine: Engine, case: FailureCase) -> None:
    server = case.server(engine, user="nobody-here")
    await case.fails(server)
    listed = case.database(engine).execute(
        case.advice("SELECT rolname" if engine is PG else "SELECT user, host")
    )
    assert "canary" in listed
    assert "nobody-here" not in listed
    await case.works(with_database(server, user="canary"))


async def role_has_expired(case: FailureCase) -> None:
    over = "ALTER ROLE canary VALID UNTIL '2001-01-01'"
    sql(case, PG, over, "ALTER ROLE canary VALID UNTIL 'infinity'")
    server = case.server(PG)
    await case.fails(server)
    case.postgres.execute(case.advice("ALTER ROLE canary VALID UNTIL"))
    await case.works(server)


async def mariadb_wants_tls(case: FailureCase) -> None:
    """MariaDB says of a user who must use TLS that the password is wrong; so do the remedies, and more."""
    server = case.server(MY, tls=TlsMode.DISABLE)
    sql(case, MY, "ALTER USER canary@'%' REQUIRE SSL", as_they_were(case))
    await case.fails(server)
    await case.works(case.follow(server, "database.tls: require"))


async def mariadb_wants_tls_of_everybody(case: FailureCase) -> None:
    server = case.server(MY, tls=TlsMode.DISABLE)
    sql(case, MY, "SET GLOBAL require_secure_transport = ON", "SET GLOBAL require_secure_transport = OFF")
    await case.fails(server)
    await case.works(case.follow(server, "database.tls: require"))


async def mariadb_wants_a_certificate(case: FailureCase) -> None:
    """The wire cannot tell it from a wrong password: the remedies list it."""
    server = case.server(MY)
    sql(case, MY, "ALTER USER canary@'%' REQUIRE X509", as_they_were(case))
    await case.fails(server)
    case.mariadb.execute(case.advice(f"ALTER USER {CANARY} REQUIRE SSL;", ADDRESS="%"))
    await case.works(server)


async def no_login(case: FailureCase) -> None:
    sql(case, PG, "ALTER ROLE canary NOLOGIN", "ALTER ROLE canary LOGIN")
    server = case.server(PG)
    await case.fails(server)
    case.postgres.execute(case.advice("ALTER ROLE canary LOGIN;"))
    await case.works(server)


async def trusted_but_unknown(case: FailureCase) -> None:
    case.hba("host all all 127.0.0.0/8 trust")
    server = case.server(PG, user="stranger")
    await case.fails(server)
    assert any("set `database.user`" in line for line in case.failure.remedies)
    await case.works(with_database(server, user="canary"))


async def locked(case: FailureCase) -> None:
    sql(case, MY, "ALTER USER canary@'%' ACCOUNT LOCK", as_they_were(case))
    server = case.server(MY)
    await case.fails(server)
    case.mariadb.execute(case.advice(f"ALTER USER {CANARY} ACCOUNT UNLOCK;", ADDRESS="%"))
    await case.works(server)


async def expired(disconnect: str, case: FailureCase) -> None:
    """MariaDB lets such a user in for nothing but a new password, or does not."""
    switch = "SET GLOBAL disconnect_on_expired_password ="
    sql(case, MY, f"{switch} {disconnect}", f"{switch} OFF")
    sql(case, MY, "ALTER USER canary@'%' PASSWORD EXPIRE", as_they_were(case))
    server = case.server(MY)
    await case.fails(server)
    right = case.mariadb.password
    case.mariadb.execute(case.advice(f"ALTER USER {CANARY} IDENTIFIED BY", ADDRESS="%", PASSWORD=right))
    case.mariadb.execute(case.advice(f"ALTER USER {CANARY} PASSWORD EXPIRE NEVER;", ADDRESS="%"))
    await case.works(server)


async def hba_wants(method: str, case: FailureCase) -> None:
    case.hba(f"host all all 127.0.0.0/8 {method}")
    server = case.server(PG)
    await case.fails(server)
    case.hba_advice("host orders canary")
    await case.works(server)


async def mariadb_wants_one_of_two_plugins(case: FailureCase) -> None:
    case.mariadb.execute("INSTALL SONAME 'auth_ed25519'")
    case.undo(case.mariadb.execute, "UNINSTALL SONAME 'auth_ed25519'")
    password = case.mariadb.password
    for first, second in (("ed25519", "mysql_native_password"), ("mysql_native_password", "ed25519")):
        either = f"{first} USING PASSWORD('{password}') OR {second} USING PASSWORD('{password}')"
        sql(case, MY, f"ALTER USER canary@'%' IDENTIFIED VIA {either}", as_they_were(case))
        await case.works(case.server(MY))


async def library_is_missing(case: FailureCase) -> None:
    """An error of the session's beginning, not of the query; the remedy takes the role's setting back."""
    sql(
        case,
        PG,
        "ALTER ROLE canary SET session_preload_libraries = 'not_there'",
        "ALTER ROLE canary RESET session_preload_libraries",
    )
    server = case.server(PG)
    await case.fails(server)
    assert "not_there" in case.failure.detail
    case.postgres.execute(case.advice("ALTER ROLE canary RESET ALL;"))
    await case.works(server)


async def says_unavailable(case: FailureCase) -> None:
    """A hosted MySQL in offline mode, by its number: MariaDB has no such mode."""
    said = packet(b"\xff" + struct.pack("<H", 3032) + b"#HY000Der Server ist im Offline-Modus", 0)
    with Says(said, "close") as fake:
        server = with_database(case.server(MY, direct=True), host=fake.host, port=fake.port)
        await case.fails(server)
        assert case.failure.detail.endswith("(3032)")


async def mariadb_wants_another_plugin(case: FailureCase) -> None:
    case.mariadb.execute("INSTALL SONAME 'auth_ed25519'")
    case.undo(case.mariadb.execute, "UNINSTALL SONAME 'auth_ed25519'")
    modern = "ALTER USER canary@'%' IDENTIFIED VIA ed25519 USING PASSWORD('p')"
    sql(case, MY, modern, as_they_were(case))
    server = case.server(MY)
    await case.fails(server)
    assert case.advice(f"ALTER USER {CANARY} IDENTIFIED WITH")
    right = case.advice(
        "IDENTIFIED VIA mysql_native_password", **{"('PASSWORD')": f"('{case.mariadb.password}')"}
    )
    case.mariadb.execute(f"ALTER USER canary@'%' {right}")
    await case.works(server)


async def silent_radius(case: FailureCase) -> None:
    """PostgreSQL asks a RADIUS server that does not answer; the remedies name such a server."""
    with socket.socket(type=socket.SOCK_DGRAM) as radius:
        radius.bind(("127.0.0.1", 0))
        port = radius.getsockname()[1]
        case.hba(
            'host all all 127.0.0.0/8 radius radiusservers="127.0.0.1" radiussecrets="s" '
            f'radiusports="{port}"'
        )
        server = case.server(PG, timeout=1.0, allow_cleartext=True)
        await case.fails(server)
    assert any("RADIUS" in line for line in case.failure.remedies)
    case.postgres.set_hba([SCRAM])
    await case.works(server)


async def silent_after_the_greeting(case: FailureCase) -> None:
    """A fake: no MariaDB stops there on demand."""
    with Says(FAKE_GREETING) as fake:
        await case.fails(case.server(MY, port=fake.port, timeout=1.0))
    await case.works(case.server(MY))


REJECTED, UNSUPPORTED = C.PASSWORD_REJECTED, C.AUTH_METHOD_UNSUPPORTED
CASES = (
    *(
        Case(f"wrong password, {engine}", REJECTED, S.LOGIN, partial(wrong_password, engine))
        for engine in (PG, MY)
    ),
    *(
        Case(f"unknown user, {engine}", REJECTED, S.LOGIN, partial(unknown_user, engine))
        for engine in (PG, MY)
    ),
    Case("wrong password, direct", REJECTED, S.LOGIN, partial(wrong_password, PG, direct=True)),
    Case("the password was changed", REJECTED, S.LOGIN, password_changed_meanwhile),
    Case("a new password is set", REJECTED, S.LOGIN, new_password_is_set),
    Case("role's time is over", REJECTED, S.LOGIN, role_has_expired),
    Case("REQUIRE SSL", REJECTED, S.LOGIN, mariadb_wants_tls),
    Case("require_secure_transport", REJECTED, S.LOGIN, mariadb_wants_tls_of_everybody),
    Case("REQUIRE X509", REJECTED, S.LOGIN, mariadb_wants_a_certificate),
    Case("NOLOGIN", C.USER_NOT_ALLOWED, S.LOGIN, no_login),
    Case("trusted, and no such role", C.USER_NOT_ALLOWED, S.LOGIN, trusted_but_unknown),
    Case("ACCOUNT LOCK", C.USER_NOT_ALLOWED, S.LOGIN, locked),
    Case("PASSWORD EXPIRE", C.PASSWORD_EXPIRED, S.QUERY, partial(expired, "OFF")),
    Case("PASSWORD EXPIRE, disconnects", C.PASSWORD_EXPIRED, S.LOGIN, partial(expired, "ON")),
    Case("pg_hba.conf: gss", UNSUPPORTED, S.LOGIN, partial(hba_wants, "gss")),
    Case("ed25519", UNSUPPORTED, S.LOGIN, mariadb_wants_another_plugin),
    Case("pg_hba.conf: ident", UNSUPPORTED, S.LOGIN, partial(hba_wants, "ident")),
    Case("session_preload_libraries", C.LOGIN_REFUSED, S.LOGIN, library_is_missing),
    Case("offline mode", C.DATABASE_UNAVAILABLE, S.DATABASE, says_unavailable),
    Case("RADIUS is silent", C.LOGIN_TIMED_OUT, S.LOGIN, silent_radius),
    Case("silent after the greeting", C.LOGIN_TIMED_OUT, S.LOGIN, silent_after_the_greeting),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)


async def test_an_account_with_two_plugins_is_logged_in_by_the_one_that_is_known(
    failure_case: FailureCase,
) -> None:
    await mariadb_wants_one_of_two_plugins(failure_case)
