"""A MySQL login, byte by byte: what would give the password away ends it, all else passes as it is."""

from __future__ import annotations

import struct

import pytest

from canary_tui.databases.login_guard import LOGIN_BYTES
from canary_tui.databases.mysql import wire
from canary_tui.databases.mysql.wire import packet
from canary_tui.servers.model import Engine
from tests.unit.logins import CLIENT, SERVER, STEPS, Heard, Said, client, guard_of, sent_by, server

SSL_REQUEST = struct.pack(">IHH", 8, 1234, 5679)
PLUGIN_AUTH, SECURE, PROTOCOL, WITH_DB, SSL = 0x80000, 0x8000, 0x200, 0x8, 0x800
LENENC, FACTORS = 0x200000, 0x10000000
MODERN = PLUGIN_AUTH | SECURE | PROTOCOL | WITH_DB | LENENC
SCRAMBLE = bytes(range(20, 40))
SHA2_SCRAMBLE = bytes(range(100, 131)) + b"\0"
CIPHER = bytes(range(256))
OK = packet(b"\0\0\0\x02\0\0\0", 2)
DENIED = packet(b"\xff\x15\x04#28000no", 2)
PEM = b"\x01-----BEGIN PUBLIC KEY-----\n"


def greeting(plugin: bytes) -> bytes:
    body = b"\x0a8.0.36\0" + b"\1\0\0\0" + b"12345678\0" + b"\xff\xf7\x21\2\0\xff\xdf\x15" + b"\0" * 10
    return packet(body + b"123456789012\0" + plugin + b"\0", 0)


def login(plugin: bytes, proof: bytes, capabilities: int = MODERN) -> bytes:
    body = struct.pack("<IIB23x", capabilities, 1 << 24, 33) + b"me\0"
    if capabilities & LENENC:
        size = bytes([len(proof)]) if len(proof) < 251 else b"\xfc" + struct.pack("<H", len(proof))
        body += size + proof
    elif capabilities & SECURE:
        body += bytes([len(proof)]) + proof
    else:
        body += proof + b"\0"
    body += b"orders\0" if capabilities & WITH_DB else b""
    return packet(body + (plugin + b"\0" if capabilities & PLUGIN_AUTH else b""), 1)


def switch(plugin: bytes, sequence: int = 2) -> bytes:
    return packet(b"\xfe" + plugin + b"\0" + SCRAMBLE + b"\0", sequence)


NATIVE, CLEAR, DIALOG = b"mysql_native_password", b"mysql_clear_password", b"dialog"
SHA256, SHA2 = b"sha256_password", b"caching_sha2_password"
HELLO: list[Said] = [server(greeting(NATIVE)), client(login(NATIVE, SCRAMBLE))]
SHA2_HELLO: list[Said] = [server(greeting(SHA2)), client(login(SHA2, SHA2_SCRAMBLE))]

MYSQL_GOES_WELL: dict[str, list[Said]] = {
    "native": [*HELLO, server(OK), client(packet(b"\3select 1", 0)), server(switch(CLEAR))],
    "denied": [*HELLO, server(DENIED)],
    "refused instead of a greeting": [server(packet(b"\xff\x10\x04Too many connections", 0))],
    "another plug-in": [*HELLO, server(switch(b"client_ed25519")), client(packet(b"x" * 64, 3)), server(OK)],
    "TLS": [
        server(greeting(CLEAR)),
        client(packet(struct.pack("<IIB23x", MODERN | SSL, 1, 33), 1)),
        client(b"\x16"),
        server(switch(CLEAR)),
    ],
    "sha2, known": [*SHA2_HELLO, server(packet(b"\1\3", 2) + OK)],
    "sha2, a key of ones own": [
        *SHA2_HELLO,
        server(packet(b"\1\4", 2)),
        client(packet(CIPHER, 3)),
        server(OK),
    ],
    "sha256, a key of ones own": [server(greeting(SHA256)), client(login(SHA256, CIPHER)), server(OK)],
    "sha256, no password": [server(greeting(SHA256)), client(login(SHA256, b"\0")), server(OK)],
    "clear, no password": [server(greeting(CLEAR)), client(login(CLEAR, b"\0")), server(OK)],
    "no plug-ins": [server(greeting(b"")), client(login(b"", SCRAMBLE, SECURE | PROTOCOL)), server(OK)],
    "no database": [server(greeting(NATIVE)), client(login(NATIVE, SCRAMBLE, MODERN & ~WITH_DB)), server(OK)],
    "more data": [*HELLO, server(packet(b"\1" + switch(CLEAR)[4:], 2)), client(packet(b"", 3)), server(OK)],
    "a factor that was not agreed on": [*HELLO, server(packet(b"\2" + CLEAR + b"\0", 2)), server(OK)],
    "an empty packet": [*HELLO, server(packet(b"", 2)), server(OK)],
    "PostgreSQL": [client(SSL_REQUEST), server(b"S"), client(b"\x16\x03\x01")],
}

MYSQL_CUT_OFF: dict[str, tuple[list[Said], int]] = {
    "asked for": ([*HELLO, server(switch(CLEAR))], 2),
    "asked for by another way of spelling": ([*HELLO, server(switch(b"MySQL_Clear_Password"))], 2),
    "PAM": ([*HELLO, server(switch(DIALOG))], 2),
    "the hash of MySQL 4.0": ([*HELLO, server(packet(b"\xfe", 2))], 2),
    "an old account": ([*HELLO, server(switch(b"mysql_old_password"))], 2),
    "a name without an end": ([*HELLO, server(packet(b"\xfe" + CLEAR, 2))], 2),
    "at the second try": (
        [*HELLO, server(switch(SHA2)), client(packet(SHA2_SCRAMBLE, 3)), server(switch(CLEAR, 4))],
        4,
    ),
    "a second factor": (
        [
            server(greeting(NATIVE)),
            client(login(NATIVE, SCRAMBLE, MODERN | FACTORS)),
            server(packet(b"\2" + CLEAR + b"\0", 2)),
        ],
        2,
    ),
    "before the login": ([server(greeting(NATIVE) + switch(CLEAR, 1))], 1),
    "behind a welcome before the login": ([server(greeting(NATIVE) + OK + switch(CLEAR, 1))], 1),
    "in the login": ([server(greeting(CLEAR)), client(login(CLEAR, b"daisy\0"))], 2),
    "in the login, by the user's choice": (
        [server(greeting(NATIVE)), client(login(CLEAR, b"daisy\0", MODERN & ~LENENC))],
        2,
    ),
    "in a login that says TLS and is none": (
        [server(greeting(CLEAR)), client(login(CLEAR, b"daisy\0", MODERN | SSL))],
        2,
    ),
    "in a login of MySQL 4.0": ([server(greeting(b"")), client(packet(b"\x05\0\0\0\1me\0daisy\0", 1))], 2),
    "in a login without a scramble": ([server(greeting(b"")), client(login(b"", b"daisy", PROTOCOL))], 2),
    "sha256 asks for a key": ([server(greeting(SHA256)), client(login(SHA256, b"\1"))], 2),
    "sha256 asks for a key after a switch": ([*HELLO, server(switch(SHA256)), client(packet(b"\1", 3))], 4),
    "sha2 asks for a key": ([*SHA2_HELLO, server(packet(b"\1\4", 2)), client(packet(b"\2", 3))], 4),
    "sha2 at a socket": ([*SHA2_HELLO, server(packet(b"\1\4", 2)), client(packet(b"daisy\0", 3))], 4),
    "sha2 at a socket, 31 letters": (
        [*SHA2_HELLO, server(packet(b"\1\4", 2)), client(packet(b"daisy" + b"x" * 26 + b"\0", 3))],
        4,
    ),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("case", MYSQL_GOES_WELL)
def test_a_mysql_session_passes_byte_for_byte(case: str, step: int) -> None:
    said = MYSQL_GOES_WELL[case]
    heard = Heard(guard_of(Engine.MYSQL)).play(said, step)
    assert heard.guard.refused == ""
    up, down = heard.guard.held_back()
    heard.by[SERVER] += up
    heard.by[CLIENT] += down
    assert heard.by == {SERVER: sent_by(CLIENT, said), CLIENT: sent_by(SERVER, said)}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("case", MYSQL_CUT_OFF)
def test_a_mysql_client_does_not_give_its_password_away(case: str, step: int) -> None:
    said, sequence = MYSQL_CUT_OFF[case]
    heard = Heard(guard_of(Engine.MYSQL)).play(said, step)
    assert heard.guard.refused
    assert b"daisy" not in heard.by[SERVER]
    assert CLEAR not in heard.by[CLIENT].replace(greeting(CLEAR), b"")
    error = heard.guard.told("canary-tui: no").hear(b"")
    assert wire.split_header(error[:4]) == (len(error) - 4, sequence)
    assert wire.parse(error[4:]) == wire.Refusal(1105, "canary-tui: no")


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_neither_side_of_a_mysql_login_talks_without_end(side: str) -> None:
    heard = Heard(guard_of(Engine.MYSQL)).play(HELLO)
    heard.play([(side, packet(b"\1x", 3) * 100)] * (LOGIN_BYTES // 600 + 1))
    assert "64 kB" in heard.guard.refused


def test_a_packet_that_is_announced_and_never_ends_is_not_kept() -> None:
    heard = Heard(guard_of(Engine.MYSQL)).play([server(greeting(NATIVE))])
    heard.play([client(b"\xff\xff\xff\1"), *[client(b"x" * 1000)] * 70])
    assert "64 kB" in heard.guard.refused
    assert heard.by[SERVER] == b""


def test_the_server_is_left_by_a_wrong_answer_where_it_has_the_login() -> None:
    heard = Heard(guard_of(Engine.MYSQL)).play([*HELLO, server(switch(DIALOG))])
    left = heard.guard.left()
    assert left.hear(b"") == packet(bytes(64), 3)
    assert left.hear(switch(NATIVE, 4)) == packet(b"", 5)
    assert not left.over
    assert left.hear(packet(b"\xff\x15\x04#28000no", 6)) == b""
    assert left.over


def test_the_server_is_left_as_nobody_where_it_does_not_have_the_login() -> None:
    heard = Heard(guard_of(Engine.MYSQL)).play([server(greeting(CLEAR)), client(login(CLEAR, b"daisy\0"))])
    left = heard.guard.left()
    said = left.hear(b"")
    assert said[36:] == b"canary-tui\0\0mysql_native_password\0"
    assert wire.split_header(said[:4]) == (len(said) - 4, 1)
    assert left.hear(packet(b"\0\0\0\2\0\0\0", 2)) == wire.QUIT
    assert left.over


@pytest.mark.parametrize("said", [b"", b"x", b"\xff" * 5, switch(NATIVE)])
def test_who_asks_on_is_not_answered_for_ever(said: bytes) -> None:
    left = guard_of(Engine.MYSQL).left()
    left.hear(b"")
    for _ in range(3):
        left.hear(said or b"x")
    assert left.over
