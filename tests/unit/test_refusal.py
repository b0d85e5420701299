"""What a database client is told, byte by byte, when it cannot be served."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.databases.client_refusal import ClientRefusal
from canary_tui.databases.mysql import wire as mysql_wire
from canary_tui.databases.postgresql.client_refusal import error_response
from canary_tui.databases.postgresql.wire import LONGEST_STARTUP
from canary_tui.databases.registry import refusal_for
from canary_tui.servers.model import Engine

TEXT = "canary-tui: orders-prod: SSH login: key not accepted"
SSL_REQUEST = struct.pack(">IHH", 8, 1234, 5679)
GSSENC_REQUEST = struct.pack(">IHH", 8, 1234, 5680)
CANCEL_REQUEST = struct.pack(">IHHII", 16, 1234, 5678, 1, 2)


def startup(minor: int = 0) -> bytes:
    body = b"user\0me\0\0"
    return struct.pack(">IHH", 8 + len(body), 3, minor) + body


def postgres() -> ClientRefusal:
    refusal = refusal_for(Engine.POSTGRESQL, TEXT)
    assert refusal.hear(b"") == b"", "in PostgreSQL the client speaks first"
    return refusal


@pytest.mark.parametrize("minor", [0, 2])
def test_a_startup_message_is_answered_with_a_fatal_error(minor: int) -> None:
    refusal = postgres()
    answer = refusal.hear(startup(minor))
    assert refusal.over
    assert answer[:1] == b"E"
    assert struct.unpack(">I", answer[1:5])[0] == len(answer) - 1
    fields = {field[:1]: field[1:] for field in answer[5:].split(b"\0") if field}
    assert fields == {b"S": b"FATAL", b"V": b"FATAL", b"C": b"08006", b"M": TEXT.encode()}
    assert answer.endswith(b"\0\0")


def test_encryption_is_declined_before_the_error() -> None:
    refusal = postgres()
    assert refusal.hear(GSSENC_REQUEST) == b"N"
    assert refusal.hear(SSL_REQUEST) == b"N"
    assert not refusal.over
    assert refusal.hear(startup()) == error_response(TEXT)


def test_a_cancel_request_is_not_answered() -> None:
    refusal = postgres()
    assert refusal.hear(CANCEL_REQUEST) == b""
    assert refusal.over


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\0\x01\0\x01", b"\0" * 8])
def test_what_is_no_postgresql_gets_no_answer(data: bytes) -> None:
    refusal = postgres()
    assert refusal.hear(data) == b""
    assert refusal.over


@given(st.data())
def test_it_does_not_matter_where_the_bytes_are_cut(data: st.DataObject) -> None:
    whole = SSL_REQUEST + startup()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    refusal = postgres()
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert b"".join(map(refusal.hear, pieces)) == b"N" + error_response(TEXT)


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_whatever_a_client_says_one_error_is_the_most_that_it_hears(pieces: list[bytes]) -> None:
    refusal = postgres()
    said = b"".join(map(refusal.hear, pieces))
    assert said.strip(b"N") in {b"", error_response(TEXT)}


def test_a_client_that_never_ends_its_message_is_not_listened_to_for_ever() -> None:
    refusal = postgres()
    refusal.hear(struct.pack(">IHH", LONGEST_STARTUP + 1, 3, 0))
    assert refusal.over


def test_a_mysql_client_gets_the_error_in_place_of_the_greeting() -> None:
    refusal = refusal_for(Engine.MYSQL, TEXT)
    answer = refusal.hear(b"")
    assert refusal.over
    assert mysql_wire.split_header(answer[:4]) == (len(answer) - 4, 0)
    assert mysql_wire.parse(answer[4:]) == mysql_wire.Refusal(1105, TEXT)


@pytest.mark.parametrize("engine", list(Engine))
@given(text=st.text(max_size=2000))
def test_the_text_is_one_short_line_whatever_is_in_it(engine: Engine, text: str) -> None:
    refusal = refusal_for(engine, text)
    said = refusal.hear(b"") + (refusal.hear(startup()) if not refusal.over else b"")
    assert len(said) < 2000
    words = said[7:]  # after the message's kind and length
    assert b"\n" not in words
    assert b"\x1b" not in words


def test_a_client_whose_language_nobody_knows_is_hung_up_on() -> None:
    refusal = refusal_for(Engine.TCP, TEXT)
    assert refusal.hear(b"") == b""
    assert refusal.over
