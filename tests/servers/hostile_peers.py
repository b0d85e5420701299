"""Peers that say something hostile wherever a peer may speak."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Any, Self

import asyncssh

from canary_tui.databases.mysql.wire import packet
from tests.harness.misbehave import Fake

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.certs import Certificate

SSH_VERSION = b"SSH-2.0-OpenSSH_9.2p1\r\n"


# What a database says


class Turns(Fake):
    """Says each of ``turns`` in answer to something, or at once where nothing is waited for, and closes."""

    def __init__(self, *turns: bytes, speaks_first: bool = False) -> None:
        super().__init__()
        self._turns = turns
        self._speaks_first = speaks_first

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for number, turn in enumerate(self._turns):
            if number or not self._speaks_first:
                await loop.sock_recv(client, 65_536)
            await loop.sock_sendall(client, turn)
        client.shutdown(socket.SHUT_WR)
        await self._listen_to(client)


def pg_message(kind: bytes, body: bytes) -> bytes:
    """Return one message of a PostgreSQL server."""
    return kind + struct.pack("!i", len(body) + 4) + body


def pg_error(state: str, said: bytes) -> bytes:
    """Return an ErrorResponse that has ``said`` in each field that is text."""
    said = said.replace(b"\0", b" ")
    fields = [b"SFATAL", b"VFATAL", b"C" + state.encode(), *(kind.encode() + said for kind in "MDHWRstcdn")]
    return pg_message(b"E", b"".join(field + b"\0" for field in fields) + b"\0")


def pg_welcome(said: bytes) -> bytes:
    """Return the end of a login: its parameters say ``said``."""
    said = said.replace(b"\0", b" ")
    names = (b"server_version", b"TimeZone", b"application_name", b"x" + said)
    parameters = b"".join(pg_message(b"S", name + b"\0" + said + b"\0") for name in names)
    notice = pg_error("01000", said).replace(b"E", b"N", 1)
    return pg_message(b"R", bytes(4)) + parameters + notice + pg_message(b"Z", b"I")


def mysql_greeting(version: bytes, plugin: bytes = b"mysql_native_password") -> bytes:
    """Return a greeting without TLS."""
    return packet(
        b"\x0a" + version.replace(b"\0", b" ") + b"\0" + bytes(4) + b"12345678\0" + b"\xff\xf7\xff\x02\0"
        b"\x0f\x00\x15" + bytes(10) + b"123456789012\0" + plugin.replace(b"\0", b" ") + b"\0",
        0,
    )  # fmt: skip


def mysql_error(code: int, said: bytes, sequence: int) -> bytes:
    """Return an ERR packet."""
    state = b"#28000" if sequence else b""
    return packet(b"\xff" + code.to_bytes(2, "little") + state + said, sequence)


# What an SSH server says


def ssh_packet(kind: int, payload: bytes) -> bytes:
    """Return a packet as it is before the key exchange (RFC 4253 §6)."""
    body = bytes([kind]) + payload
    padding = 8 - (len(body) + 5) % 8 + 8
    return struct.pack(">IB", len(body) + padding + 1, padding) + body + bytes(padding)


def ssh_string(data: bytes) -> bytes:
    """Return a string as SSH's packets have it."""
    return struct.pack(">I", len(data)) + data


class SshServers:
    """Stand-in SSH servers on a loop of their own: each says something hostile at its own moment.

    All take any key. ``host_key`` is theirs all.
    """

    def __init__(self) -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._acceptors: list[asyncssh.SSHAcceptor] = []

    def __enter__(self) -> Self:
        """Start the loop."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def listen(self, server: Callable[[], asyncssh.SSHServer], **options: Any) -> int:
        """Start one; return its port."""

        async def begin() -> int:
            acceptor = await asyncssh.listen(
                "127.0.0.1", 0, server_factory=server, server_host_keys=[self.host_key], **options
            )
            self._acceptors.append(acceptor)
            return int(acceptor.get_port())

        return asyncio.run_coroutine_threadsafe(begin(), self._loop).result(10)

    async def _close(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
            await acceptor.wait_closed()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Talker(asyncssh.SSHServer):
    """Says ``said`` at each of ``moments``: ``version banner debug login channel output``."""

    def __init__(self, said: str, *moments: str) -> None:
        self._said = said
        self._moments = moments

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        if "version" in self._moments:
            version = "".join(c for c in self._said if c.isascii() and c not in "\r\n\0")[:200]
            conn._version = b"OpenSSH_9.2 " + version.encode()

    def begin_auth(self, username: str) -> bool:
        if "banner" in self._moments:
            self.connection.send_auth_banner(self._said)
        if "debug" in self._moments:
            self.connection.send_debug(self._said, always_display=True)
        if "login" in self._moments:
            self.connection.disconnect(asyncssh.DISC_BY_APPLICATION, self._said)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True

    def connection_requested(self, *_: object) -> bool:
        if "debug" in self._moments:
            self.connection.send_debug(self._said, always_display=True)
        if "lost" in self._moments:
            self.connection.disconnect(asyncssh.DISC_CONNECTION_LOST, self._said)
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, self._said)

    def unix_connection_requested(self, *_: object) -> bool:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, self._said)

    def server_requested(self, *_: object) -> bool:
        return False


class TlsDatabase:
    """Says that it does TLS, as PostgreSQL does, and shows a certificate; then it ends."""

    def __init__(self, certificate: Certificate) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.cert, certificate.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                client.settimeout(5)
                client.recv(8)
                client.sendall(b"S")
                with self._context.wrap_socket(client, server_side=True) as session:
                    session.recv(100)
