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
    1135: C.DATABASE_UNAVAILABLE,  # no thread for the connection
    1021: C.DATABASE_UNAVAILABLE,  # disk full
    1037: C.DATABASE_UNAVAILABLE,  # out of memory
    1041: C.DATABASE_UNAVAILABLE,
}
AT_LOGIN: dict[int, Cause] = {
    1045: C.PASSWORD_REJECTED,
    1698: C.PASSWORD_REJECTED,
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
    1969: C.QUERY_TIMED_OUT,  # MariaDB: max_statement_time
    **dict.fromkeys((2002, 2003, 2005), C.DATABASE_UNAVAILABLE),  # a proxy, of its own connection
    **dict.fromkeys((2006, 2013, 2055), C.CONNECTION_LOST),
    3024: C.QUERY_TIMED_OUT,  # MySQL: max_execution_time
}

PROXIES: tuple[tuple[tuple[str, ...], Cause], ...] = (
    (("access denied", "authentication failed", "authorization failed"), C.PASSWORD_REJECTED),
    (
        (
            "ssl connection is required",
            "ssl connection error",
            "secure transport",
            "requires ssl",
            "require ssl",
        ),
        C.TLS_REQUIRED,
    ),
    (("too many connections", "connection limit"), C.DATABASE_TOO_MANY_CONNECTIONS),
    (("unknown database",), C.DATABASE_NOT_FOUND),
    (
        (
            "offline mode",
            "wsrep",
            "not yet prepared",
            "max connect timeout",
            "no available",
            "not available",
            "unavailable",
            "no healthy",
            "no servers",
            "hostgroup",
            "primary is not serving",
            "backend",
            "is paused",
            "is sleeping",
        ),
        C.DATABASE_UNAVAILABLE,
    ),
)
"""What ProxySQL, MaxScale, Vitess and hosts of databases say under numbers of their own."""
OWN_NUMBERS = frozenset({0, 1105, 1815, 2000, 2001})
"""What is no number of MySQL's, or the one for everything; so is each from 9000 on."""


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
    found = (ANYWHERE | (AT_QUERY if query else AT_LOGIN)).get(number)
    if found is None and (number in OWN_NUMBERS or number >= 9000):
        said = text.lower()
        found = next((cause for words, cause in PROXIES if any(word in said for word in words)), None)
    return found or (C.QUERY_FAILED if query else C.LOGIN_REFUSED)
