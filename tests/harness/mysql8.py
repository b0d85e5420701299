"""A stand-in for MySQL 8, which Debian does not have: its logins, each with its real cryptography.

MySQL 8 Reference, "MySQL Client/Server Protocol", "Authentication Methods". It notes every password that it
could read; what it cannot do beside logins is to answer queries with anything but one row.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import socket
import ssl
import struct
import threading
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.harness.certs import Certificate

CAPABILITIES = 0x00FF_F7FF & ~0x20 & ~0x800
"""Everything but compression and TLS; no CLIENT_DEPRECATE_EOF."""
SSL = 0x800
OK = b"\0\0\0\x02\0\0\0"
OK_AND_MORE = b"\0\0\0\x0a\0\0\0"
END = b"\xfe\0\0\x02\0"
COLUMN = b"\x03def\0\0\0\x011\0\x0c\x3f\0\x01\0\0\0\x08\x81\0\0\0\0"
DENIED = b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied"
LIMIT = 10.0


class Gone(Exception):
    """The client has left."""


class Mysql8:
    """One account, ``password``, that logs in by ``plugin``; a thread serves one client after the other.

    ``greets_with`` is the plug-in that the greeting names, by default the account's. ``cached``: the server
    remembers the account's hash. ``tls`` is a certificate, or None for a server without TLS.
    """

    def __init__(
        self,
        plugin: str,
        password: str,
        *,
        tls: Certificate | None = None,
        greets_with: str | None = None,
        cached: bool = False,
    ) -> None:
        self.plugin = plugin
        self.password = password
        self.greets_with = greets_with if greets_with is not None else plugin
        self.cached = cached
        self.shown: list[str] = []
        """What it could read that was meant as a password, empty ones left out."""
        self.completed = 0
        """Logins that went to their end, granted or refused."""
        self.dropped = 0
        """Connections that ended before that: what counts towards max_connect_errors."""
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls.cert, tls.key)
        self._key = _rsa_key()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.host, self.port = self._listener.getsockname()

    def __enter__(self) -> Self:
        """Take connections."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(LIMIT)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(LIMIT)
            before = self.completed
            wire = Wire(client)
            try:
                with contextlib.suppress(Gone, OSError):
                    self._session(wire)
            finally:
                wire.sock.close()
                self.dropped += self.completed == before

    def _session(self, wire: Wire) -> None:
        salt = bytes(1 + byte % 127 for byte in os.urandom(20))
        wire.send(self._greeting(salt))
        login = wire.read()
        tls = self._context is not None and bool(struct.unpack("<I", login[:4])[0] & SSL)
        if tls and self._context is not None:
            wire.sock = self._context.wrap_socket(wire.sock, server_side=True)
            login = wire.read()
        answer, named = _login(login)
        if named != self.plugin:
            salt = bytes(1 + byte % 127 for byte in os.urandom(20))
            wire.send(b"\xfe" + self.plugin.encode() + b"\0" + salt + b"\0")
            answer = wire.read()
        granted = self._check(wire, answer, salt, tls=tls)
        self.completed += 1
        wire.send(OK if granted else DENIED)
        while granted:
            self._command(wire)

    def _greeting(self, salt: bytes) -> bytes:
        capabilities = CAPABILITIES | (SSL if self._context else 0)
        low, high = struct.pack("<HH", capabilities & 0xFFFF, capabilities >> 16)[:2], capabilities >> 16
        head = b"\x0a8.0.36\0" + struct.pack("<I", 7) + salt[:8] + b"\0" + low
        head += b"\xff\x02\0" + struct.pack("<H", high) + bytes([21]) + bytes(10)
        return head + salt[8:] + b"\0" + self.greets_with.encode() + b"\0"

    def _check(self, wire: Wire, answer: bytes, salt: bytes, *, tls: bool) -> bool:
        if not answer.strip(b"\0"):
            return False  # no password, which the account has
        if self.plugin == "mysql_native_password":
            return answer == _native(self.password, salt)
        if self.plugin == "mysql_clear_password":
            return self._read(answer)
        if self.plugin == "caching_sha2_password":
            if self.cached and answer == _sha2(self.password, salt):
                wire.send(b"\x01\x03")
                return True
            wire.send(b"\x01\x04")
            answer = wire.read()
            return self._read(answer) if tls else self._unlock(wire, answer, b"\x02", salt)
        assert self.plugin == "sha256_password"
        return self._read(answer) if tls else self._unlock(wire, answer, b"\x01", salt)

    def _unlock(self, wire: Wire, answer: bytes, wants_key: bytes, salt: bytes) -> bool:
        """A password that comes locked with our own key."""
        if answer == wants_key:
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            public = self._key.public_key().public_bytes(serialization.Encoding.PEM, form)
            wire.send(b"\x01" + public)
            answer = wire.read()
        if len(answer) != 256:
            return False
        sha1 = hashes.SHA1()  # noqa: S303 - MySQL's own choice
        plain = self._key.decrypt(answer, padding.OAEP(padding.MGF1(sha1), sha1, None))
        return self._read(bytes(byte ^ salt[at % len(salt)] for at, byte in enumerate(plain)))

    def _read(self, answer: bytes) -> bool:
        read = answer.partition(b"\0")[0].decode(errors="replace")
        if read:
            self.shown.append(read)
        return read == self.password

    def _command(self, wire: Wire) -> None:
        wire.sequence = 0
        command = wire.read()
        if command[:1] == b"\x01":
            raise Gone
        for _ in range(command.count(b";")):
            wire.send(OK_AND_MORE)
        for part in (b"\x01", COLUMN, END, b"\x011", END):
            wire.send(part)


class Wire:
    """Packets over a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sequence = 0

    def send(self, payload: bytes) -> None:
        """Send one packet."""
        self.sock.sendall(len(payload).to_bytes(3, "little") + bytes([self.sequence % 256]) + payload)
        self.sequence += 1

    def read(self) -> bytes:
        """Read one packet. Raises Gone."""
        header = self._exactly(4)
        self.sequence = header[3] + 1
        return self._exactly(int.from_bytes(header[:3], "little"))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise Gone
            data += more
        return data


@functools.cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _login(packet: bytes) -> tuple[bytes, str]:
    """Return the authentication response and the plug-in that it is for (HandshakeResponse41)."""
    capabilities = struct.unpack("<I", packet[:4])[0]
    rest = packet[32:].partition(b"\0")[2]
    answer, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
    if capabilities & 0x8:
        rest = rest.partition(b"\0")[2]
    return answer, rest.partition(b"\0")[0].decode()


def _native(password: str, salt: bytes) -> bytes:
    first = hashlib.sha1(password.encode()).digest()  # noqa: S324 - MySQL's own choice
    second = hashlib.sha1(salt + hashlib.sha1(first).digest()).digest()  # noqa: S324
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


def _sha2(password: str, salt: bytes) -> bytes:
    first = hashlib.sha256(password.encode()).digest()
    second = hashlib.sha256(
        hashlib.sha256(hashlib.sha256(password.encode()).digest()).digest() + salt
    ).digest()
    return bytes(a ^ b for a, b in zip(first, second, strict=True))
