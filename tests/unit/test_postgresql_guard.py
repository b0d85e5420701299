"""The guard sees the same in whatever pieces it comes."""

from __future__ import annotations

import itertools
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.databases.postgresql.guard import BESIDE_ROWS, MOST_ROUNDS, Guard
from canary_tui.diagnosis.stages import Cause
from canary_tui.diagnosis.trace import Trace


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def asks(step: int, body: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!i", step) + body)


SASL, FINAL = asks(10, b"SCRAM-SHA-256\0\0"), asks(12, b"v=x")
READY = message(b"Z", b"I")
LOGIN = SASL + asks(11, b"r=x,s=c2FsdA==,i=4096") + FINAL + asks(0) + message(b"S", b"a\0b\0") + READY
REFUSED = [
    (asks(3), Cause.PASSWORD_NOT_SENT),
    (message(b"N", b"SNOTICE\0\0") + asks(3), Cause.PASSWORD_NOT_SENT),
    (LOGIN + asks(3), Cause.PASSWORD_NOT_SENT),
    (SASL + asks(11, b"r=x,s=y,i=%d" % (MOST_ROUNDS + 1)), Cause.AUTH_METHOD_UNSUPPORTED),
    (SASL + SASL, Cause.WRONG_PROTOCOL),
    (FINAL, Cause.WRONG_PROTOCOL),
    (SASL + asks(0), Cause.WRONG_PROTOCOL),
    (message(b"N") + b"D\x7f\xff\xff\xff", Cause.WRONG_PROTOCOL),
    (asks(0) + b"S\xff\xff\xff\xfb", Cause.WRONG_PROTOCOL),
    (b"SSH-2.0-x\r\n", Cause.WRONG_PROTOCOL),
    (b"EFATAL:  could not fork\n\0", Cause.DATABASE_UNAVAILABLE),
    (LOGIN + b"E\x7f\xff\xff\xff", Cause.QUERY_FAILED),
    (LOGIN + b"D\0\0\0\0", Cause.QUERY_FAILED),
    (LOGIN + b"R\0\1\0\0", Cause.QUERY_FAILED),
    (LOGIN + message(b"N", bytes(1000)) * (BESIDE_ROWS // 1000), Cause.QUERY_FAILED),
    # Only our own query counts anew: a server that says again and again that it is ready does not.
    (LOGIN + (message(b"N", bytes(50_000)) + READY) * (BESIDE_ROWS // 50_000 + 1), Cause.QUERY_FAILED),
]
HEARD = [
    LOGIN,
    asks(0) + READY + message(b"D", bytes(500_000)) + message(b"C", b"SELECT 1\0") + READY,
    asks(5, b"salt") + asks(0) + READY,
    LOGIN + message(b"T", bytes(100_000)) + message(b"D", b"R" * 500) * 20 + READY,
]
cuts = st.lists(st.integers(0, 4000), max_size=12)


def hear(data: bytes, at: list[int]) -> Guard:
    """Show data to a guard in pieces."""
    guard = Guard(Trace(time.perf_counter), "without TLS")
    edges = [0, *sorted(min(cut, len(data)) for cut in at), len(data)]
    for start, end in itertools.pairwise(edges):
        try:
            guard.inspect(data[start:end])
        except ConnectionAbortedError:
            assert guard.refused is not None
            break
    return guard


@pytest.mark.parametrize(("data", "cause"), REFUSED)
@given(at=cuts)
def test_what_is_refused_is_refused_in_any_pieces(data: bytes, cause: Cause, at: list[int]) -> None:
    refused = hear(data, at).refused
    assert refused is not None
    assert refused.cause is cause


@pytest.mark.parametrize("data", HEARD)
@given(at=cuts)
def test_what_a_real_server_says_is_heard_in_any_pieces(data: bytes, at: list[int]) -> None:
    assert hear(data, at).refused is None


@given(data=st.binary(max_size=300), at=cuts)
def test_any_bytes_are_heard_or_refused(data: bytes, at: list[int]) -> None:
    whole, parts = hear(data, []).refused, hear(data, at).refused
    assert (whole is None) == (parts is None)


def test_where_the_password_may_be_read_it_may_be_asked_for() -> None:
    guard = Guard(Trace(time.perf_counter), "")
    guard.inspect(asks(3) + asks(0) + READY)
    assert guard.refused is None
