"""An SSH server that attacks whoever logs in, in a process of its own: what no real server does.

It is asyncssh's server side, which lets everybody in. ``HostileSsh`` starts it and ends it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import asyncssh
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_DEBUG,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_UNIMPLEMENTED,
    MSG_USERAUTH_BANNER,
    MSG_USERAUTH_FAILURE,
)
from asyncssh.packet import Boolean, String, UInt32

from tests.harness.ports import free_port, is_listening, wait_for
from tests.harness.process import spawn

if TYPE_CHECKING:
    import subprocess

    Packet = tuple[int, bytes]


def _opens(kind: str) -> Packet:
    where = String("127.0.0.1") + UInt32(5432)
    more = {"forwarded-tcpip": where + where, "x11": where}.get(kind, b"")
    return MSG_CHANNEL_OPEN, String(kind) + UInt32(7) + UInt32(1 << 20) + UInt32(1 << 15) + more


PACKETS: dict[str, Packet] = {
    "ignore": (MSG_IGNORE, String("")),
    "ignore_30_kB": (MSG_IGNORE, String(bytes(30_000))),
    "debug": (MSG_DEBUG, Boolean(True) + String("look\x1b]52;c;Zm9v\x07") + String("")),
    "unimplemented": (MSG_UNIMPLEMENTED, UInt32(3)),
    "unknown": (15, b""),
    "request": (MSG_GLOBAL_REQUEST, String("no-more@example.com") + Boolean(False)),
    "request_with_reply": (MSG_GLOBAL_REQUEST, String("no-more@example.com") + Boolean(True)),
    "keepalive": (MSG_GLOBAL_REQUEST, String("keepalive@openssh.com") + Boolean(True)),
    "hostkeys": (MSG_GLOBAL_REQUEST, String("hostkeys-00@openssh.com") + Boolean(False)),
    "forwarded_tcpip": _opens("forwarded-tcpip"),
    "x11": _opens("x11"),
    "agent": _opens("auth-agent@openssh.com"),
    "session": _opens("session"),
    "banner": (MSG_USERAUTH_BANNER, String("Welcome. " * 100) + String("")),
    "failure": (MSG_USERAUTH_FAILURE, String("publickey") + Boolean(False)),
    # On the first channel that was opened: the client's number of it is 0.
    "window": (MSG_CHANNEL_WINDOW_ADJUST, UInt32(0) + UInt32(0)),
    "empty_data": (MSG_CHANNEL_DATA, UInt32(0) + String(b"")),
    "channel_request": (MSG_CHANNEL_REQUEST, UInt32(0) + String("keepalive@openssh.com") + Boolean(True)),
    "content": (MSG_CHANNEL_DATA, UInt32(0) + String(b"x")),
}
"""One packet of each flood; ``rekey`` is the one that is none."""
AT_ONCE = 50


class HostileSsh:
    """Starts the server; ``attack`` is ``WHAT@WHEN``.

    WHAT is one of ``PACKETS``, ``rekey``, ``tiny`` (it takes one byte in a packet), or ``nothing``;
    WHEN is ``auth`` (when a login begins), ``login`` (when it is done), ``channel`` (when a channel has been
    opened), ``later`` (two seconds after the login).
    ``host_key`` is its public key.
    """

    def __init__(self, folder: Path, attack: str) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self._folder = folder
        self._attack = attack
        self._process: subprocess.Popen[bytes] | None = None
        key = asyncssh.generate_private_key("ssh-ed25519")
        self._key = folder / f"hostile_{self.port}"
        key.write_private_key(self._key)
        self.host_key = " ".join(key.export_public_key().decode().split()[:2])

    def __enter__(self) -> Self:
        """Start."""
        command = [sys.executable, "-m", __name__, str(self.port), str(self._key), self._attack]
        log = self._folder / f"hostile_{self.port}.log"
        self._process = spawn(command, log, parent_death=signal.SIGKILL)
        wait_for(lambda: is_listening(self.port), 20)
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class _Attacker(asyncssh.SSHServer):
    def __init__(self, attack: str) -> None:
        self._what, _, self._when = attack.partition("@")
        self._attack: asyncio.Task[None] | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection: Any = conn

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._attack is not None:
            self._attack.cancel()

    def begin_auth(self, username: str) -> bool:
        del username
        self._begin("auth")
        # A login that is attacked goes on for ever; else everybody is let in.
        return self._when == "auth"

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        del username, key
        await asyncio.sleep(3600)
        return True

    def auth_completed(self) -> None:
        self._begin("login")
        asyncio.get_running_loop().call_later(2, self._begin, "later")

    def connection_requested(self, *_: object) -> Any:
        if self._what == "tiny":
            return self._connection.create_tcp_channel(max_pktsize=1), _Channel(lambda: None)
        if self._when != "channel":
            return True  # it leads to where it should
        return _Channel(lambda: self._begin("channel"))

    def _begin(self, when: str) -> None:
        if when == self._when and self._what != "nothing" and self._attack is None:
            self._attack = asyncio.get_running_loop().create_task(self._flood())
            if self._what != "rekey":
                self._connection._recv_data = self._read_nothing

    def _read_nothing(self) -> None:
        self._connection._inpbuf = b""

    async def _flood(self) -> None:
        while True:
            for _ in range(AT_ONCE):
                if self._what == "rekey":
                    self._rekey()
                else:
                    self._connection.send_packet(*PACKETS[self._what])
            await asyncio.sleep(0)
            transport = self._connection._transport
            while transport is not None and transport.get_write_buffer_size() > 1 << 20:
                await asyncio.sleep(0.001)

    def _rekey(self) -> None:
        if self._connection._kex_complete and not self._connection._kexinit_sent:
            self._connection._send_kexinit()
            self._connection._kexinit_sent = True


class _Channel(asyncssh.SSHTCPSession[bytes]):
    def __init__(self, opened: Any) -> None:
        self._opened = opened

    def session_started(self) -> None:
        self._opened()


async def _main(port: int, key: str, attack: str) -> None:
    await asyncssh.listen(
        "127.0.0.1", port, server_host_keys=[key], server_factory=lambda: _Attacker(attack), login_timeout=0
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    os.nice(1)  # whoever is attacked is measured on the same machine
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
