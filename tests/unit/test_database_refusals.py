"""A database's refusal is told by its numbers first; what nobody has listed is one with its own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.databases.mysql import refusals as mysql_refusals
from canary_tui.databases.postgresql import refusals as postgresql_refusals
from canary_tui.databases.postgresql.refusals import Refusal
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.backoff import retry_of_probe

C = Cause
METHOD = C.AUTH_METHOD_UNSUPPORTED
CERTIFICATE = C.CLIENT_CERTIFICATE_REQUIRED
HOST = C.DATABASE_HOST_NOT_ALLOWED
PASSWORD = C.PASSWORD_REJECTED
UNAVAILABLE = C.DATABASE_UNAVAILABLE
DENIED = C.DATABASE_ACCESS_DENIED
REFUSED = C.LOGIN_REFUSED
FAILED = C.QUERY_FAILED
NO_ENTRY = 'no pg_hba.conf entry for host "127.0.0.1", user "reader", database "app", no encryption'
DEUTSCH = (
    "kein pg_hba.conf-Eintrag für Host »127.0.0.1«, Benutzer »reader«, Datenbank »app«, keine Verschlüsselung"
)


@pytest.mark.parametrize(
    ("state", "routine", "text", "cause"),
    [
        ("28P01", "auth_failed", 'password authentication failed for user "reader"', PASSWORD),
        ("28P01", "auth_failed", "Passwort-Authentifizierung für »reader« fehlgeschlagen", PASSWORD),
        ("28000", "auth_failed", 'Ident authentication failed for user "reader"', METHOD),
        ("28000", "auth_failed", 'Peer authentication failed for user "reader"', METHOD),
        ("28000", "auth_failed", "Peer-Authentifizierung für Benutzer »reader« fehlgeschlagen", METHOD),
        ("28000", "auth_failed", "authentification Peer échouée pour « Ident »", METHOD),
        ("28000", "auth_failed", 'GSSAPI authentication failed for user "reader"', METHOD),
        ("28000", "auth_failed", 'LDAP authentication failed for user "Peer"', PASSWORD),
        ("28000", "auth_failed", 'PAM authentication failed for user "reader"', PASSWORD),
        ("28000", "auth_failed", 'certificate authentication failed for user "reader"', CERTIFICATE),
        ("28000", "ClientAuthentication", "connection requires a valid client certificate", CERTIFICATE),
        ("28000", "ClientAuthentication", NO_ENTRY, HOST),
        ("28000", "ClientAuthentication", DEUTSCH, HOST),
        ("28000", "InitializeSessionUserId", 'role "reader" is not permitted to log in', C.USER_NOT_ALLOWED),
        ("28000", "InitializeSessionUserId", "Rolle »reader« darf nicht einloggen", C.USER_NOT_ALLOWED),
        ("3D000", "InitPostgres", 'database "app" does not exist', C.DATABASE_NOT_FOUND),
        ("42501", "CheckMyDatabase", 'permission denied for database "app"', DENIED),
        ("42501", "aclcheck_error", "permission denied for function f", REFUSED),
        ("55000", "CheckMyDatabase", 'database "app" is not currently accepting connections', DENIED),
        ("58P01", "internal_load_library", 'could not access file "gone": No such file', REFUSED),
        ("22023", "set_config_option", "invalid value for parameter", REFUSED),
        ("53200", "MemoryContextAlloc", "out of memory", UNAVAILABLE),
        ("53100", "mdextend", "could not extend file: No space left on device", UNAVAILABLE),
        ("53300", "InitProcess", "sorry, too many clients already", C.DATABASE_TOO_MANY_CONNECTIONS),
        ("57P03", "ProcessStartupPacket", "the database system is starting up", C.DATABASE_STARTING),
        # Poolers and hosted databases: one SQLSTATE, no routine.
        ("08P01", "", "SASL authentication failed", PASSWORD),
        ("08P01", "", "no such user: reader", PASSWORD),
        ("08P01", "", "no such database: app", C.DATABASE_NOT_FOUND),
        ("08P01", "", "no more connections allowed (max_client_conn)", C.DATABASE_TOO_MANY_CONNECTIONS),
        (
            "08P01",
            "",
            "client connections exceeded (max_db_client_connections)",
            C.DATABASE_TOO_MANY_CONNECTIONS,
        ),
        ("08P01", "", "query_wait_timeout", UNAVAILABLE),
        ("08P01", "", "server login has been failing, try again later (server_login_retry)", UNAVAILABLE),
        ("08P01", "", "pgbouncer cannot connect to server", UNAVAILABLE),
        ("08P01", "", "client_login_timeout (server down)", UNAVAILABLE),
        ("XX000", "", "Unable to establish connection to upstream database", UNAVAILABLE),
        ("08P01", "", "SSL required", C.TLS_REQUIRED),
        ("08P01", "", "certificate authentication failed", CERTIFICATE),
        ("08P01", "", "not allowed", DENIED),
        ("08P01", "", 'server for user "hba" is gone', REFUSED),
        ("XX000", "", "Tenant or user not found", REFUSED),
        ("58000", "", "could not get a connection: all servers are down", UNAVAILABLE),
        ("28000", "", 'password authentication failed for user "reader"', PASSWORD),
    ],
)  # fmt: skip
def test_what_postgresql_says_at_a_login(state: str, routine: str, text: str, cause: Cause) -> None:
    said = Refusal(state, routine, text)
    assert postgresql_refusals.cause_of(said, Stage.LOGIN, tls_possible=False) is cause


@pytest.mark.parametrize("text", [NO_ENTRY, DEUTSCH])
def test_where_the_server_may_do_tls_that_is_what_it_wants(text: str) -> None:
    said = Refusal("28000", "ClientAuthentication", text)
    assert postgresql_refusals.cause_of(said, Stage.LOGIN, tls_possible=True) is C.TLS_REQUIRED


@pytest.mark.parametrize(
    ("state", "routine", "text", "cause"),
    [
        ("42501", "aclcheck_error", "permission denied for table t", C.QUERY_DENIED),
        ("57014", "ProcessInterrupts", "canceling statement due to statement timeout", C.QUERY_TIMED_OUT),
        ("57014", "ProcessInterrupts", "canceling statement due to user request", FAILED),
        (
            "25P04",
            "ProcessInterrupts",
            "terminating connection due to transaction timeout",
            C.QUERY_TIMED_OUT,
        ),
        (
            "25P03",
            "ProcessInterrupts",
            "terminating connection due to idle-in-transaction timeout",
            C.CONNECTION_LOST,
        ),
        ("57P01", "ProcessInterrupts", "terminating connection due to administrator", C.CONNECTION_LOST),
        ("42601", "scanner_yyerror", "syntax error", FAILED),
        ("08P01", "", "query_wait_timeout", UNAVAILABLE),
        ("08P01", "", "pgbouncer database is paused", UNAVAILABLE),
        ("08P01", "", "query timeout", C.QUERY_TIMED_OUT),
        ("08P01", "", "database removed", UNAVAILABLE),
        # Databases that name no routine either: the SQLSTATE finds fault with the statement.
        ("42601", "", 'syntax error at or near "hba"', FAILED),
        ("42P01", "", "relation does not exist, which is not allowed", FAILED),
        ("0A000", "", "subqueries are not allowed here", FAILED),
    ],
)  # fmt: skip
def test_what_postgresql_says_at_a_query(state: str, routine: str, text: str, cause: Cause) -> None:
    said = Refusal(state, routine, text)
    assert postgresql_refusals.cause_of(said, Stage.QUERY, tls_possible=False) is cause


@pytest.mark.parametrize(
    ("number", "text", "stage", "cause"),
    [
        (1045, "Zugriff verweigert", Stage.LOGIN, PASSWORD),
        (3032, "The server is currently in offline mode", Stage.LOGIN, UNAVAILABLE),
        (9002, "SSL connection is required. Specify SSL options.", Stage.LOGIN, C.TLS_REQUIRED),
        (9001, "Max connect timeout reached while reaching hostgroup 0", Stage.QUERY, UNAVAILABLE),
        (1047, "WSREP has not yet prepared node for use", Stage.QUERY, UNAVAILABLE),
        (1047, "WSREP has not yet prepared node for use", Stage.LOGIN, UNAVAILABLE),
        (1105, "Access denied for user 'reader'", Stage.LOGIN, PASSWORD),
        (1105, "Connections using insecure transport: server requires SSL", Stage.LOGIN, C.TLS_REQUIRED),
        (1105, "target: app.0.primary: primary is not serving", Stage.QUERY, UNAVAILABLE),
        (9999, "something new", Stage.LOGIN, REFUSED),
        (1064, "You have an error in your SQL syntax near 'access denied'", Stage.QUERY, FAILED),
    ],
)  # fmt: skip
def test_what_mysql_and_its_proxies_say(number: int, text: str, stage: Stage, cause: Cause) -> None:
    assert mysql_refusals.cause_of(number, text, stage) is cause


STATES = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=5, max_size=5)
STAGES = st.sampled_from([Stage.DATABASE, Stage.TLS, Stage.LOGIN, Stage.QUERY])


@given(state=STATES, routine=st.text(max_size=20), text=st.text(max_size=60), stage=STAGES, tls=st.booleans())
def test_no_error_of_postgresql_is_a_defect_of_ours(
    state: str, routine: str, text: str, stage: Stage, tls: bool
) -> None:
    cause = postgresql_refusals.cause_of(Refusal(state, routine, text), stage, tls_possible=tls)
    assert cause is not C.INTERNAL_ERROR


@given(number=st.integers(10_000, 60_000), state=STATES, text=st.text("äöü ", max_size=60))
def test_what_nobody_has_listed_backs_off(number: int, state: str, text: str) -> None:
    for cause in (
        mysql_refusals.cause_of(number, text, Stage.LOGIN),
        mysql_refusals.cause_of(number, text, Stage.QUERY),
        postgresql_refusals.cause_of(Refusal("ZZ" + state[:3], "f", text), Stage.LOGIN, tls_possible=True),
        postgresql_refusals.cause_of(Refusal("ZZ" + state[:3], "", text), Stage.QUERY, tls_possible=True),
    ):
        assert cause in {REFUSED, FAILED}
        assert retry_of_probe(cause) is not None
