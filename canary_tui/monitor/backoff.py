"""When to try again, by the kind of failure.

Jumpboxes ban clients that log in every few seconds, and databases block hosts that fail too often: so
network trouble backs off, a refused key waits long, and what only a person can mend is not tried again.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause

if TYPE_CHECKING:
    from canary_tui.servers.model import Engine


class Retry(Enum):
    """How a failure is met."""

    NETWORK = "network"
    """Backs off from half a second to half a minute, for ever."""
    REFUSED = "refused"
    """Was answered with no: once a minute at first, once a quarter of an hour later."""
    BROKEN_OFF = "broken_off"
    """Our limit broke a handshake off that the database counts: as usual at first, then ever more seldom."""
    PERSON = "person"
    """Not tried again until a person acted or the settings changed."""


SPANS = {Retry.NETWORK: (0.5, 30.0), Retry.REFUSED: (60.0, 900.0), Retry.BROKEN_OFF: (5.0, 900.0)}
"""First and longest wait, in seconds."""

C = Cause
TUNNEL_REFUSED = frozenset({
    C.KEY_NOT_ACCEPTED, C.KEY_LOGIN_NOT_OFFERED, C.MORE_AUTHENTICATION_REQUIRED, C.TOO_MANY_ATTEMPTS
})  # fmt: skip
TUNNEL_FOR_PERSON = frozenset({
    C.HOST_KEY_UNKNOWN, C.HOST_KEY_CHANGED, C.HOST_KEY_REVOKED,
    C.SETTINGS_INVALID, C.KEY_MISSING, C.KEY_UNREADABLE, C.KEY_PERMISSIONS
})  # fmt: skip
DATABASE_REFUSED = frozenset({
    C.PASSWORD_REJECTED, C.USER_NOT_ALLOWED, C.PASSWORD_EXPIRED, C.AUTH_METHOD_UNSUPPORTED,
    C.DATABASE_NOT_FOUND, C.DATABASE_ACCESS_DENIED, C.DATABASE_HOST_NOT_ALLOWED, C.PASSWORD_COMMAND_FAILED,
    C.LOGIN_REFUSED, C.FORWARD_REFUSED, C.QUERY_FAILED
})  # fmt: skip
DATABASE_FOR_PERSON = frozenset({
    C.TLS_NOT_OFFERED, C.TLS_REQUIRED, C.CERTIFICATE_UNTRUSTED, C.CERTIFICATE_NAME_MISMATCH,
    C.CERTIFICATE_EXPIRED, C.CLIENT_CERTIFICATE_REQUIRED, C.CERTIFICATE_TOO_WEAK, C.TLS_FAILED,
    C.TLS_DOWNGRADED,
    # Each try is a refused login: some servers lock an account for those.
    C.PASSWORD_NOT_SENT,
    # MySQL counts what speaks PostgreSQL to it, and blocks the whole jumpbox in the end.
    C.WRONG_PROTOCOL, C.DATABASE_HOST_BLOCKED, C.PASSWORD_MISSING, C.CA_FILE_UNREADABLE
})  # fmt: skip
BREAKS_OFF = frozenset({C.DATABASE_NO_ANSWER, C.TLS_TIMED_OUT, C.LOGIN_TIMED_OUT})
"""Where our limit ends a handshake that the database has begun."""


def retry_of_tunnel(cause: Cause) -> Retry:
    """Say how a failure to open a tunnel is met."""
    if cause in TUNNEL_FOR_PERSON:
        return Retry.PERSON
    return Retry.REFUSED if cause in TUNNEL_REFUSED else Retry.NETWORK


def retry_of_probe(cause: Cause, engine: Engine | None = None) -> Retry | None:
    """Say how a probe's failure is met; None: the next probe comes when it is due.

    MySQL counts handshakes that are broken off in a row, and at 100 (``max_connect_errors``) it blocks
    everybody behind the jumpbox: a slow database, probed every ten seconds, within 17 minutes.
    """
    if cause in DATABASE_FOR_PERSON:
        return Retry.PERSON
    if cause in BREAKS_OFF and engine is not None and engine.facts.counts_broken_handshakes:
        return Retry.BROKEN_OFF
    return Retry.REFUSED if cause in DATABASE_REFUSED else None


def delay(retry: Retry, attempt: int, chance: float) -> float:
    """Return the seconds to wait before attempt ``attempt`` (1, 2, …) after the first failed.

    Network trouble gets full jitter (a random part of an exponential span), so that the servers
    behind one jumpbox do not come back all at once; a refusal waits its span at
    least, and up to a quarter more.
    ``chance`` is a random number in [0, 1).
    """
    first, longest = SPANS[retry]
    span = min(longest, first * 2.0 ** min(attempt - 1, 30))
    if retry is Retry.NETWORK:
        return max(0.1, span * chance)
    return min(longest, span * (1 + chance / 4))
