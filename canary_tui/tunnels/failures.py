"""asyncssh's errors and the system's, in the words of the contract.

What asyncssh and OpenSSH raise and send is kept as tests against the real servers
(``tests/servers/test_failures.py``); the codes are those of RFC 4253 §11.1 and RFC 4254 §5.1.
"""

from __future__ import annotations

import errno
import socket
import string

import asyncssh

from canary_tui.diagnosis.stages import Cause, Failed, Stage

UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
NOT_FOUND = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
FULL = (b"exceeded maxstartups", b"not allowed at this time", b"too many connections")
"""What OpenSSH says in place of its version when it takes no more logins (MaxStartups, penalties)."""

CHANNEL_WORDS = (
    ("refused", Cause.DATABASE_REFUSED),
    ("name or service not known", Cause.DATABASE_NAME_NOT_FOUND),
    ("no address associated", Cause.DATABASE_NAME_NOT_FOUND),
    ("temporary failure in name resolution", Cause.DATABASE_NAME_NOT_FOUND),
    ("unknown host", Cause.DATABASE_NAME_NOT_FOUND),
    ("timed out", Cause.DATABASE_TIMED_OUT),
    ("unreachable", Cause.DATABASE_UNREACHABLE),
    ("no route to host", Cause.DATABASE_UNREACHABLE),
)
"""What the SSH server's own connect said, as sshd passes it on (``strerror``, ``gai_strerror``)."""


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
    if error.errno in UNREACHABLE or error.errno is None:
        # No number: the addresses of the host failed for different reasons, all given in the words.
        refused = error.errno is None and "refused" in detail.lower()
        return Failed(Cause.CONNECTION_REFUSED if refused else Cause.NETWORK_UNREACHABLE, detail=detail)
    if error.errno in {errno.ECONNRESET, errno.ECONNABORTED}:
        return Failed(Cause.CONNECTION_REFUSED, detail=detail)
    return Failed(Cause.INTERNAL_ERROR, detail=detail)


def greeting_failure(greeting: bytes) -> Failed | None:
    """Say what is wrong with the first bytes of a server that should speak SSH-2; None when nothing.

    RFC 4253 §4.2: the version line starts with ``SSH-``; other lines may come before it.
    """
    versions = [line for line in greeting.splitlines() if line.startswith(b"SSH-")]
    if versions:
        if versions[0].startswith((b"SSH-2.", b"SSH-1.99-")):
            return None
        return Failed(Cause.SSH_NO_COMMON_ALGORITHM, detail=f"it speaks {printable(versions[0])}")
    if not greeting:
        return Failed(Cause.SSH_CLOSED_EARLY, detail="the connection was closed before any greeting")
    if any(words in greeting.lower() for words in FULL):
        return Failed(Cause.SSH_TOO_MANY_CONNECTIONS, detail=printable(greeting))
    return Failed(Cause.NOT_SSH, detail=f"it answers {printable(greeting)!r}")


def login_failure(error: Exception, stage: Stage, *, methods: tuple[str, ...], asked_for_key: bool) -> Failed:
    """Translate what asyncssh raised between the version lines and the end of the login.

    ``methods`` are the logins that the server still offered, ``asked_for_key`` whether a public
    key was among them at first.
    """
    detail = words_of(error)
    if isinstance(error, asyncssh.PermissionDenied):
        return Failed(_denied(methods, asked_for_key), detail=detail)
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        revoked = "revoked" in detail.lower()
        cause = Cause.HOST_KEY_REVOKED if revoked else Cause.HOST_KEY_UNKNOWN
        return Failed(cause, stage=Stage.HOST_KEY, detail=detail)
    if isinstance(error, (asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported)):
        return Failed(Cause.SSH_NO_COMMON_ALGORITHM, detail=detail)
    if isinstance(error, asyncssh.DisconnectError) and "too many authentication" in detail.lower():
        return Failed(Cause.TOO_MANY_ATTEMPTS, detail=detail)
    if isinstance(error, (asyncssh.DisconnectError, OSError)):
        if "timeout" in detail.lower() or "timed out" in detail.lower():
            return Failed(Cause.AUTH_TIMED_OUT if stage is Stage.AUTH else Cause.SSH_NO_ANSWER, detail=detail)
        closed = Cause.SSH_CLOSED_AT_LOGIN if stage is Stage.AUTH else Cause.SSH_CLOSED_EARLY
        return Failed(closed, detail=detail)
    return Failed(Cause.INTERNAL_ERROR, detail=detail)


def _denied(methods: tuple[str, ...], asked_for_key: bool) -> Cause:
    if not asked_for_key:
        return Cause.KEY_LOGIN_NOT_OFFERED
    if methods and "publickey" not in methods:
        # The key was taken, and the server wants something else as well (partial success).
        return Cause.MORE_AUTHENTICATION_REQUIRED
    return Cause.KEY_NOT_ACCEPTED


def channel_failure(error: Exception, *, connection_open: bool) -> Failed:
    """Translate a refused channel (RFC 4254 §5.1), or an SSH connection that went away meanwhile."""
    detail = words_of(error)
    if not connection_open or not isinstance(error, asyncssh.ChannelOpenError):
        return Failed(Cause.TUNNEL_LOST, detail=detail)
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return Failed(Cause.FORWARDING_NOT_PERMITTED, detail=detail)
    if error.code == asyncssh.OPEN_CONNECT_FAILED:
        said = detail.lower()
        cause = next((cause for text, cause in CHANNEL_WORDS if text in said), Cause.DATABASE_UNREACHABLE)
        return Failed(cause, detail=detail)
    return Failed(Cause.INTERNAL_ERROR, detail=detail)


def words_of(error: BaseException) -> str:
    """Return an error's own words; its kind when it has none (``TimeoutError``)."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def printable(data: bytes, limit: int = 80) -> str:
    """Return the start of what a server sent, with all that is not plain text as dots."""
    text = data[:limit].decode("latin-1").strip()
    return "".join(c if c in string.printable and c not in "\r\n\t\x0b\x0c" else "." for c in text)
