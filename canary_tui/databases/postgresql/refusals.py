"""What PostgreSQL, or a pooler in front of it, means by an error: by SQLSTATE and routine, then by its words.

SQLSTATE and the routine that raised an error are the same in every language (``lc_messages``); the message is
translated, but for names in it: ``pg_hba.conf``, and login methods such as ``Ident``. Poolers have one
SQLSTATE for nearly everything and no routine: there the words must tell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from canary_tui.databases.errors import redacted
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    from canary_tui.servers.secrets import Secret

C = Cause


class Refusal(msgspec.Struct, frozen=True):
    """An ErrorResponse (PostgreSQL 17, "Error and Notice Message Fields")."""

    state: str
    """SQLSTATE."""
    routine: str
    """The function that raised it; poolers and proxies name none."""
    text: str

    def words(self, password: Secret | None = None) -> str:
        """Return what it says on one line, without the password."""
        return redacted(self.text, password) or f"an error without words (SQLSTATE {redacted(self.state)})"


BY_STATE: dict[str, Cause] = {
    "28P01": C.PASSWORD_REJECTED,
    "3D000": C.DATABASE_NOT_FOUND,
    "57P04": C.DATABASE_NOT_FOUND,  # dropped meanwhile
    "53300": C.DATABASE_TOO_MANY_CONNECTIONS,
    "53100": C.DATABASE_UNAVAILABLE,  # disk full
    "53200": C.DATABASE_UNAVAILABLE,  # out of memory
    "57P01": C.DATABASE_STARTING,
    "57P02": C.DATABASE_STARTING,
    "57P03": C.DATABASE_STARTING,
}
"""Before a session stands, whoever says it."""

OF_THE_DATABASE = frozenset({"CheckMyDatabase", "InitPostgres", ""})
"""The routines that decide whether a user may use a database; the same SQLSTATEs come from elsewhere too."""
DATABASE_STATES = frozenset({"42501", "55000"})
"""No CONNECT privilege; ALLOW_CONNECTIONS false."""

AT_QUERY: dict[str, Cause] = {
    "42501": C.QUERY_DENIED,
    "57014": C.QUERY_TIMED_OUT,
    "55P03": C.QUERY_TIMED_OUT,  # lock_timeout
    "25P04": C.QUERY_TIMED_OUT,  # transaction_timeout, which ends the session too
    "25P03": C.CONNECTION_LOST,  # idle_in_transaction_session_timeout
    "57P01": C.CONNECTION_LOST,
    "57P02": C.CONNECTION_LOST,
    "57P03": C.CONNECTION_LOST,
    "57P05": C.CONNECTION_LOST,
    "53300": C.DATABASE_TOO_MANY_CONNECTIONS,
}

METHODS: tuple[tuple[tuple[str, ...], Cause], ...] = (
    (
        ("Ident", "იდენტიფიკაციით", "Peer", "peer", "对等", "პარტნიორის", "GSSAPI", "SSPI", "OAuth"),
        C.AUTH_METHOD_UNSUPPORTED,
    ),
    (("LDAP", "PAM", "BSD", "RADIUS", "RADOUS", "რადიუსით"), C.PASSWORD_REJECTED),
)
"""The login methods of pg_hba.conf as ``auth_failed`` names them: few languages translate a name."""
CERTIFICATES = (
    "certificate",
    "zertifikat",
    "certificat",
    "certificado",
    "certifikat",
    "certyfikat",
    "sertifika",
    "сертификат",
    "сертифікат",
    "სერტიფიკატ",
    "証明書",
    "证书",
    "인증서",
)
"""``cert`` has no name of its own: the word in the languages that have a translation."""
USERS = (
    "user",
    "benutzer",
    "usuario",
    "usuário",
    "utilisateur",
    "utente",
    "användare",
    "użytkownik",
    "uživatel",
    "kullanıcı",
    "пользовател",
    "користувач",
    "მომხმარებ",
    "ユーザー",
    "用户",
    "사용자",
)
"""Who asked for a statement to be cancelled. A time limit's message has no such word in any language."""

OF_A_STATEMENT = frozenset({"0A", "20", "21", "22", "23", "24", "25", "26", "2B", "34", "40", "42", "44"})
"""The classes of SQLSTATE that find fault with a statement, whatever the words."""

POOLERS: tuple[tuple[str, Cause], ...] = (
    (r"^not allowed$", C.DATABASE_ACCESS_DENIED),  # PgBouncer, of its own database
    (r"^query[ _]timeout", C.QUERY_TIMED_OUT),
    (
        r"no such database|unknown database|database .* does not exist|no pool configured",
        C.DATABASE_NOT_FOUND,
    ),
    # Before what is said of logins: a pooler may quote what the database said of the pooler's own.
    (
        r"server_login_retry|server login|server_connect|server conn crashed|server closed the connection"
        r"|(cannot|can't|could not|couldn't|unable to|failed to)"
        r" (connect to|reach|get|acquire|create|establish) [^,.]*"
        r"(server|backend|node|connection|database|upstream)"
        r"|connect timeout|timed.out waiting|query_wait_timeout|pool timeout|could not fork"
        r"|no (healthy )?(server|backend|upstream)s? (is |are )?available"
        r"|all ?(servers|replicas|backend nodes) ?(are )?down"
        r"|(is|has been) (paused|disabled|suspended)|not accepting|server down|database removed",
        C.DATABASE_UNAVAILABLE,
    ),
    (
        r"(ssl|tls)( connection)?( is)? required|requires? (an? )?(ssl|tls)|connection is insecure",
        C.TLS_REQUIRED,
    ),
    (r"certificate authentication failed|client certificate required", C.CLIENT_CERTIFICATE_REQUIRED),
    (r"auth\w* failed|no such user|(wrong|invalid|incorrect) (password|credentials)", C.PASSWORD_REJECTED),
    (
        r"no more connections|too many (\w+ )?connections|connections exceeded|max(imum)? client",
        C.DATABASE_TOO_MANY_CONNECTIONS,
    ),
    (r"shut(ting)? down|starting up", C.DATABASE_STARTING),
    (r"not allowed|hba", C.DATABASE_HOST_NOT_ALLOWED),
)
"""What poolers say, and hosts of databases: they have one SQLSTATE for nearly everything (08P01, XX000 …)."""

_QUOTED = re.compile(r"\"[^\"]*\"|»[^«]*«|«[^»]*»|„[^“”]*[“”]|“[^”]*”|「[^」]*」")
"""Names that an error quotes: a user may be called ``Peer``."""


def refused(said: Refusal, stage: Stage, password: Secret | None, *, tls_possible: bool) -> Failed:
    """Return the failure that an error amounts to in a stage; ``tls_possible`` as in ``cause_of``."""
    cause = cause_of(said, stage, tls_possible=tls_possible)
    if cause is C.PASSWORD_REJECTED and password is None:
        return Failed(C.PASSWORD_MISSING, stage=Stage.LOGIN, detail=said.words())
    # With another SQLSTATE it is the database itself that knows the password.
    elsewhere = cause is C.PASSWORD_REJECTED and said.state == "28000" and said.routine
    facts = {"asks_elsewhere": "LDAP, PAM or RADIUS (pg_hba.conf says which)"} if elsewhere else {}
    return Failed(cause, detail=said.words(password), facts=facts)


def cause_of(said: Refusal, stage: Stage, *, tls_possible: bool) -> Cause:
    """Return the cause that an error stands for; one that is not listed is a refusal with its own words.

    ``tls_possible``: the connection is not encrypted, and the server was not asked whether it could be.
    """
    pooler = not said.routine
    if stage is Stage.QUERY:
        cause = AT_QUERY.get(said.state)
        if cause is C.QUERY_TIMED_OUT and said.routine == "ProcessInterrupts" and not _by_limit(said.text):
            return C.QUERY_FAILED  # somebody cancelled it
        of_statement = said.state[:2] in OF_A_STATEMENT
        return cause or (_by_words(said.text) if pooler and not of_statement else None) or C.QUERY_FAILED
    if said.state == "28000" and (not pooler or "pg_hba.conf" in said.text):
        return _unauthorized(said, tls_possible=tls_possible)
    if said.state in BY_STATE:
        return BY_STATE[said.state]
    if said.state in DATABASE_STATES and said.routine in OF_THE_DATABASE:
        return C.DATABASE_ACCESS_DENIED
    return (_by_words(said.text) if pooler else None) or C.LOGIN_REFUSED


def _unauthorized(said: Refusal, *, tls_possible: bool) -> Cause:
    """Tell apart what SQLSTATE 28000 stands for."""
    words = _QUOTED.sub(" ", said.text)
    if "pg_hba.conf" in words:
        return C.TLS_REQUIRED if tls_possible else C.DATABASE_HOST_NOT_ALLOWED
    if said.routine == "ClientAuthentication" or any(word in words.lower() for word in CERTIFICATES):
        return C.CLIENT_CERTIFICATE_REQUIRED
    if said.routine == "InitializeSessionUserId":  # no such role, or it may not log in
        return C.USER_NOT_ALLOWED
    method = next((cause for names, cause in METHODS if any(name in words for name in names)), None)
    return method or (C.DATABASE_HOST_NOT_ALLOWED if "host" in words.lower() else C.LOGIN_REFUSED)


def _by_limit(text: str) -> bool:
    """Whether a statement was ended by its time limit; the two have one SQLSTATE and one routine."""
    return not any(word in text.lower() for word in USERS)


def _by_words(text: str) -> Cause | None:
    said = _QUOTED.sub(" ", text.lower())
    return next((cause for pattern, cause in POOLERS if re.search(pattern, said)), None)
