"""What databases that never stop sending say, for the tests of the limits."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from canary_tui.databases.mysql.wire import packet
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.floods import Does, Step, announced, endless, numbered

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
HEARS, TLS = Does.HEARS, Does.BEGINS_TLS
CLEAR, SECURE = TlsMode.DISABLE, TlsMode.REQUIRE
Flood = Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Attack:
    """A peer, and what it is to be called. ``stages`` are those at which it may be noticed."""

    name: str
    engine: Engine
    mode: TlsMode
    script: tuple[Step, ...]
    flood: Flood
    cause: Cause
    stages: frozenset[Stage]


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message of PostgreSQL's."""
    return kind + struct.pack("!i", len(body) + 4) + body


def greeting(mode: TlsMode, plugin: bytes = b"mysql_native_password") -> bytes:
    """A MySQL 8 greeting."""
    low, high = struct.pack("<I", 0x0008F7DF if mode is CLEAR else 0x0008FFDF)[:2], b"\x08\0"
    payload = b"\x0a8.0.36\0" + struct.pack("<I", 7) + b"12345678\0" + low + b"\xff\x02\0" + high
    return packet(payload + bytes([21]) + bytes(10) + b"123456789012\0" + plugin + b"\0", 0)


def _asks(step: int, body: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!i", step) + body)


LOGGED_IN = _asks(0) + message(b"S", b"server_version\x0015.3\0") + message(b"Z", b"I")
OK, MORE, END = b"\0\0\0\x02\0\0\0", b"\0\0\0\x0a\0\0\0", b"\xfe\0\0\x02\0"
NOTICE, ERROR = message(b"N", b"SNOTICE\0\0"), b"SERROR\0CXX000\0M"
ROWS = packet(b"\x01", 1) + packet(b"\x03def", 2) + packet(END, 3)
WIDE = "\N{GRINNING FACE}".encode()
"""Four bytes that become four bytes a character, whatever else is in the text."""
PG_BEGINS = {CLEAR: (HEARS,), SECURE: (HEARS, b"S", TLS, HEARS)}
MY_BEGINS = {CLEAR: (greeting(CLEAR), HEARS), SECURE: (greeting(SECURE), 36, TLS, HEARS)}
EARLY = frozenset({Stage.DATABASE, Stage.LOGIN})


def _before(name: str, flood: Flood, said: bytes = b"") -> Iterator[Attack]:
    """PostgreSQL: a flood instead of the login, without TLS and in it."""
    for mode in (CLEAR, SECURE):
        script = (*PG_BEGINS[mode], *((said,) * bool(said)))
        yield Attack(f"{PG} {mode}, before: {name}", PG, mode, script, flood, Cause.WRONG_PROTOCOL, EARLY)


def _large_packets(name: str, payload: bytes, filler: bytes) -> Iterator[Attack]:
    """MySQL: packets of 16 MB instead of the login, without TLS and in it."""
    for mode, sequence in ((CLEAR, 2), (SECURE, 3)):
        flood = announced(b"\xff\xff\xff" + bytes([sequence]) + payload, filler)
        name_of_it = f"{MY} {mode}, before: {name}"
        yield Attack(name_of_it, MY, mode, MY_BEGINS[mode], flood, Cause.WRONG_PROTOCOL, EARLY)


def _after(name: str, engine: Engine, flood: Flood, said: bytes = b"") -> Iterator[Attack]:
    """A flood instead of the query's answer, without TLS and in it."""
    for mode in (CLEAR, SECURE):
        login = LOGGED_IN if engine is PG else packet(OK, 2 if mode is CLEAR else 3)
        begins = (PG_BEGINS if engine is PG else MY_BEGINS)[mode]
        script = (*begins, login, HEARS, *((said,) * bool(said)))
        at = frozenset({Stage.QUERY})
        yield Attack(f"{engine} {mode}, after: {name}", engine, mode, script, flood, Cause.QUERY_FAILED, at)


def _handshake(name: str, flood: Flood) -> Iterator[Attack]:
    """A flood instead of the TLS handshake."""
    for engine, script in ((PG, (HEARS, b"S", HEARS)), (MY, (greeting(SECURE), 36, HEARS))):
        at = frozenset({Stage.TLS})
        yield Attack(f"{engine} TLS: {name}", engine, SECURE, script, flood, Cause.TLS_FAILED, at)


def _declares(kind: bytes, length: int) -> Flood:
    return announced(kind + struct.pack("!i", length))


ATTACKS = (
    *_before("error of 100 MB", announced(b"E" + struct.pack("!i", 10**8) + ERROR, WIDE)),
    *_before("error of 100 MB after the login's OK", _declares(b"E", 10**8), _asks(0)),
    *_before("2 GB", _declares(b"S", 2**31 - 1), _asks(0)),
    *_before("a length below zero", _declares(b"S", -5), _asks(0)),
    *_before("a length of zero", endless(b"S" + bytes(4)), _asks(0)),
    *_before("notices", endless(NOTICE)),
    *_before("settings", numbered(lambda n: message(b"S", b"p%d\0v\0" % n)), _asks(0)),
    *_before("md5", endless(_asks(5, b"salt"))),
    *_before("SCRAM's second step", endless(_asks(11, b"r=x,s=c2FsdA==,i=4096"))),
    *_after("notices", PG, endless(NOTICE)),
    *_after("settings", PG, numbered(lambda n: message(b"S", b"p%d\0v\0" % n))),
    *_after("notifications", PG, endless(message(b"A", bytes(4) + b"c\0p\0"))),
    *_after("rows", PG, endless(message(b"D", bytes(2)))),
    *_after("copied rows", PG, endless(message(b"d"))),
    *_after("a row of 100 MB", PG, _declares(b"D", 10**8)),
    *_after("an error of 100 MB", PG, announced(b"E" + struct.pack("!i", 10**8) + ERROR, WIDE)),
    *_after("an error of 7 MB", PG, announced(b"E" + struct.pack("!i", 7 * 10**6) + ERROR, WIDE)),
    *_after("columns of 10 MB", PG, _declares(b"T", 10**7)),
    *_after("a login of 7 MB", PG, _declares(b"R", 7 * 10**6)),
    *_after("ends of statements", PG, endless(message(b"C", b"SELECT 1\0"))),
    *_large_packets("packets of 16 MB", b"", b"x"),
    *_large_packets("an error of 16 MB", b"\xff\x28\x04#28000", WIDE),
    *_after("empty results", MY, endless(packet(MORE, 1))),
    *_after("rows", MY, endless(packet(b"\x011", 4)), ROWS),
    *_after("empty rows", MY, endless(packet(b"", 4)), ROWS),
    *_after("rows of 16 MB", MY, announced(b"\xff\xff\xff\x04"), ROWS),
    *_after("an error of 16 MB", MY, announced(b"\xff\xff\xff\x01\xff\x28\x04#28000", WIDE)),
    *_after("columns", MY, endless(packet(b"\x03def", 2)), packet(b"\xfd\xff\xff\xff", 1)),
    *_after("a file of ours", MY, endless(packet(b"\xfb/etc/passwd", 1))),
    Attack(
        "mysql greeting of 64 kB",
        MY,
        CLEAR,
        (),
        announced(b"\xff\xff\0\0\x0a", b"8"),
        Cause.WRONG_PROTOCOL,
        EARLY,
    ),
    *_handshake("a message of 16 MB", endless(b"\x16\x03\x03\x3f\xff\x02\xff\xff\xff" + b"x" * 16_379)),
    *_handshake("changes of cipher", endless(b"\x14\x03\x03\x00\x01\x01")),
    *_handshake("warnings", endless(b"\x15\x03\x03\x00\x02\x01\x00")),
    *_handshake("empty records", endless(b"\x16\x03\x03\x00\x00")),
)
