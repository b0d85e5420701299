"""A stand-in that speaks TLS as a database does, and what MySQL says first."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Self

from canary_tui.databases.mysql.wire import packet
from canary_tui.servers.model import Engine
from tests.harness.certs import Authority


class TlsFront:
    """A proxy in front of a database that wants a client's certificate (TLS 1.3), in a thread of its own.

    With ``weak`` it shows a certificate that is signed with SHA-1, which databases themselves refuse to load.
    """

    def __init__(self, engine: Engine, authority: Authority, *, weak: bool = False) -> None:
        certificate = authority.issue(["localhost"] if weak else ["db.internal"], weak=weak)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if weak:
            self._context.set_ciphers("DEFAULT:@SECLEVEL=0")
        self._context.load_cert_chain(certificate.cert, certificate.key)
        self._context.load_verify_locations(authority.ca)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._engine = engine
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.address: tuple[str, int] = self._listener.getsockname()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client:
            if self._engine is Engine.POSTGRESQL:
                client.recv(8)
                client.sendall(b"S")
            else:
                client.sendall(GREETING)
                client.recv(36, socket.MSG_WAITALL)
            with contextlib.suppress(OSError):
                self._context.wrap_socket(client, server_side=True)
            # Read to the end, or the close would reset the alert away.
            with contextlib.suppress(OSError):
                while client.recv(4096):
                    pass


GREETING = packet(
    b"\x0a8.0.36\0"
    + bytes(4)
    + b"12345678\0"
    + b"\xff\xff\xff\x02\0\x0f\x00\x15"
    + bytes(10)
    + b"123456789012\0mysql_native_password\0",
    0,
)
