"""A peer that never stops sending. Each runs in a thread of its own."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from types import TracebackType
from typing import Self

from tests.harness.certs import Certificate

CHUNK = 65_536
LIMIT = 10.0
MOST = 256 * 1024 * 1024
"""Bytes after which a flood ends by itself."""


class Does(Enum):
    """What a peer does, besides sending bytes."""

    HEARS = "hears"
    """Waits for something from the client."""
    BEGINS_TLS = "begins_tls"


Step = bytes | int | Does
"""Bytes are sent, a number is how many bytes are waited for."""


class Floods:
    """Goes through ``script`` with whoever connects, and then sends what ``flood`` gives, without an end.

    ``pause`` seconds lie between two pieces. ``sent`` is how many bytes of it the last client was sent.
    """

    def __init__(
        self,
        script: Sequence[Step],
        flood: Callable[[], Iterator[bytes]],
        *,
        tls: Certificate | None = None,
        pause: float = 0.0,
    ) -> None:
        self.script = script
        self.flood = flood
        self.pause = pause
        self.sent = 0
        self.heard = bytearray()
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls.cert, tls.key)
        self._stop = threading.Event()
        self._client = socket.socket()
        self._client.close()
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
        self._stop.set()
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
            self._client = client
            with contextlib.suppress(OSError):
                for step in self.script:
                    self._take(step)
                self._pour()
            self._client.close()

    def _take(self, step: Step) -> None:
        """Take one step of the script."""
        if isinstance(step, bytes):
            self._client.sendall(step)
        elif isinstance(step, int):
            self.heard += self._client.recv(step, socket.MSG_WAITALL)
        elif step is Does.HEARS:
            self.heard += self._client.recv(CHUNK)
        else:
            assert self._context is not None
            plain, self._client = (
                self._client,
                self._context.wrap_socket(self._client, server_side=True, do_handshake_on_connect=False),
            )
            plain.close()
            self._client.do_handshake()

    def _pour(self) -> None:
        self.sent = 0
        for piece in self.flood():
            self._client.sendall(piece)
            self.sent += len(piece)
            if self.sent > MOST or self._stop.wait(self.pause):
                return


def endless(piece: bytes) -> Callable[[], Iterator[bytes]]:
    """The same again and again."""
    whole = piece * max(1, CHUNK // max(1, len(piece)))
    return lambda: itertools.repeat(whole)


def announced(header: bytes, filler: bytes = b"x") -> Callable[[], Iterator[bytes]]:
    """A header, and what it announces."""
    whole = filler * (CHUNK // len(filler))
    return lambda: itertools.chain([header], itertools.repeat(whole))


def numbered(piece: Callable[[int], bytes]) -> Callable[[], Iterator[bytes]]:
    """Pieces that differ."""
    return lambda: (b"".join(map(piece, range(first, first + 1000))) for first in itertools.count(0, 1000))
