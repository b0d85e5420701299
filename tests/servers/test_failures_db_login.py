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
from tests.servers.matrix import Case
from tests.servers.scene import Scene, with_database
from tests.servers.test_databases import GREETING

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
C, S = Cause, Stage
SCRAM = "host all all 127.0.0.0/8 scram-sha-256"
CANARY = "'canary'@'ADDRESS'"
FAKE_GREETING = GREETING[:4] + GREETING[4:].replace(b"\xff\xff\xff\x02", b"\xff\xf7\xff\x02")
"""The same without TLS."""


def sql(scene: Scene, engine: Engine, broken: str, mended: str) -> None:
    """Break something by SQL, and mend it at the end, whatever the remedy did."""
    scene.real(engine).execute(broken)
    scene.undo.callback(scene.real(engine).execute, mended)


def as_they_were(scene: Scene) -> str:
    """What gives MariaDB's user back its password and what it may."""
    return (
        f"ALTER USER canary@'%' IDENTIFIED BY '{scene.mariadb.password}' "
        "REQUIRE NONE PASSWORD EXPIRE NEVER ACCOUNT UNLOCK"
    )


async def wrong_password(engine: Engine, scene: Scene, case: Case, *, direct: bool = False) -> None:
    server = scene.server(engine, direct=direct, password="not this one")
    await scene.fails(server, case)
    assert "not this one" not in repr(scene.failure)
    assert scene.advice("canary password orders")
    scene.world.password("orders", scene.real(engine).password)
    await scene.passes(server)


async def password_changed_meanwhile(scene: Scene, case: Case) -> None:
    """What a command printed is kept; after a refusal it runs once more, without anybody's doing."""
    file = scene.world.folder / "password"
    file.write_text("the old one\n")
    server = with_database(scene.server(MY), password=PasswordCommand(("cat", str(file))))
    await scene.fails(server, case)
    file.write_text(f"{scene.mariadb.password}\n")
    await scene.passes(server)


async def new_password_is_set(scene: Scene, case: Case) -> None:
    server = scene.server(MY, password="the new one")
    await scene.fails(server, case)
    scene.undo.callback(scene.mariadb.execute, as_they_were(scene))
    remedy = scene.advice(
        f"ALTER USER {CANARY} IDENTIFIED BY 'PASSWORD';", ADDRESS="%", PASSWORD="the new one"
    )
    scene.mariadb.execute(remedy)
    await scene.passes(server)


async def unknown_user(engine: Engine, scene: Scene, case: Case) -> None:
    server = scene.server(engine, user="nobody-here")
    await scene.fails(server, case)
    listed = scene.real(engine).execute(
        scene.advice("SELECT rolname" if engine is PG else "SELECT user, host")
    )
    assert "canary" in listed
    assert "nobody-here" not in listed
    await scene.passes(with_database(server, user="canary"))


async def role_has_expired(scene: Scene, case: Case) -> None:
    over = "ALTER ROLE canary VALID UNTIL '2001-01-01'"
    sql(scene, PG, over, "ALTER ROLE canary VALID UNTIL 'infinity'")
    server = scene.server(PG)
    await scene.fails(server, case)
    scene.postgres.execute(scene.advice("ALTER ROLE canary VALID UNTIL"))
    await scene.passes(server)


async def mariadb_wants_tls(scene: Scene, case: Case) -> None:
    """MariaDB says of a user who must use TLS that the password is wrong; so do the remedies, and more."""
    server = scene.server(MY, tls=TlsMode.DISABLE)
    sql(scene, MY, "ALTER USER canary@'%' REQUIRE SSL", as_they_were(scene))
    await scene.fails(server, case)
    await scene.passes(scene.follow(server, "database.tls: require"))


async def mariadb_wants_tls_of_everybody(scene: Scene, case: Case) -> None:
    server = scene.server(MY, tls=TlsMode.DISABLE)
    sql(scene, MY, "SET GLOBAL require_secure_transport = ON", "SET GLOBAL require_secure_transport = OFF")
    await scene.fails(server, case)
    await scene.passes(scene.follow(server, "database.tls: require"))


async def mariadb_wants_a_certificate(scene: Scene, case: Case) -> None:
    """The wire cannot tell it from a wrong password: the remedies list it."""
    server = scene.server(MY)
    sql(scene, MY, "ALTER USER canary@'%' REQUIRE X509", as_they_were(scene))
    await scene.fails(server, case)
    scene.mariadb.execute(scene.advice(f"ALTER USER {CANARY} REQUIRE SSL;", ADDRESS="%"))
    await scene.passes(server)


async def no_login(scene: Scene, case: Case) -> None:
    sql(scene, PG, "ALTER ROLE canary NOLOGIN", "ALTER ROLE canary LOGIN")
    server = scene.server(PG)
    await scene.fails(server, case)
    scene.postgres.execute(scene.advice("ALTER ROLE canary LOGIN;"))
    await scene.passes(server)


async def trusted_but_unknown(scene: Scene, case: Case) -> None:
    scene.hba("host all all 127.0.0.0/8 trust")
    server = scene.server(PG, user="stranger")
    await scene.fails(server, case)
    assert any("set `database.user`" in line for line in scene.failure.remedies)
    await scene.passes(with_database(server, user="canary"))


async def locked(scene: Scene, case: Case) -> None:
    sql(scene, MY, "ALTER USER canary@'%' ACCOUNT LOCK", as_they_were(scene))
    server = scene.server(MY)
    await scene.fails(server, case)
    scene.mariadb.execute(scene.advice(f"ALTER USER {CANARY} ACCOUNT UNLOCK;", ADDRESS="%"))
    await scene.passes(server)


async def expired(disconnect: str, scene: Scene, case: Case) -> None:
    """MariaDB lets such a user in for nothing but a new password, or does not."""
    switch = "SET GLOBAL disconnect_on_expired_password ="
    sql(scene, MY, f"{switch} {disconnect}", f"{switch} OFF")
    sql(scene, MY, "ALTER USER canary@'%' PASSWORD EXPIRE", as_they_were(scene))
    server = scene.server(MY)
    await scene.fails(server, case)
    right = scene.mariadb.password
    scene.mariadb.execute(scene.advice(f"ALTER USER {CANARY} IDENTIFIED BY", ADDRESS="%", PASSWORD=right))
    scene.mariadb.execute(scene.advice(f"ALTER USER {CANARY} PASSWORD EXPIRE NEVER;", ADDRESS="%"))
    await scene.passes(server)


async def hba_wants(method: str, scene: Scene, case: Case) -> None:
    scene.hba(f"host all all 127.0.0.0/8 {method}")
    server = scene.server(PG)
    await scene.fails(server, case)
    scene.hba_advice("host orders canary")
    await scene.passes(server)


async def mariadb_wants_one_of_two_plugins(scene: Scene) -> None:
    scene.mariadb.execute("INSTALL SONAME 'auth_ed25519'")
    scene.undo.callback(scene.mariadb.execute, "UNINSTALL SONAME 'auth_ed25519'")
    password = scene.mariadb.password
    for first, second in (("ed25519", "mysql_native_password"), ("mysql_native_password", "ed25519")):
        either = f"{first} USING PASSWORD('{password}') OR {second} USING PASSWORD('{password}')"
        sql(scene, MY, f"ALTER USER canary@'%' IDENTIFIED VIA {either}", as_they_were(scene))
        await scene.passes(scene.server(MY))


async def library_is_missing(scene: Scene, case: Case) -> None:
    """An error of the session's beginning, not of the query; the remedy takes the role's setting back."""
    sql(
        scene,
        PG,
        "ALTER ROLE canary SET session_preload_libraries = 'not_there'",
        "ALTER ROLE canary RESET session_preload_libraries",
    )
    server = scene.server(PG)
    await scene.fails(server, case)
    assert "not_there" in scene.failure.detail
    scene.postgres.execute(scene.advice("ALTER ROLE canary RESET ALL;"))
    await scene.passes(server)


async def says_unavailable(scene: Scene, case: Case) -> None:
    """A hosted MySQL in offline mode, by its number: MariaDB has no such mode."""
    said = packet(b"\xff" + struct.pack("<H", 3032) + b"#HY000Der Server ist im Offline-Modus", 0)
    with Says(said, "close") as fake:
        server = with_database(scene.server(MY, direct=True), host=fake.host, port=fake.port)
        await scene.fails(server, case)
        assert scene.failure.detail.endswith("(3032)")


async def mariadb_wants_another_plugin(scene: Scene, case: Case) -> None:
    scene.mariadb.execute("INSTALL SONAME 'auth_ed25519'")
    scene.undo.callback(scene.mariadb.execute, "UNINSTALL SONAME 'auth_ed25519'")
    modern = "ALTER USER canary@'%' IDENTIFIED VIA ed25519 USING PASSWORD('p')"
    sql(scene, MY, modern, as_they_were(scene))
    server = scene.server(MY)
    await scene.fails(server, case)
    assert scene.advice(f"ALTER USER {CANARY} IDENTIFIED WITH")
    right = scene.advice(
        "IDENTIFIED VIA mysql_native_password", **{"('PASSWORD')": f"('{scene.mariadb.password}')"}
    )
    scene.mariadb.execute(f"ALTER USER canary@'%' {right}")
    await scene.passes(server)


async def no_such_database(engine: Engine, scene: Scene, case: Case) -> None:
    server = with_database(scene.server(engine), name="stock_2026")
    database = scene.real(engine)
    if engine is MY:  # who has no right to it is told nothing of its existence
        sql(scene, MY, "GRANT ALL ON `stock%`.* TO canary@'%'", "REVOKE ALL ON `stock%`.* FROM canary@'%'")
    await scene.fails(server, case)
    assert "stock_2026" not in database.execute(
        scene.advice("SELECT datname" if engine is PG else "SHOW DATABASES")
    )
    scene.undo.callback(database.execute, "DROP DATABASE stock_2026")
    database.execute(scene.advice("CREATE DATABASE stock_2026;"))
    await scene.passes(server)


async def may_not_connect(scene: Scene, case: Case) -> None:
    sql(scene, PG, "CREATE DATABASE vault", "DROP DATABASE vault WITH (FORCE)")
    scene.postgres.execute("REVOKE CONNECT ON DATABASE vault FROM PUBLIC")
    server = with_database(scene.server(PG), name="vault")
    await scene.fails(server, case)
    scene.postgres.execute(scene.advice("GRANT CONNECT ON DATABASE vault TO canary;"))
    await scene.passes(server)


async def takes_no_connections(scene: Scene, case: Case) -> None:
    sql(scene, PG, "CREATE DATABASE vault", "DROP DATABASE vault WITH (FORCE)")
    scene.postgres.execute("ALTER DATABASE vault ALLOW_CONNECTIONS false")
    server = with_database(scene.server(PG), name="vault")
    await scene.fails(server, case)
    scene.postgres.execute(scene.advice("ALTER DATABASE vault ALLOW_CONNECTIONS true;"))
    await scene.passes(server)


async def mariadb_grants_nothing(scene: Scene, case: Case) -> None:
    sql(scene, MY, "CREATE DATABASE vault", "DROP DATABASE vault")
    server = with_database(scene.server(MY), name="vault")
    await scene.fails(server, case)
    scene.undo.callback(scene.mariadb.execute, "REVOKE ALL ON vault.* FROM canary@'%'")
    scene.mariadb.execute(scene.advice(f"GRANT SELECT ON vault.* TO {CANARY};", ADDRESS="%"))
    await scene.passes(server)


async def silent_radius(scene: Scene, case: Case) -> None:
    """PostgreSQL asks a RADIUS server that does not answer; the remedies name such a server."""
    with socket.socket(type=socket.SOCK_DGRAM) as radius:
        radius.bind(("127.0.0.1", 0))
        port = radius.getsockname()[1]
        scene.hba(
            'host all all 127.0.0.0/8 radius radiusservers="127.0.0.1" radiussecrets="s" '
            f'radiusports="{port}"'
        )
        server = scene.server(PG, timeout=1.0, allow_cleartext=True)
        await scene.fails(server, case)
    assert any("RADIUS" in line for line in scene.failure.remedies)
    scene.postgres.set_hba([SCRAM])
    await scene.passes(server)


async def silent_after_the_greeting(scene: Scene, case: Case) -> None:
    """A fake: no MariaDB stops there on demand."""
    with Says(FAKE_GREETING) as fake:
        await scene.fails(scene.server(MY, port=fake.port, timeout=1.0), case)
    await scene.passes(scene.server(MY))


REJECTED, UNSUPPORTED, DENIED = C.PASSWORD_REJECTED, C.AUTH_METHOD_UNSUPPORTED, C.DATABASE_ACCESS_DENIED
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
    *(
        Case(f"no such database, {engine}", C.DATABASE_NOT_FOUND, S.LOGIN, partial(no_such_database, engine))
        for engine in (PG, MY)
    ),
    Case("no CONNECT", DENIED, S.LOGIN, may_not_connect),
    Case("ALLOW_CONNECTIONS false", DENIED, S.LOGIN, takes_no_connections),
    Case("no grant", DENIED, S.LOGIN, mariadb_grants_nothing),
    Case("RADIUS is silent", C.LOGIN_TIMED_OUT, S.LOGIN, silent_radius),
    Case("silent after the greeting", C.LOGIN_TIMED_OUT, S.LOGIN, silent_after_the_greeting),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_failure_is_named_and_its_remedy_mends_it(case: Case, scene: Scene) -> None:
    await case.run(scene, case)


async def test_an_account_with_two_plugins_is_logged_in_by_the_one_that_is_known(scene: Scene) -> None:
    await mariadb_wants_one_of_two_plugins(scene)
