"""asyncssh's errors and the system's, in the words of the contract.

What asyncssh and OpenSSH raise and send is kept as tests against the real servers
(``tests/servers/test_failures.py``); the codes are those of RFC 4253 §11.1 and RFC 4254 §5.1.
"""

from __future__ import annotations

import errno
import re
import socket
from typing import TYPE_CHECKING

import asyncssh

from canary_tui.diagnosis.causes import CLOSED_CAUSES, TIMEOUT_CAUSES
from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.tunnels.channel_refusals import refusal
from canary_tui.tunnels.metered import Disconnected, SentTooMuch
from canary_tui.tunnels.open_files import unexpected

if TYPE_CHECKING:
    from collections.abc import Sequence

NONSENSE = (ValueError, LookupError, ArithmeticError)
"""What asyncssh raises when a server sends what makes no sense (``PacketDecodeError`` is a ValueError)."""

UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
NOT_FOUND = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
FULL = (b"exceeded maxstartups", b"not allowed at this time", b"too many connections")
"""What OpenSSH says instead of its version when it takes no more logins (MaxStartups, penalties)."""

DISCONNECTS: dict[bool, dict[int, Cause]] = {
    False: {
        asyncssh.DISC_PROTOCOL_VERSION_NOT_SUPPORTED: Cause.SSH_NO_COMMON_ALGORITHM,
        asyncssh.DISC_TOO_MANY_CONNECTIONS: Cause.SSH_TOO_MANY_CONNECTIONS,
    },
    True: {
        asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE: Cause.KEY_NOT_ACCEPTED,
        asyncssh.DISC_ILLEGAL_USER_NAME: Cause.KEY_NOT_ACCEPTED,
    },
}
"""What a server means by the code with which it ends the connection, before the login and in it."""

METHODS = {
    "publickey": "another key",
    "password": "a password",
    "keyboard-interactive": "answers to its questions (a password, a code)",
    "hostbased": "the key of this machine",
    "gssapi-with-mic": "a Kerberos ticket",
    "gssapi-keyex": "a Kerberos ticket",
}
"""What a login method asks of a user who has offered a key (RFC 4252, RFC 4256, RFC 4462)."""

LONGEST_VERSION = 253
"""Bytes of a version line without its end (RFC 4253 §4.2)."""
PLAIN = re.compile(rb"[ -~]*")
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\xf8-\xff]")
"""What is in no text: no character of UTF-8, and none but ESC, which may colour it, of the others."""
OTHERS = (
    b"220", b"421", b"500", b"502", b"554",  # SMTP, FTP
    b"200 ", b"201 ",  # NNTP
    b"http/", b"<!doctype", b"<html", b"<?xml", b"rtsp/",
    b"+ok", b"-err", b"-noauth", b"-denied", b"-loading",  # POP3, Redis
    b"* ok", b"* bad", b"* bye", b"* preauth",  # IMAP
    b"error\r\n", b"client_error", b"server_error", b"unknown_command",  # memcached, beanstalkd
    b"rfb 0", b"@rsyncd:", b"info {", b"amqp", b"login:", b"invalid command",
)  # fmt: skip
"""How others begin, in small letters: mail, news, web, Redis, memcached, VNC, rsync, NATS, a telnet login."""


def resolve_failure(error: OSError) -> Failed:
    """Translate what the resolver raised."""
    cause = Cause.NAME_NOT_FOUND if error.errno in NOT_FOUND else Cause.RESOLVER_FAILED
    return Failed(cause, stage=Stage.RESOLVE, detail=words_of(error))


def connect_failure(error: OSError) -> Failed:
    """Translate what connecting a TCP socket raised."""
    detail = words_of(error)
    if isinstance(error, ConnectionRefusedError) or error.errno == errno.ECONNREFUSED:
        return Failed(Cause.CONNECTION_REFUSED, detail=detail)
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return Failed(Cause.CONNECT_TIMED_OUT, detail=detail)
    if error.errno is None:
        # The addresses of the host failed for different reasons, each in the words with its number. The
        # one that came nearest is told: a machine that refuses is there.
        numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", detail)}
        if errno.ECONNREFUSED in numbers:
            return Failed(Cause.CONNECTION_REFUSED, detail=detail)
        cause = Cause.CONNECT_TIMED_OUT if errno.ETIMEDOUT in numbers else Cause.NETWORK_UNREACHABLE
        return Failed(cause, detail=detail)
    if error.errno in UNREACHABLE:
        return Failed(Cause.NETWORK_UNREACHABLE, detail=detail)
    if error.errno in {errno.ECONNRESET, errno.ECONNABORTED}:
        return Failed(Cause.CONNECTION_REFUSED, detail=detail)
    return unexpected(error)


def greeting_failure(greeting: bytes, our_version: str = "") -> Failed | None:
    """Say what is wrong with the first bytes of a server that should speak SSH-2; None when nothing.

    RFC 4253 §4.2: the version line starts with ``SSH-``, is printable US-ASCII and at most 255 bytes long;
    other lines may come before it. ``our_version`` is what was said to the server before it answered so.
    """
    said = Source.SSH_GREETING.text(greeting)
    lines = greeting.split(b"\n")
    version = next((line.removesuffix(b"\r") for line in lines if line.startswith(b"SSH-")), None)
    if version is not None:
        return _version_failure(version, our_version)
    if not greeting:
        return Failed(Cause.SSH_CLOSED_EARLY, detail="the connection was closed before any greeting")
    if any(words in greeting.lower() for words in FULL):
        return Failed(Cause.SSH_TOO_MANY_CONNECTIONS, detail=said)
    if len(lines) > 2 and not is_foreign(greeting):
        first = next(filter(None, map(Source.SSH_GREETING.text, lines)), "")
        return Failed(Cause.NOT_SSH, detail=f"it sends lines and never an SSH version (a tarpit?): '{first}'")
    return Failed(Cause.NOT_SSH, detail=f"it answers '{said}'")


def _version_failure(version: bytes, our_version: str) -> Failed | None:
    said = Source.SSH_GREETING.text(version)
    if len(version) > LONGEST_VERSION:
        return Failed(Cause.NOT_SSH, detail=f"its version line is longer than an SSH server's: '{said}'")
    if not PLAIN.fullmatch(version):
        return Failed(Cause.NOT_SSH, detail=f"its version line is not plain text: '{said}'")
    if version.decode() == our_version:
        return Failed(Cause.NOT_SSH, detail=f"it sends back what it is sent: '{said}'")
    if version.startswith((b"SSH-2.0-", b"SSH-1.99-")):
        return None
    return Failed(Cause.SSH_NO_COMMON_ALGORITHM, detail=f"it speaks '{said}'")


def is_foreign(greeting: bytes) -> bool:
    """Whether these first bytes are of another protocol: no SSH version will follow."""
    return BINARY.search(greeting) is not None or greeting.lower().lstrip().startswith(OTHERS)


def login_failure(
    error: Exception,
    stage: Stage,
    *,
    key_requests: int,
    key_accepted: bool = False,
    methods: Sequence[str] = (),
) -> Failed:
    """Translate what asyncssh raised between the version lines and the end of the login.

    ``stage`` is ``handshake``, ``host_key`` or ``auth``. ``key_requests`` is how often a key was asked for,
    ``key_accepted`` whether the server took it and wants something else as well, ``methods`` what may go on.
    """
    detail = words_of(error)
    if isinstance(error, Disconnected) and error.code in DISCONNECTS[stage is Stage.AUTH]:
        return Failed(DISCONNECTS[stage is Stage.AUTH][error.code], detail=detail)
    if isinstance(error, asyncssh.PermissionDenied):
        return _denied(detail, key_requests=key_requests, key_accepted=key_accepted, methods=methods)
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        cause = Cause.HOST_KEY_REVOKED if is_revoked(error) else Cause.HOST_KEY_UNKNOWN
        return Failed(cause, stage=Stage.HOST_KEY, detail=detail)
    if isinstance(error, asyncssh.ProtocolNotSupported) or (
        # Not every failed key exchange is one about algorithms: a hash that is wrong is damage.
        isinstance(error, asyncssh.DisconnectError)
        and error.code == asyncssh.DISC_KEY_EXCHANGE_FAILED
        and "no matching" in detail.lower()
    ):
        return Failed(Cause.SSH_NO_COMMON_ALGORITHM, detail=detail)
    if isinstance(error, asyncssh.DisconnectError) and "too many authentication" in detail.lower():
        return Failed(Cause.TOO_MANY_ATTEMPTS, detail=detail)
    if isinstance(error, (asyncssh.DisconnectError, OSError, *NONSENSE)):
        if "timeout" in detail.lower() or "timed out" in detail.lower():
            return Failed(TIMEOUT_CAUSES[stage], detail=detail)
        facts = {"excess": detail} if isinstance(error, SentTooMuch) else {}
        return Failed(CLOSED_CAUSES[stage], detail=detail, facts=facts)
    return Failed(Cause.INTERNAL_ERROR, detail=detail)


def _denied(detail: str, *, key_requests: int, key_accepted: bool, methods: Sequence[str]) -> Failed:
    """Return what a login that ended without a way to go on amounts to."""
    if key_requests and not key_accepted:
        return Failed(Cause.KEY_NOT_ACCEPTED, detail=detail)
    # A server names only what may come next: that no key is among it does not mean that none may follow.
    facts: dict[str, str] = {}
    if methods:
        asked = dict.fromkeys(METHODS.get(method, "what is not known here") for method in methods)
        facts["wanted"] = " or ".join(asked)
        taken = "took the key and then" if key_accepted else "at first"
        detail = f"{taken} lets only these methods go on: {', '.join(methods)}"
    cause = Cause.MORE_AUTHENTICATION_REQUIRED if key_accepted else Cause.KEY_LOGIN_NOT_OFFERED
    return Failed(cause, detail=detail, facts=facts)


def is_revoked(error: asyncssh.HostKeyNotVerifiable) -> bool:
    """Whether a host key, or the authority that signed it, was refused because it is marked as revoked."""
    return "revoked" in str(error).lower()


def channel_failure(error: Exception, *, connection_open: bool) -> Failed:
    """Translate a refused channel (RFC 4254 §5.1), or an SSH connection that went away meanwhile."""
    detail = words_of(error)
    if not connection_open or not isinstance(error, asyncssh.ChannelOpenError):
        return Failed(Cause.TUNNEL_LOST, detail=detail)
    return Failed(refusal(error.code, detail), detail=detail)


def words_of(error: BaseException) -> str:
    """Return an error's own words, which may be the peer's; its kind when it has none (``TimeoutError``)."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Source.SSH_ERROR.text(text) or type(error).__name__
