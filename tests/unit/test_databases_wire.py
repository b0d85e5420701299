"""The words that a database says before a driver takes over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.databases.mysql.session import guarded as guarded_mysql
from canary_tui.databases.mysql.wire import Greeting, Refusal, nobodys_login, packet, parse, split_header
from canary_tui.databases.postgresql.refusals import Refusal as Said
from canary_tui.databases.postgresql.session import guarded as guarded_postgresql
from canary_tui.databases.postgresql.wire import read_error

MARIADB = bytes.fromhex(
    "0a352e352e352d31302e31312e362d4d617269614442"
    "00" + "07000000" + "3132333435363738" + "00" + "feff" + "2d" + "0200" + "ff81" + "15"
)


def test_a_greeting_tells_the_version_and_whether_tls_is_offered() -> None:
    greeting = parse(MARIADB)
    assert isinstance(greeting, Greeting)
    assert greeting.offers_tls
    assert greeting.mariadb
    assert greeting.number == (10, 11, 6)


@pytest.mark.parametrize(
    ("payload", "refusal"),
    [
        (b"\xff\x10\x04Too many connections", Refusal(1040, "Too many connections")),
        (b"\xff\x69\x04#08004Host blocked", Refusal(1129, "Host blocked")),
    ],
)
def test_a_refusal_is_read_with_and_without_a_state(payload: bytes, refusal: Refusal) -> None:
    assert parse(payload) == refusal


@given(st.binary(max_size=200))
def test_any_bytes_are_a_greeting_or_a_refusal_or_neither(payload: bytes) -> None:
    said = parse(payload)
    assert said is None or payload[0] == (0xFF if isinstance(said, Refusal) else 0x0A)


@given(st.binary(max_size=300), st.integers(0, 255))
def test_a_packet_says_its_own_length_and_number(payload: bytes, sequence: int) -> None:
    assert split_header(packet(payload, sequence)[:4]) == (len(payload), sequence)


def test_nobodys_login_has_no_password_and_claims_no_more_than_the_server_can() -> None:
    login = nobodys_login(Greeting("5.1.73", 0x8201))[4:]
    assert int.from_bytes(login[:4], "little") == 0x8201
    assert login[32:] == b"canary-tui\0\0"


@pytest.mark.parametrize(
    ("version", "statements"),
    [
        ("5.5.5-10.11.6-MariaDB", "max_statement_time = 2.500"),
        ("8.0.36", "max_execution_time = 2500"),
        ("5.7.44-log", "max_execution_time = 2500"),
        ("8.0.11-TiDB-v7.5.0", "max_execution_time = 2500"),
    ],
)
def test_the_statement_limit_is_set_in_the_servers_own_way(version: str, statements: str) -> None:
    text = guarded_mysql("select 1", 2.5, Greeting(version, 0))
    assert text.startswith("SET SESSION TRANSACTION READ ONLY; ")
    assert statements in text
    assert text.endswith("\nselect 1")


@pytest.mark.parametrize("version", ["5.5.30", "5.1.73", "5.5.5-5.5.68-MariaDB"])
def test_settings_that_an_old_server_does_not_know_are_left_out(version: str) -> None:
    text = guarded_mysql("select 1", 2.5, Greeting(version, 0))
    assert text == "SET SESSION autocommit = 1;\nselect 1"


def test_nothing_that_postgresql_is_told_outlives_the_transaction() -> None:
    text = guarded_postgresql("select 1 -- why", 2.5)
    assert text.startswith("BEGIN READ ONLY; ")
    assert "SET LOCAL statement_timeout = 2500;" in text
    assert text.endswith("\nselect 1 -- why\n; ROLLBACK")
    assert text.count("SET ") == text.count("SET LOCAL ")


def test_an_error_response_is_read_by_its_letters() -> None:
    said = read_error(b"SFATAL\0C53300\0Mtoo many\0Dof \xfc\0HWait.\0RProcArrayAdd\0\0")
    assert said == Said("53300", "ProcArrayAdd", "too many DETAIL: of \N{REPLACEMENT CHARACTER} HINT: Wait.")
