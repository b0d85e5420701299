"""What asyncssh and the system raise, in the words of the contract. The real servers are asked elsewhere."""

from __future__ import annotations

import errno
import os
import socket

import asyncssh
import pytest
from asyncssh.constants import OPEN_RESOURCE_SHORTAGE, OPEN_UNKNOWN_CHANNEL_TYPE
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.diagnosis.causes import CAUSES_BY_STAGE
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.tunnels.failures import (
    channel_failure,
    connect_failure,
    greeting_failure,
    login_failure,
    resolve_failure,
    words_of,
)


def system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (socket.EAI_NONAME, Cause.NAME_NOT_FOUND),
        (socket.EAI_NODATA, Cause.NAME_NOT_FOUND),
        (socket.EAI_AGAIN, Cause.RESOLVER_FAILED),
        (socket.EAI_FAIL, Cause.RESOLVER_FAILED),
    ],
)
def test_a_name_that_does_not_exist_is_told_from_a_resolver_that_fails(number: int, cause: Cause) -> None:
    failed = resolve_failure(socket.gaierror(number, "what it said"))
    assert (failed.cause, failed.stage, failed.detail) == (cause, Stage.RESOLVE, "what it said")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (system(errno.ECONNREFUSED), Cause.CONNECTION_REFUSED),
        (system(errno.ECONNRESET), Cause.CONNECTION_REFUSED),
        (system(errno.ETIMEDOUT), Cause.CONNECT_TIMED_OUT),
        (TimeoutError(), Cause.CONNECT_TIMED_OUT),
        (system(errno.ENETUNREACH), Cause.NETWORK_UNREACHABLE),
        (system(errno.EHOSTUNREACH), Cause.NETWORK_UNREACHABLE),
        (OSError("Multiple exceptions: [Errno 111] Connection refused, …"), Cause.CONNECTION_REFUSED),
        (OSError("Multiple exceptions: [Errno 101] Network is unreachable"), Cause.NETWORK_UNREACHABLE),
        (system(errno.EMFILE), Cause.INTERNAL_ERROR),
        (system(errno.ENFILE), Cause.INTERNAL_ERROR),
    ],
    ids=str,
)
def test_what_connecting_raises_is_named(error: OSError, cause: Cause) -> None:
    assert connect_failure(error).cause is cause


@pytest.mark.parametrize(
    ("greeting", "cause"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", None),
        (b"SSH-1.99-Cisco-1.25\n", None),
        (b"Welcome to the jumpbox\r\nAuthorised use only\r\nSSH-2.0-x\r\n", None),
        (b"SSH-1.5-OpenSSH_1.2\n", Cause.SSH_NO_COMMON_ALGORITHM),
        (b"", Cause.SSH_CLOSED_EARLY),
        (b"Exceeded MaxStartups\r\n", Cause.SSH_TOO_MANY_CONNECTIONS),
        (b"Not allowed at this time\r\n", Cause.SSH_TOO_MANY_CONNECTIONS),
        (b"220 mail.example.com ESMTP Postfix\r\n", Cause.NOT_SSH),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Cause.NOT_SSH),
        (b"J\0\0\0\x0a5.5.5-10.11.6-MariaDB\0", Cause.NOT_SSH),
        (b"E\0\0\0\x8dSFATAL\0", Cause.NOT_SSH),
    ],
)
def test_a_greeting_says_what_is_at_the_port(greeting: bytes, cause: Cause | None) -> None:
    failed = greeting_failure(greeting)
    assert (failed.cause if failed else None) is cause


@given(greeting=st.binary(max_size=300))
def test_no_greeting_gives_anything_but_a_named_failure_that_can_be_printed(greeting: bytes) -> None:
    failed = greeting_failure(greeting)
    if failed is not None:
        assert failed.cause in CAUSES_BY_STAGE[Stage.HANDSHAKE]
        assert failed.detail.isprintable()


DENIED = asyncssh.PermissionDenied("Permission denied for user u on host h")


@pytest.mark.parametrize(
    ("requests", "accepted", "cause"),
    [
        (0, False, Cause.KEY_LOGIN_NOT_OFFERED),
        (1, False, Cause.KEY_NOT_ACCEPTED),  # the server wants no other key
        (2, False, Cause.KEY_NOT_ACCEPTED),
        (1, True, Cause.MORE_AUTHENTICATION_REQUIRED),
        (2, True, Cause.MORE_AUTHENTICATION_REQUIRED),  # it wants another key as well
    ],
)
def test_a_refused_login_is_told_apart_by_partial_success(
    requests: int, accepted: bool, cause: Cause
) -> None:
    failed = login_failure(DENIED, Stage.AUTH, key_requests=requests, key_accepted=accepted)
    assert (failed.cause, failed.detail) == (cause, "Permission denied for user u on host h")


@pytest.mark.parametrize(
    ("requests", "accepted", "methods", "wanted"),
    [
        (2, True, ["publickey"], "another key"),
        (1, True, ["password"], "a password"),
        (2, True, ["publickey", "password"], "another key or a password"),
        (0, False, ["keyboard-interactive"], "answers to its questions (a password, a code)"),
        (0, False, ["gssapi-keyex", "gssapi-with-mic"], "a Kerberos ticket"),
        (1, True, ["\x1b]0;x"], "what is not known here"),
    ],
)
def test_what_a_server_wants_but_the_key_is_told(
    requests: int, accepted: bool, methods: list[str], wanted: str
) -> None:
    failed = login_failure(DENIED, Stage.AUTH, key_requests=requests, key_accepted=accepted, methods=methods)
    assert failed.facts == {"wanted": wanted}
    assert failed.detail.startswith("took the key and then" if accepted else "at first")
    assert failed.detail.isprintable()


@pytest.mark.parametrize(
    ("error", "stage", "cause"),
    [
        (asyncssh.HostKeyNotVerifiable("Host key is not trusted"), Stage.HOST_KEY, Cause.HOST_KEY_UNKNOWN),
        (asyncssh.HostKeyNotVerifiable("Host key is revoked"), Stage.HOST_KEY, Cause.HOST_KEY_REVOKED),
        (asyncssh.KeyExchangeFailed("No matching"), Stage.HANDSHAKE, Cause.SSH_NO_COMMON_ALGORITHM),
        (asyncssh.ProtocolNotSupported("SSH-1"), Stage.HANDSHAKE, Cause.SSH_NO_COMMON_ALGORITHM),
        (
            asyncssh.ProtocolError("Too many authentication failures"), Stage.AUTH, Cause.TOO_MANY_ATTEMPTS
        ),
        (asyncssh.ConnectionLost("Login timeout expired"), Stage.AUTH, Cause.AUTH_TIMED_OUT),
        (asyncssh.ConnectionLost("Login timeout expired"), Stage.HANDSHAKE, Cause.SSH_NO_ANSWER),
        (asyncssh.ConnectionLost("Connection lost"), Stage.AUTH, Cause.SSH_CLOSED_AT_LOGIN),
        (system(errno.ECONNRESET), Stage.HANDSHAKE, Cause.SSH_CLOSED_EARLY),
        (ValueError("a packet that makes no sense"), Stage.AUTH, Cause.SSH_CLOSED_AT_LOGIN),
        (RuntimeError("what"), Stage.AUTH, Cause.INTERNAL_ERROR),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_login_raises_is_named(error: Exception, stage: Stage, cause: Cause) -> None:
    failed = login_failure(error, stage, key_requests=2)
    assert failed.cause is cause
    assert failed.detail


CONNECT_FAILED = asyncssh.OPEN_CONNECT_FAILED


@pytest.mark.parametrize(
    ("code", "said", "cause"),
    [
        (asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed", Cause.FORWARDING_NOT_PERMITTED),
        (CONNECT_FAILED, "Connection refused", Cause.DATABASE_REFUSED),
        (CONNECT_FAILED, "Name or service not known", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "No address associated with hostname", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "Temporary failure in name resolution", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "Connection timed out", Cause.DATABASE_TIMED_OUT),
        (CONNECT_FAILED, "No route to host", Cause.DATABASE_UNREACHABLE),
        (CONNECT_FAILED, "Network is unreachable", Cause.DATABASE_UNREACHABLE),
        (CONNECT_FAILED, "Name does not resolve", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "Try again", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "nodename nor servname provided, or not known", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "dial tcp: lookup db on 10.0.0.2:53: no such host", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "dial tcp: lookup db on 10.0.0.2:53: i/o timeout", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "lookup db: read udp: connection refused", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "No such host is known.", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "java.net.UnknownHostException: db", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "dial tcp 10.0.0.5:5432: i/o timeout", Cause.DATABASE_TIMED_OUT),
        (CONNECT_FAILED, "Operation timed out", Cause.DATABASE_TIMED_OUT),
        (CONNECT_FAILED, "context deadline exceeded", Cause.DATABASE_TIMED_OUT),
        (CONNECT_FAILED, "dial tcp 10.0.0.5:5432: connect: connection refused", Cause.DATABASE_REFUSED),
        (
            CONNECT_FAILED,
            "No connection could be made because the target machine actively refused it.",
            Cause.DATABASE_REFUSED,
        ),
        (CONNECT_FAILED, "dial tcp 10.0.0.5:5432: connect: no route to host", Cause.DATABASE_UNREACHABLE),
        (CONNECT_FAILED, "Host is down", Cause.DATABASE_UNREACHABLE),
        (CONNECT_FAILED, "Connection reset by peer", Cause.DATABASE_CLOSED_EARLY),
        (
            CONNECT_FAILED,
            "An existing connection was forcibly closed by the remote host.",
            Cause.DATABASE_CLOSED_EARLY,
        ),
        (CONNECT_FAILED, "words of another server", Cause.FORWARD_REFUSED),
        # Node, Erlang, Rust, Java, musl, macOS, and Windows in two languages.
        (CONNECT_FAILED, "connect ECONNREFUSED 10.0.0.5:5432", Cause.DATABASE_REFUSED),
        (CONNECT_FAILED, "connect ETIMEDOUT 10.0.0.5:5432", Cause.DATABASE_TIMED_OUT),
        (CONNECT_FAILED, "getaddrinfo ENOTFOUND db.internal", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "ehostunreach", Cause.DATABASE_UNREACHABLE),
        (CONNECT_FAILED, "nxdomain", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "deadline has elapsed", Cause.DATABASE_TIMED_OUT),
        (CONNECT_FAILED, "failed to lookup address information: Try again", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "java.nio.channels.UnresolvedAddressException", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "Connection refused: no further information", Cause.DATABASE_REFUSED),
        (CONNECT_FAILED, "Address not available", Cause.DATABASE_UNREACHABLE),
        (CONNECT_FAILED, "Can't assign requested address", Cause.DATABASE_UNREACHABLE),
        (
            CONNECT_FAILED,
            "This is usually a temporary error during hostname resolution",
            Cause.DATABASE_NAME_NOT_FOUND,
        ),
        (CONNECT_FAILED, "Der Zielcomputer verweigerte die Verbindung (10061)", Cause.DATABASE_REFUSED),
        (CONNECT_FAILED, "不知道这样的主机。 11001", Cause.DATABASE_NAME_NOT_FOUND),
        (CONNECT_FAILED, "connect to 10.0.0.5:10061 failed: кто-то другой", Cause.FORWARD_REFUSED),
        (CONNECT_FAILED, "连接被拒绝", Cause.FORWARD_REFUSED),
        (OPEN_UNKNOWN_CHANNEL_TYPE, "unknown", Cause.FORWARDING_NOT_PERMITTED),
        (OPEN_RESOURCE_SHORTAGE, "resource shortage", Cause.FORWARD_REFUSED),
    ],
)
def test_a_refused_channel_keeps_its_reason(code: int, said: str, cause: Cause) -> None:
    failed = channel_failure(asyncssh.ChannelOpenError(code, said), connection_open=True)
    assert (failed.cause, failed.detail) == (cause, said)


@given(code=st.integers(0, 2**32 - 1), said=st.text(max_size=80))
def test_no_refusal_of_a_channel_is_a_defect_of_ours(code: int, said: str) -> None:
    failed = channel_failure(asyncssh.ChannelOpenError(code, said), connection_open=True)
    assert failed.cause in {*CAUSES_BY_STAGE[Stage.FORWARD], Cause.DATABASE_CLOSED_EARLY}


@pytest.mark.parametrize(
    ("error", "connection_open"),
    [
        (asyncssh.ChannelOpenError(CONNECT_FAILED, "SSH connection closed"), False),
        (asyncssh.ConnectionLost("Connection lost"), True),
    ],
)
def test_a_connection_that_goes_away_is_no_refused_channel(error: Exception, connection_open: bool) -> None:
    assert channel_failure(error, connection_open=connection_open).cause is Cause.TUNNEL_LOST


def test_an_error_without_words_is_called_by_its_kind() -> None:
    assert words_of(TimeoutError()) == "TimeoutError"
    assert words_of(system(errno.ECONNREFUSED)) == "Connection refused"
    assert words_of(ValueError("what")) == "what"


@given(data=st.binary(max_size=300))
def test_what_a_server_sent_never_reaches_the_terminal_raw(data: bytes) -> None:
    for failed in (
        greeting_failure(data),
        login_failure(ValueError(data.decode("latin-1")), Stage.AUTH, key_requests=1),
    ):
        assert failed is None or (failed.detail.isprintable() and len(failed.detail) <= 500)
