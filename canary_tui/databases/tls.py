"""One TLS context for both engines: checks the real host's name through a tunnel, reports the handshake.

The drivers connect to the near end of a tunnel and would check *its* name, and neither says when its
handshake is done. Both do their TLS through ``SSLContext.wrap_bio``, so a context of our own sees to it.
The modes are libpq's ``sslmode`` (PostgreSQL 15 documentation §34.19.1).
"""

from __future__ import annotations

import errno
import functools
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.ownership import others_may_change
from canary_tui.paths import expanded
from canary_tui.servers.model import TlsMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer as Buffer

    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Database
    from canary_tui.servers.secrets import Secret

# OpenSSL's x509_vfy.h; Python has no names for them.
DATE_CODES = frozenset({9, 10})  # not yet valid, has expired
NAME_CODES = frozenset({62, 63, 64})  # host name, email address, IP address mismatch
WEAK_CODES = frozenset(
    {66, 67, 68}
)  # key of the server's or an authority's certificate too small, its hash weak

LONGEST_RECORD = 16 * 1024
"""Bytes of plaintext in a TLS record (RFC 8446 §5.1)."""
CLOSED_REASONS = frozenset({"UNEXPECTED_EOF_WHILE_READING"})


class ReportingObject(ssl.SSLObject):
    """A TLS session that says when its handshake is completed, and shows what comes out of it."""

    report: Callable[[ssl.SSLObject], None] | None = None
    inspect: Callable[[bytes], None] | None = None

    def do_handshake(self) -> None:
        """Take the next step of the handshake; returns when it was the last one."""
        super().do_handshake()
        if self.report is not None:
            self.report(self)

    def read(self, len: int = 1024, buffer: Buffer | None = None) -> Any:  # noqa: A002 - ssl's own name
        """Return the next plaintext. An OSError of ``inspect`` ends the connection."""
        # asyncio asks for 256 kB, which Python sets aside for each record of 16 kB and less.
        data = super().read(min(len, LONGEST_RECORD), buffer)
        if self.inspect is not None and isinstance(data, bytes):
            self.inspect(data)
        return data


class TunnelContext(ssl.SSLContext):
    """What a driver is given for one connection: ``rules`` with the real host's name.

    The rules are shared by all connections that have the same, since reading the system's authorities
    takes 18 ms.
    """

    rules: ssl.SSLContext
    host: str
    report: Callable[[ssl.SSLObject], None]
    inspect: Callable[[bytes], None] | None = None
    """Shown each piece of plaintext before the driver sees it."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Start a session with ``host``, whatever name is given here: that is the tunnel's near end.

        An IP address is checked as one and never sent as a name (RFC 6066 §3).
        """
        wrapped = self.rules.wrap_bio(incoming, outgoing, server_side, self.host, session)
        if isinstance(wrapped, ReportingObject):
            wrapped.report = self.report
            wrapped.inspect = self.inspect
        return wrapped


def context_for(database: Database, trace: Trace) -> TunnelContext:
    """Return a context for one connection that enters the stage ``login`` once its handshake is done.

    Raises Failed(ca_file_unreadable) when the file with the authorities cannot be used.
    """

    def report(session: ssl.SSLObject) -> None:
        trace.note(describe(session))
        trace.enter(Stage.LOGIN)

    context = TunnelContext(ssl.PROTOCOL_TLS_CLIENT)
    context.rules = _rules(database)
    context.host = database.host.split("%")[0].rstrip(".")
    context.report = report
    return context


def why_unreadable(database: Database, password: Secret | None, *, encrypted: bool) -> str:
    """Say why the password must not reach the server in a form that it can read; empty where it may.

    Only verified TLS tells who the server is: without, anybody on the way can be it.
    """
    if password is None or database.allow_cleartext or (encrypted and database.tls.verifies):
        return ""
    return f"inside TLS that verified nobody (tls: {database.tls})" if encrypted else "without TLS"


def check_authorities(database: Database) -> None:
    """Raise Failed(ca_file_unreadable) now, rather than with a connection to the database open."""
    if database.tls.verifies:
        _rules(database)


def cause_of(error: ssl.SSLError) -> Cause | None:
    """Return why TLS failed; None when it did not, and the connection just ended."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in DATE_CODES:
            return Cause.CERTIFICATE_EXPIRED
        if error.verify_code in NAME_CODES:
            return Cause.CERTIFICATE_NAME_MISMATCH
        return Cause.CERTIFICATE_TOO_WEAK if error.verify_code in WEAK_CODES else Cause.CERTIFICATE_UNTRUSTED
    reason = getattr(error, "reason", None) or ""  # Python sets it only where OpenSSL gave one
    if isinstance(error, ssl.SSLEOFError) or reason in CLOSED_REASONS:
        return None
    # Since TLS 1.3 this alert comes after the handshake, in answer to the first data (RFC 8446 §4.4.2.4).
    if "CERTIFICATE_REQUIRED" in reason:
        return Cause.CLIENT_CERTIFICATE_REQUIRED
    return Cause.TLS_FAILED


def describe(session: ssl.SSLObject) -> str:
    """Return the protocol and the certificate's last day: ``TLSv1.3, certificate until 2027-01-01``."""
    protocol = session.version() or "TLS"
    # Asked for in DER: without verification Python shows no decoded certificate.
    der = session.getpeercert(binary_form=True)
    try:
        end = x509.load_der_x509_certificate(der or b"").not_valid_after_utc
    except ValueError:
        return protocol
    return f"{protocol}, certificate until {end:%Y-%m-%d}"


def _rules(database: Database) -> ssl.SSLContext:
    if not database.tls.verifies:
        return _shared_rules(TlsMode.REQUIRE, None, 0)
    facts = {"ca_file": database.ca_file or "the system's"}
    try:
        ca_file = expanded(database.ca_file) if database.ca_file else None
        if ca_file and (exposed := others_may_change(ca_file)):
            facts["exposed"] = exposed
            raise PermissionError(errno.EPERM, f"{ca_file} is not used: {exposed}")
        watched = ca_file or _system_file()
        return _shared_rules(database.tls, ca_file, watched.stat().st_mtime_ns if watched else 0)
    except (OSError, ValueError) as error:  # SSLError and NoHome are OSErrors
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Failed(Cause.CA_FILE_UNREADABLE, detail=words, stage=Stage.SETTINGS, facts=facts) from None


def _system_file() -> Path | None:
    """Return the system's file of authorities; None where they are in a folder or a store."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file) if file else None


@functools.lru_cache(maxsize=64)
def _shared_rules(mode: TlsMode, ca_file: Path | None, changed: int) -> ssl.SSLContext:
    """Return what a certificate is held to. ``changed`` makes a file that was replaced be read again."""
    del changed
    rules = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    rules.sslobject_class = ReportingObject
    rules.minimum_version = ssl.TLSVersion.TLSv1_2
    rules.check_hostname = mode is TlsMode.VERIFY_FULL
    if not mode.verifies:
        rules.verify_mode = ssl.CERT_NONE
    elif ca_file is None:
        rules.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        rules.load_verify_locations(cafile=ca_file)
    return rules
