"""An SSH connection that limits what its server sends, and sends no empty packets of its own.

All that is private to asyncssh and used here stands in this file; ``tests/servers/test_ssh_floods.py`` fails
when the library changes it.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.channel import SSHTCPChannel
from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_DISCONNECT,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_KEXINIT,
    MSG_USERAUTH_FAILURE,
)
from asyncssh.packet import Byte, PacketDecodeError, SSHPacket, String, UInt32

from canary_tui.diagnosis.printable import Source

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from typing import Any

    from asyncssh.packet import SSHPacketLogger

LOGIN_BYTES = 256 * 1024
"""What a server may send up to the end of the login. It is 5 kB as a rule, and what its banner takes."""
PACKETS_AT_ONCE = 1000
"""Packets without content that may come at once. One that is longer than 1 kB counts once for each kB."""
PACKETS_PER_SECOND = 100
"""How many may come for ever. An idle sshd sends one a second where ``ClientAliveInterval`` is 1."""
ANSWERS = 2
"""Packets without content that each request and each piece of data of ours may bring in addition."""
KEY_EXCHANGE = 100
"""What a new key exchange counts as: it takes 20 ms at most, and honest servers want one a gigabyte or so."""
SMALLEST_PACKET = 256
"""Bytes of ours that a server must take in a packet. All have to take 32,768 (RFC 4253 §6.1)."""
PACKETS_A_TURN = 64
"""Packets that are looked at before everything else on the event loop has its turn: 2 ms."""

CONTENT = {MSG_CHANNEL_DATA: 9, MSG_CHANNEL_EXTENDED_DATA: 13}
"""Packets that carry content, and their length in bytes where there is none in them (RFC 4254 §5.2)."""
REQUESTS = frozenset({
    MSG_GLOBAL_REQUEST, MSG_CHANNEL_OPEN, MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_EOF,
    MSG_CHANNEL_CLOSE, MSG_CHANNEL_REQUEST
})  # fmt: skip
"""What is sent of our own accord. Answers do not count: a server would pay for its flood by asking."""


class SentTooMuch(asyncssh.ProtocolError):
    """The server sent what no honest one sends, and was cut off."""


class Allowance:
    """Packets without content that a server may still send; ``clock`` gives seconds and never steps back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(PACKETS_AT_ONCE)
        self._at = clock()

    def add(self, packets: float) -> None:
        """Allow so many more."""
        self._left = min(float(PACKETS_AT_ONCE), self._left + packets)

    def take(self, packets: float) -> None:
        """Take so many off."""
        now = self._clock()
        self.add((now - self._at) * PACKETS_PER_SECOND)
        self._left -= packets
        self._at = now

    @property
    def used_up(self) -> bool:
        """Whether more came than was allowed."""
        return self._left < 0


def metered(connection: asyncssh.SSHClientConnection) -> MeteredConnection:
    """Turn asyncssh's new connection, which has not read anything yet, into a ``MeteredConnection``."""
    # asyncssh.connect() makes the connection itself and cannot be told of which class.
    connection.__class__ = MeteredConnection
    assert isinstance(connection, MeteredConnection)  # noqa: S101 - for the type checker
    connection.begin()
    return connection


class Disconnected(asyncssh.DisconnectError):
    """The server ended the connection with words of its own.

    asyncssh would raise what it raises by itself too: *host key not verifiable* (RFC 4253 §11.1), which is no
    word about a key that nobody here trusts.
    """

    @classmethod
    def read(cls, packet: SSHPacket) -> Disconnected:
        """Return what an SSH_MSG_DISCONNECT says, in whatever encoding it is."""
        try:
            code, words = packet.get_uint32(), packet.get_string().decode(errors="replace")
        except PacketDecodeError:
            code, words = 0, ""
        return cls(code, words if words.strip() else f"it ended the connection without a word (code {code})")


class MeteredConnection(asyncssh.SSHClientConnection):
    """Asyncssh's connection with the limits of this file.

    asyncssh looks at all that has come in one go, 0.03 ms a packet: a server that sends small packets
    without end would have the event loop for itself.
    """

    _transport: asyncio.Transport | None
    _auth_complete: bool
    _pktlen: int
    """Bytes of the packet that was received last."""

    _global_request_waiters: list[asyncio.Future[tuple[int, SSHPacket]]]
    key_accepted = False
    """Whether the server took the key and wants something else as well (*partial success*, RFC 4252 §5.1)."""
    methods: tuple[str, ...] = ()
    """The login methods that may go on, as the server named them last (RFC 4252 §5.1)."""
    spoke_after_login = False
    """Whether the server has said anything since it let the user in, but for the end of the connection."""

    def begin(self) -> None:
        """Begin to count."""
        self.allowance = Allowance()
        self.heard = self._loop.time()
        """When data came in last, by the event loop's clock."""
        self._nobody: asyncio.Future[tuple[int, SSHPacket]] = self._loop.create_future()
        self._nobody.cancel()
        self._received = 0
        self._turn = 0

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Take bytes from the transport."""
        if not self._auth_complete:
            self._received += len(data)
            if self._received > LOGIN_BYTES:
                self._cut_off(f"it sent more than {LOGIN_BYTES // 1024} kB before the end of the login")
                return
        self._turn = 0
        self.heard = self._loop.time()
        super().data_received(data, datatype)

    def send_packet(self, pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        """Send a packet, unless it is one of those that asyncssh sends before each other.

        They guard ciphers in CBC mode, whose next initialisation vector an attacker sees (RFC 4251 §9.3.1).
        None of ours is one; each such packet costs a system call and wakes the SSH server, an eighth of
        what a query takes.
        """
        if pkttype == MSG_IGNORE or self._transport is None or self._transport.is_closing():
            return  # asyncio warns of what is written to a connection that has ended
        if pkttype in REQUESTS:
            self.allowance.add(ANSWERS)
        super().send_packet(pkttype, *args, handler=handler)

    def send_keepalive(self) -> None:
        """Send what every server answers in some way, and what changes nothing (as ssh(1) does).

        asyncssh's own keepalives take a task each, and only their own answer counts as a sign of life.
        """
        # Answers come in the order of the requests (RFC 4254 §4). Nobody waits for this one.
        self._global_request_waiters.append(self._nobody)
        self._send_global_request(b"keepalive@openssh.com", want_reply=True)

    def create_tcp_channel(self, *args: Any, **named: Any) -> SSHTCPChannel[Any]:
        """Make a channel that counts what is empty."""
        channel: SSHTCPChannel[Any] = super().create_tcp_channel(*args, **named)
        channel.__class__ = _MeteredChannel
        return channel

    def _recv_pkthdr(self) -> bool:
        if self.allowance.used_up:
            self._cut_off(
                f"it sent more than {PACKETS_AT_ONCE} packets without content, and more than "
                f"{PACKETS_PER_SECOND} a second"
            )
            return False
        if self._turn >= PACKETS_A_TURN and self._transport is not None:
            self._transport.pause_reading()
            self._loop.call_soon(self._next_turn)
            return False
        more: bool = super()._recv_pkthdr()
        return more

    def _next_turn(self) -> None:
        self._turn = 0
        if self._transport is not None:
            self._transport.resume_reading()
            self._recv_data()

    def _finish_recv_packet(self, pkttype: int, *args: Any, **named: Any) -> None:
        # Each packet ends here, whoever has looked at it.
        self._turn += 1
        if pkttype not in CONTENT:
            count = KEY_EXCHANGE if pkttype == MSG_KEXINIT else 1
            self.allowance.take(count + self._pktlen // 1024)
        super()._finish_recv_packet(pkttype, *args, **named)

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
        """Look at how a login fails, which asyncssh keeps to itself or confuses, and process the packet."""
        if pkttype == MSG_USERAUTH_FAILURE:
            copy = SSHPacket(packet.get_full_payload())
            copy.get_byte()
            with contextlib.suppress(PacketDecodeError):
                self.methods = tuple(map(Source.SSH_ERROR.text, copy.get_namelist()))
                self.key_accepted = copy.get_boolean() or self.key_accepted
        if pkttype == MSG_DISCONNECT:
            self._force_close(Disconnected.read(packet))
            return True
        self.spoke_after_login = self._auth_complete
        if pkttype == MSG_CHANNEL_OPEN_FAILURE:
            packet = _without_language(packet)
        return super().process_packet(pkttype, pktid, packet)

    def _cut_off(self, words: str) -> None:
        self._force_close(SentTooMuch(f"cut off: {words}"))


def _without_language(refusal: SSHPacket) -> SSHPacket:
    """Return an SSH_MSG_CHANNEL_OPEN_FAILURE with its words alone (RFC 4254 §5.1).

    Asyncssh ends the whole connection where the language tag behind them is not ASCII.
    """
    packet = SSHPacket(refusal.get_full_payload())
    try:
        head = Byte(packet.get_byte()) + UInt32(packet.get_uint32()) + UInt32(packet.get_uint32())
        words = packet.get_string()
    except PacketDecodeError:
        return refusal
    packet = SSHPacket(head + String(words) + String(""))
    packet.get_byte()
    return packet


class _MeteredChannel(SSHTCPChannel[bytes]):
    """A channel on which data without a byte in it counts as what it is, and that can be written to."""

    def process_open_confirmation(
        self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket
    ) -> None:
        """Take the channel, unless each few bytes of ours would have to be a packet."""
        if send_pktsize < SMALLEST_PACKET:
            raise asyncssh.ProtocolError(f"cut off: it takes only {send_pktsize} bytes in a packet")
        super().process_open_confirmation(send_chan, send_window, send_pktsize, packet)

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
        if len(packet.get_full_payload()) <= CONTENT.get(pkttype, 0):
            assert isinstance(self._conn, MeteredConnection)  # noqa: S101 - it made this channel
            self._conn.allowance.take(1)
        return super().process_packet(pkttype, pktid, packet)


def offered_algorithms(connection: asyncssh.SSHClientConnection) -> bytes:
    """Return the server's SSH_MSG_KEXINIT (RFC 4253 §7.1), which asyncssh keeps; empty before it came."""
    return bytes(getattr(connection, "_server_kexinit", b""))
