"""What MySQL, MariaDB, or a proxy in front of them means by an error: by its number, then by its words.

The numbers are the same in every language (``lc_messages``). Proxies and hosted databases have numbers of
their own, or 1105 (*unknown error*) for everything: there the words must tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.databases.errors import redacted
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    from canary_tui.databases.mysql.wire import Refusal
    from canary_tui.servers.secrets import Secret

C = Cause

ANYWHERE: dict[int, Cause] = {
    1040: C.DATABASE_TOO_MANY_CONNECTIONS,
    1203: C.DATABASE_TOO_MANY_CONNECTIONS,
    1226: C.DATABASE_TOO_MANY_CONNECTIONS,
    1820: C.PASSWORD_EXPIRED,
    1862: C.PASSWORD_EXPIRED,
    1047: C.DATABASE_UNAVAILABLE,  # Galera: not prepared for use ("unknown command" is its number)
    3032: C.DATABASE_UNAVAILABLE,  # offline mode
    9001: C.DATABASE_UNAVAILABLE,  # ProxySQL: no server behind it answers
    3168: C.DATABASE_UNAVAILABLE,  # "server isn't available"
    1135: C.DATABASE_UNAVAILABLE,  # no thread for the connection
    1021: C.DATABASE_UNAVAILABLE,  # disk full
    1037: C.DATABASE_UNAVAILABLE,  # out of memory
    1041: C.DATABASE_UNAVAILABLE,
}
AT_LOGIN: dict[int, Cause] = {
    1045: C.PASSWORD_REJECTED,
    1698: C.PASSWORD_REJECTED,
    1927: C.DATABASE_UNAVAILABLE,  # MaxScale, of its own connection
    1044: C.DATABASE_ACCESS_DENIED,
    1049: C.DATABASE_NOT_FOUND,
    1053: C.DATABASE_STARTING,  # "server shutdown in progress"
    1129: C.DATABASE_HOST_BLOCKED,
    1130: C.DATABASE_HOST_NOT_ALLOWED,
    1251: C.AUTH_METHOD_UNSUPPORTED,
    1524: C.AUTH_METHOD_UNSUPPORTED,
    2059: C.AUTH_METHOD_UNSUPPORTED,
    3118: C.USER_NOT_ALLOWED,  # MySQL: account locked
    3159: C.TLS_REQUIRED,
    **dict.fromkeys((2002, 2003, 2005, 2006, 2013), C.DATABASE_UNAVAILABLE),  # a proxy, of its own connection
    3955: C.USER_NOT_ALLOWED,  # MySQL: locked after too many wrong passwords
    4150: C.USER_NOT_ALLOWED,  # MariaDB: the same
    4151: C.USER_NOT_ALLOWED,  # MariaDB: account locked
    9002: C.TLS_REQUIRED,  # Azure
}
AT_QUERY: dict[int, Cause] = {
    1044: C.QUERY_DENIED,
    1142: C.QUERY_DENIED,
    1143: C.QUERY_DENIED,
    1227: C.QUERY_DENIED,
    1370: C.QUERY_DENIED,
    1053: C.CONNECTION_LOST,
    1927: C.CONNECTION_LOST,  # MariaDB: killed
    1184: C.LOGIN_REFUSED,  # a statement of init_connect failed: the first query is told
    1205: C.QUERY_TIMED_OUT,  # innodb_lock_wait_timeout
    3169: C.CONNECTION_LOST,  # MySQL: killed
    4031: C.CONNECTION_LOST,  # MySQL: idle for too long
    1969: C.QUERY_TIMED_OUT,  # MariaDB: max_statement_time
    **dict.fromkeys((2002, 2003, 2005), C.DATABASE_UNAVAILABLE),  # a proxy, of its own connection
    **dict.fromkeys((2006, 2013, 2055), C.CONNECTION_LOST),
    3024: C.QUERY_TIMED_OUT,  # MySQL: max_execution_time
}

WANTS_TLS = (
    "ssl is required",
    "ssl connection is required",
    "ssl connection error",
    "secure transport",
    "requires ssl",
    "requires tls",
    "require ssl",
)
PROXIES: tuple[tuple[tuple[str, ...], Cause], ...] = (
    (WANTS_TLS, C.TLS_REQUIRED),
    (("access denied", "authentication failed", "authorization failed"), C.PASSWORD_REJECTED),
    (("not allowed to connect", "not allowed to access"), C.DATABASE_HOST_NOT_ALLOWED),
    (("too many connections", "connection limit"), C.DATABASE_TOO_MANY_CONNECTIONS),
    (("unknown database",), C.DATABASE_NOT_FOUND),
    (
        (
            "offline mode",
            "wsrep",
            "not yet prepared",
            "max connect timeout",
            "server timeout",
            "no available",
            "not available",
            "unavailable",
            "no healthy",
            "no servers",
            "hostgroup",
            "not serving",
            "backend",
            "is paused",
            "is sleeping",
        ),
        C.DATABASE_UNAVAILABLE,
    ),
)
"""What ProxySQL, MaxScale, Vitess, TiDB and hosts of databases say under numbers of their own."""
OWN_NUMBERS = frozenset({0, 1105, 1815, 2000, 2001})
"""What is no number of MySQL's, or the one for everything."""
OWN_FROM = 8000
"""Where the numbers of others begin."""


def refused(said: Refusal, stage: Stage, password: Secret | None = None) -> Failed:
    """Return the failure that a server's error amounts to in a stage."""
    cause = cause_of(said.code, said.text, stage)
    detail = redacted(f"{said.text} ({said.code})", password)
    if stage is Stage.DATABASE:
        return Failed(cause, stage=stage, detail=detail)
    if cause is C.PASSWORD_REJECTED and password is None:
        return Failed(C.PASSWORD_MISSING, stage=Stage.LOGIN, detail=detail)
    return Failed(cause, detail=detail)


def cause_of(number: int, text: str, stage: Stage) -> Cause:
    """Return the cause that an error stands for; one that is not listed is a refusal with its own words."""
    query = stage is Stage.QUERY
    said = text.lower()
    found = (ANYWHERE | (AT_QUERY if query else AT_LOGIN)).get(number)
    if number == 1226 and "_per_hour" in said and "connections" not in said:
        return C.QUERY_FAILED  # MAX_QUERIES_PER_HOUR: no connection is one too many
    if number in OWN_NUMBERS or number >= OWN_FROM:
        # Each has its own meaning for them: 9002 is Azure's for TLS, and TiDB's for a store that is silent.
        found = next((cause for words, cause in PROXIES if any(word in said for word in words)), found)
    elif found is C.PASSWORD_REJECTED and any(word in said for word in WANTS_TLS):
        found = C.TLS_REQUIRED  # ProxySQL says both
    return found or (C.QUERY_FAILED if query else C.LOGIN_REFUSED)
