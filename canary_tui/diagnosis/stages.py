"""The stages of the way to a database, the causes a stage can fail for, and the records of a probe.

The names are a contract: scripts read them from ``canary probe --json``. Only ever add to them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from canary_tui.diagnosis.printable import one_line

DETAIL_LIMIT = 500
"""Characters of the library's or the server's own words that are kept."""


class Stage(StrEnum):
    """One step of the way to a database, in the order in which they take place."""

    SETTINGS = "settings"
    RESOLVE = "resolve"
    CONNECT = "connect"
    HANDSHAKE = "handshake"
    HOST_KEY = "host_key"
    AUTH = "auth"
    FORWARD = "forward"
    DATABASE = "database"
    TLS = "tls"
    LOGIN = "login"
    QUERY = "query"


SSH_STAGES = frozenset({Stage.HANDSHAKE, Stage.HOST_KEY, Stage.AUTH, Stage.FORWARD})
"""Those that only a server behind an SSH server has."""


class Cause(StrEnum):
    """Why a stage failed: the names. What there is to know of each is its row in ``diagnosis/causes``."""

    SETTINGS_INVALID = "settings_invalid"
    KEY_MISSING = "key_missing"
    KEY_UNREADABLE = "key_unreadable"
    KEY_PERMISSIONS = "key_permissions"
    PASSWORD_MISSING = "password_missing"  # noqa: S105 - a cause's name
    PASSWORD_COMMAND_FAILED = "password_command_failed"  # noqa: S105 - a cause's name
    CA_FILE_UNREADABLE = "ca_file_unreadable"
    LOCAL_PORT_TAKEN = "local_port_taken"

    NAME_NOT_FOUND = "name_not_found"
    RESOLVER_FAILED = "resolver_failed"
    RESOLVE_TIMED_OUT = "resolve_timed_out"

    CONNECTION_REFUSED = "connection_refused"
    CONNECT_TIMED_OUT = "connect_timed_out"
    NETWORK_UNREACHABLE = "network_unreachable"

    NOT_SSH = "not_ssh"
    SSH_TOO_MANY_CONNECTIONS = "ssh_too_many_connections"
    SSH_CLOSED_EARLY = "ssh_closed_early"
    SSH_NO_ANSWER = "ssh_no_answer"
    SSH_NO_COMMON_ALGORITHM = "ssh_no_common_algorithm"

    HOST_KEY_UNKNOWN = "host_key_unknown"
    HOST_KEY_CHANGED = "host_key_changed"
    HOST_KEY_REVOKED = "host_key_revoked"

    KEY_NOT_ACCEPTED = "key_not_accepted"
    KEY_LOGIN_NOT_OFFERED = "key_login_not_offered"
    MORE_AUTHENTICATION_REQUIRED = "more_authentication_required"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    AUTH_TIMED_OUT = "auth_timed_out"
    SSH_CLOSED_AT_LOGIN = "ssh_closed_at_login"

    FORWARDING_NOT_PERMITTED = "forwarding_not_permitted"
    DATABASE_REFUSED = "database_refused"
    DATABASE_NAME_NOT_FOUND = "database_name_not_found"
    DATABASE_TIMED_OUT = "database_timed_out"
    DATABASE_UNREACHABLE = "database_unreachable"
    FORWARD_REFUSED = "forward_refused"

    WRONG_PROTOCOL = "wrong_protocol"
    DATABASE_CLOSED_EARLY = "database_closed_early"
    DATABASE_NO_ANSWER = "database_no_answer"
    DATABASE_STARTING = "database_starting"
    DATABASE_TOO_MANY_CONNECTIONS = "database_too_many_connections"
    DATABASE_HOST_NOT_ALLOWED = "database_host_not_allowed"
    DATABASE_HOST_BLOCKED = "database_host_blocked"

    TLS_NOT_OFFERED = "tls_not_offered"
    TLS_REQUIRED = "tls_required"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_NAME_MISMATCH = "certificate_name_mismatch"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CLIENT_CERTIFICATE_REQUIRED = "client_certificate_required"
    TLS_DOWNGRADED = "tls_downgraded"
    CERTIFICATE_TOO_WEAK = "certificate_too_weak"
    TLS_TIMED_OUT = "tls_timed_out"
    TLS_FAILED = "tls_failed"

    PASSWORD_NOT_SENT = "password_not_sent"  # noqa: S105 - a cause's name
    PASSWORD_REJECTED = "password_rejected"  # noqa: S105 - a cause's name
    USER_NOT_ALLOWED = "user_not_allowed"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105 - a cause's name
    AUTH_METHOD_UNSUPPORTED = "auth_method_unsupported"
    DATABASE_NOT_FOUND = "database_not_found"
    DATABASE_ACCESS_DENIED = "database_access_denied"
    LOGIN_TIMED_OUT = "login_timed_out"
    LOGIN_REFUSED = "login_refused"
    DATABASE_UNAVAILABLE = "database_unavailable"

    QUERY_TIMED_OUT = "query_timed_out"
    QUERY_DENIED = "query_denied"
    QUERY_FAILED = "query_failed"
    CONNECTION_LOST = "connection_lost"

    TUNNEL_LOST = "tunnel_lost"
    INTERNAL_ERROR = "internal_error"


class HostKeyOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A host key that the SSH server showed and nobody here trusts yet.

    ``known`` is what our own file holds for this host and port; ``evidence`` is what other
    files on this machine say about the offered key, for a person to weigh.
    """

    host: str
    port: int
    key_type: str
    fingerprint: str
    """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
    public_line: str
    """``<type> <base64>``: what is pinned when a person accepts."""
    known: tuple[KnownKey, ...] = ()
    evidence: tuple[str, ...] = ()


class KnownKey(msgspec.Struct, frozen=True, kw_only=True):
    """A host key that our known-hosts file holds already."""

    key_type: str
    fingerprint: str
    since: str = ""
    """When a person first trusted it (ISO 8601, UTC); empty when the file does not say."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What broke, why, and what to do about it."""

    stage: Stage
    cause: Cause
    summary: str
    remedies: tuple[str, ...]
    detail: str = ""
    """The library's or the server's own words, with secrets taken out."""


class StageResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stage of one probe and how long it took (milliseconds)."""

    stage: Stage
    ok: bool
    ms: float
    note: str = ""


class RouteKind(StrEnum):
    """How a probe reached the database."""

    FRESH = "fresh"
    REUSED = "reused"
    DIRECT = "direct"


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """One probe of one server, first stage to last."""

    server: str
    ok: bool
    route: RouteKind
    started_at: float
    """Unix time, seconds."""
    total_ms: float
    stages: tuple[StageResult, ...]
    failure: Failure | None = None
    host_key: HostKeyOffer | None = None
    """Set when the failure is an unknown or a changed host key."""

    @property
    def direct(self) -> bool:
        """Whether it went to the database without a tunnel, where stages have other names."""
        return self.route is RouteKind.DIRECT


class Failed(Exception):
    """A stage failed, in the words of the contract.

    Raised where a library's error is translated. ``stage`` is left out where the failure
    belongs to the stage that was under way, which the trace knows. ``detail`` is made printable here,
    whoever wrote it.
    """

    def __init__(
        self,
        cause: Cause,
        *,
        detail: str = "",
        stage: Stage | None = None,
        host_key: HostKeyOffer | None = None,
        facts: dict[str, str] | None = None,
    ) -> None:
        detail = one_line(detail, DETAIL_LIMIT)
        super().__init__(f"{cause}: {detail}" if detail else str(cause))
        self.cause = cause
        self.detail = detail
        self.stage = stage
        self.host_key = host_key
        self.facts = facts or {}
        """More words for the catalogue's sentences, such as the path of a key file."""
