"""A PostgreSQL login, byte by byte: what would give the password away ends it, all else passes as it is."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.databases.login_guard import LOGIN_BYTES
from canary_tui.databases.mysql.wire import packet
from canary_tui.servers.model import Engine
from tests.unit.logins import CLIENT, SERVER, STEPS, Heard, Said, client, guard_of, sent_by, server

SSL_REQUEST = struct.pack(">IHH", 8, 1234, 5679)
GSSENC_REQUEST = struct.pack(">IHH", 8, 1234, 5680)
CANCEL_REQUEST = struct.pack(">IHHII", 16, 1234, 5678, 1, 2)
PASSWORD = b"p" + struct.pack(">I", 4 + len(b"daisy\0")) + b"daisy\0"


def startup(major: int = 3, minor: int = 0) -> bytes:
    body = b"user\0me\0\0"
    return struct.pack(">IHH", 8 + len(body), major, minor) + body


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack(">I", 4 + len(body)) + body


def authentication(code: int, more: bytes = b"") -> bytes:
    return message(b"R", struct.pack(">I", code) + more)


CLEARTEXT = authentication(3)
SCRAM = authentication(10, b"SCRAM-SHA-256\0\0")
DONE = authentication(0) + message(b"S", b"a\0b\0") + message(b"K", b"12345678") + message(b"Z", b"I")
NOTICE = message(b"N", b"SWARNING\0MR\0\0\0\x08\0\0\0\x03\0\0")
"""With the bytes of a request for the password inside of its text."""


GOES_WELL: dict[str, list[Said]] = {
    "scram without TLS": [
        client(SSL_REQUEST),
        server(b"N"),
        client(startup()),
        server(SCRAM),
        client(message(b"p", b"x")),
        server(authentication(11, b"r=")),
        client(message(b"p", b"y")),
        server(authentication(12, b"v=") + DONE),
        client(message(b"Q", b"select 1\0")),
        server(message(b"Z", b"I")),
    ],
    "md5": [
        client(startup()),
        server(authentication(5, b"salt")),
        client(message(b"p", b"md5")),
        server(DONE),
    ],
    "trust": [client(startup()), server(DONE)],
    "a notice on the way": [client(startup()), server(NOTICE + SCRAM + NOTICE), client(b"p"), server(DONE)],
    "TLS": [
        client(SSL_REQUEST),
        server(b"S"),
        client(b"\x16\x03\x01hello"),
        server(CLEARTEXT),
        client(PASSWORD),
    ],
    "TLS at once": [client(b"\x16\x03\x01\x02\0\x01\0\x01"), server(CLEARTEXT), client(PASSWORD)],
    "GSSAPI encryption": [client(GSSENC_REQUEST), server(b"G"), client(b"\0\0\0\x01x"), server(CLEARTEXT)],
    "neither encryption": [
        client(GSSENC_REQUEST),
        server(b"N"),
        client(SSL_REQUEST),
        server(b"N"),
        client(startup(3, 2)),
        server(message(b"v", b"\0\0\0\0\0\0\0\0") + SCRAM),
        server(DONE),
    ],
    "a cancel request": [client(CANCEL_REQUEST), server(CLEARTEXT)],
    "an error at once": [server(message(b"E", b"SFATAL\0\0"))],
    "an error instead of the answer": [client(SSL_REQUEST), server(message(b"E", b"SFATAL\0\0"))],
    "an error before the startup": [client(SSL_REQUEST), server(b"N" + message(b"E", b"SFATAL\0\0"))],
    "an error in the old form": [client(SSL_REQUEST), server(b"EFATAL:  sorry, too many\n\0")],
    "HTTP": [client(b"GET / HTTP/1.1\r\n\r\n"), server(b"HTTP/1.1 200 OK\r\nR\0\0\0\x08\0\0\0\x03")],
    "a server that speaks first": [
        server(b"SSH-2.0-OpenSSH_9.2\r\n"),
        client(b"SSH-2.0-x\r\n"),
        server(CLEARTEXT),
    ],
    "a MySQL server": [server(packet(b"\x0a8.0.36\0", 0)), client(packet(b"\x05", 1)), server(b"R")],
    "protocol 2, md5": [
        client(startup(2)),
        server(b"R\0\0\0\x05salt"),
        client(b"\0\0\0\x08md5\0"),
        server(b"R\0\0\0\0K12345678Z"),
    ],
}

CUT_OFF: dict[str, list[Said]] = {
    "asked for at once": [client(startup()), server(CLEARTEXT)],
    "TLS declined": [client(SSL_REQUEST), server(b"N"), client(startup()), server(CLEARTEXT)],
    "GSSAPI declined": [client(GSSENC_REQUEST), server(b"N"), client(startup()), server(CLEARTEXT)],
    "TLS for GSSAPI is no encryption": [
        client(GSSENC_REQUEST),
        server(b"S"),
        client(startup()),
        server(CLEARTEXT),
    ],
    "after a notice": [client(startup()), server(NOTICE + CLEARTEXT)],
    "after another method": [client(startup()), server(SCRAM), client(message(b"p")), server(CLEARTEXT)],
    "after it said that all is well": [client(startup()), server(authentication(0) + CLEARTEXT)],
    "in a longer message": [client(startup()), server(authentication(3, b"more"))],
    "together with the answer to SSLRequest": [client(SSL_REQUEST), server(b"N" + CLEARTEXT)],
    "before it was asked": [server(CLEARTEXT), client(startup())],
    "before it was asked about TLS": [server(b"N"), client(SSL_REQUEST), server(CLEARTEXT)],
    "behind a message of no length": [client(startup()), server(b"N\0\0\0\0" + CLEARTEXT)],
    "in a message that is too short": [client(startup()), server(b"R\0\0\0\0\0\0\0\x03")],
    "protocol 2": [client(startup(2)), server(b"R\0\0\0\x03")],
    "a later version": [client(startup(4)), server(CLEARTEXT)],
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("case", GOES_WELL)
def test_a_postgresql_session_passes_byte_for_byte(case: str, step: int) -> None:
    said = GOES_WELL[case]
    heard = Heard(guard_of(Engine.POSTGRESQL)).play(said, step)
    assert heard.guard.refused == ""
    assert heard.by == {SERVER: sent_by(CLIENT, said), CLIENT: sent_by(SERVER, said)}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("case", CUT_OFF)
def test_a_request_for_the_password_does_not_reach_a_postgresql_client(case: str, step: int) -> None:
    said = [*CUT_OFF[case], client(PASSWORD)]
    heard = Heard(guard_of(Engine.POSTGRESQL)).play(said, step)
    assert heard.guard.refused
    assert b"daisy" not in heard.by[SERVER]
    if not case.startswith("before"):
        assert CLEARTEXT not in heard.by[CLIENT].replace(NOTICE, b"")
    told = heard.guard.told("canary-tui: no\x1b[2J")
    assert told.hear(b"") == message(b"E", b"SFATAL\0VFATAL\0C28000\0Mcanary-tui: no\0\0")
    assert told.over


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_neither_side_of_a_postgresql_login_talks_without_end(side: str) -> None:
    heard = Heard(guard_of(Engine.POSTGRESQL)).play([client(startup()), server(SCRAM)])
    small = message(b"N", b"x\0") if side == SERVER else message(b"p", b"x")
    heard.play([(side, small * 100)] * (LOGIN_BYTES // len(small) // 100 + 1))
    assert "64 kB" in heard.guard.refused


def test_a_postgresql_client_that_leaves_in_the_middle_loses_nothing() -> None:
    guard = guard_of(Engine.POSTGRESQL)
    guard.from_client(startup())
    assert guard.from_server(b"R\0\0\0") == b""
    assert guard.held_back() == (b"", b"R\0\0\0")


@given(
    before=st.lists(
        st.sampled_from([NOTICE, SCRAM, message(b"S", b"a\0b\0"), message(b"E", b"M\0\0")]), max_size=5
    ),
    cuts=st.lists(st.integers(1, 200), max_size=10),
)
def test_the_request_is_found_wherever_it_stands_and_is_cut(before: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(before) + CLEARTEXT
    places = sorted({cut for cut in cuts if cut < len(whole)})
    pieces = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    heard = Heard(guard_of(Engine.POSTGRESQL)).play(
        [(CLIENT, startup()), *((SERVER, piece) for piece in pieces)]
    )
    assert heard.guard.refused
    assert heard.by[CLIENT] == b"".join(before)
