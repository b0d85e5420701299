"""The first packets of a MySQL connection: the server's greeting, its refusals, and a polite retreat.

MySQL 8 Reference, "MySQL Client/Server Protocol": Protocol::HandshakeV10, ERR_Packet, HandshakeResponse41.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from canary_tui.databases.link import Link

HEADER = 4
LONGEST_GREETING = 4096
"""Bytes. Real greetings have about 100."""
ERROR, OK, SWITCH_AUTH, MORE_AUTH = 0xFF, 0x00, 0xFE, 0x01
QUIT = b"\x01\x00\x00\x00\x01"

CLIENT_LONG_PASSWORD = 0x1
CLIENT_PROTOCOL_41 = 0x200
CLIENT_SSL = 0x800
CLIENT_SECURE_CONNECTION = 0x8000
CLIENT_PLUGIN_AUTH = 0x80000
LONGEST_PACKET = 0xFFFFFF
UTF8 = 33


class Greeting(msgspec.Struct, frozen=True):
    """What a server says first: its version and what it can do."""

    version: str
    capabilities: int

    @property
    def offers_tls(self) -> bool:
        """Whether TLS may be asked for."""
        return bool(self.capabilities & CLIENT_SSL)

    @property
    def mariadb(self) -> bool:
        """Whether it is MariaDB and not MySQL."""
        return "mariadb" in self.version.lower()

    @property
    def number(self) -> tuple[int, ...]:
        """The version as numbers; MariaDB's without the 5.5.5 that old replicas want to see."""
        found = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)", self.version, re.ASCII)
        return tuple(int(part) for part in found.groups()) if found else ()


class Refusal(msgspec.Struct, frozen=True):
    """An error that a server sends."""

    code: int
    text: str


class ServerRefused(Exception):
    """An error that a server sends instead of an answer."""

    def __init__(self, said: Refusal) -> None:
        super().__init__(said.text)
        self.said = said


async def read_greeting(link: Link) -> Greeting | Refusal | None:
    """Return what the server says first, still unread for the driver; None when it is no MySQL.

    Raises EOFError when the server closes before it has said as much.
    """
    header = await _peek(link, HEADER)
    if not announces_greeting(header):
        return None
    return parse((await _peek(link, HEADER + split_header(header)[0]))[HEADER:])


def announces_greeting(header: bytes) -> bool:
    """Whether four bytes can be the header of a server's first packet."""
    length, sequence = split_header(header)
    return sequence == 0 and 1 < length <= LONGEST_GREETING


def split_header(header: bytes) -> tuple[int, int]:
    """Return the length and the sequence number of the packet that four bytes announce."""
    return int.from_bytes(header[:3], "little"), header[3]


def parse(payload: bytes) -> Greeting | Refusal | None:
    """Return what a server's first packet says; None when that is no MySQL."""
    if payload[:1] == bytes([ERROR]) and len(payload) >= 3:
        return server_error(payload)
    version, zero, rest = payload[1:].partition(b"\0")
    # Thread 4, salt 8, filler 1, capabilities 2, character set 1, status 2, upper capabilities 2.
    # The driver needs a version that begins with a number.
    if payload[:1] != b"\x0a" or not zero or len(rest) < 15 or not version.partition(b".")[0].isdigit():
        return None
    upper = rest[18:20] if len(rest) >= 20 else b""
    capabilities = int.from_bytes(rest[13:15] + upper, "little")
    return Greeting(version.decode("latin-1"), capabilities)


def server_error(payload: bytes) -> Refusal:
    """Return what an ERR packet says."""
    # Before the login there is no SQLSTATE, but some proxies send one: '#' and five letters.
    text = payload[9:] if payload[3:4] == b"#" else payload[3:]
    return Refusal(int.from_bytes(payload[1:3], "little"), text.decode(errors="replace"))


async def retreat(link: Link, greeting: Greeting) -> None:
    """End a connection at the greeting so that the server does not hold it against this address.

    A connection that is dropped here counts towards max_connect_errors, a refused login does not. So we
    log in as nobody, without a password, and are refused; if not, we say good-bye.
    """
    await link.receive(HEADER + split_header(await link.peek(HEADER))[0])
    await link.send(nobodys_login(greeting))
    for _ in range(3):
        header = await _receive(link, HEADER)
        length, sequence = split_header(header)
        answer = await _receive(link, length)
        if answer[:1] in {bytes([SWITCH_AUTH]), bytes([MORE_AUTH])}:
            await link.send(packet(b"", sequence + 1))
            continue
        if answer[:1] == bytes([OK]):
            await link.send(QUIT)
            await link.receive(1)  # its end, so that the good-bye has arrived
        return


def nobodys_login(greeting: Greeting) -> bytes:
    """Return a login of the user ``canary-tui`` without a password."""
    wanted = CLIENT_LONG_PASSWORD | CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH
    capabilities = wanted & greeting.capabilities
    login = struct.pack("<IIB23x", capabilities, LONGEST_PACKET, UTF8) + b"canary-tui\0" + b"\0"
    if capabilities & CLIENT_PLUGIN_AUTH:
        login += b"mysql_native_password\0"
    return packet(login, 1)


def packet(payload: bytes, sequence: int) -> bytes:
    """Return a payload with its header."""
    return len(payload).to_bytes(3, "little") + bytes([sequence % 256]) + payload


async def _peek(link: Link, count: int) -> bytes:
    data = await link.peek(count)
    if len(data) < count:
        raise EOFError(f"closed after {len(data)} bytes")
    return data


async def _receive(link: Link, count: int) -> bytes:
    data = await link.receive(count)
    if len(data) < count:
        raise EOFError(f"closed after {len(data)} bytes")
    return data
