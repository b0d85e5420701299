"""One SSH connection, stage by stage: resolve, connect, handshake, host key, auth."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncssh

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.tunnels.addresses import open_socket
from canary_tui.tunnels.algorithms import (
    CIPHERS,
    HOST_KEY_ALGORITHMS,
    KEY_EXCHANGES,
    nothing_in_common,
)
from canary_tui.tunnels.failures import NONSENSE, connect_failure, is_revoked, login_failure, words_of
from canary_tui.tunnels.greeting import VERSION, greeted
from canary_tui.tunnels.host_keys import HostEntry, Trust
from canary_tui.tunnels.liveness import set_kernel_timers
from canary_tui.tunnels.metered import metered, offered_algorithms
from canary_tui.tunnels.ssh_connection import SshConnection

if TYPE_CHECKING:
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import SshServer
    from canary_tui.tunnels.host_keys import KnownHosts
    from canary_tui.tunnels.metered import MeteredConnection

    Address = tuple[str, int] | tuple[str, int, int, int]


FIXED_OPTIONS: dict[str, Any] = {
    "kex_algs": KEY_EXCHANGES,
    "encryption_algs": CIPHERS,
    "compression_algs": ["none"],
    "client_version": VERSION,
    # Nothing of the user's own SSH set-up may leak in: a login is the canary key's alone.
    "config": None,
    "agent_path": None,
    "client_username": "",  # else $LOGNAME, and one that is no name ends every login
    "client_keys": None,
    "public_key_auth": True,
    "password_auth": False,
    "kbdint_auth": False,
    "host_based_auth": False,
    "gss_auth": False,
    "gss_kex": False,
    "login_timeout": 0,
    # Windows servers send their system's words in its own encoding: strictly read, they would end the login.
    "utf8_decode_errors": "replace",
    "keepalive_interval": 0,  # ``Liveness`` asks
}
"""What every login has in common, in asyncssh's words."""


class _Client(asyncssh.SSHClient):
    """Asyncssh's callbacks, turned into stages and evidence."""

    def __init__(self, target: _Target, trace: Trace) -> None:
        self._entry = target.entry
        self._key = target.key
        self._trace = trace
        self._file = target.known_hosts_path
        self.refusal: Failed | None = None
        self.key_requests = 0
        self._logged_in = False
        self.connection: MeteredConnection | None = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = metered(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended(words_of(exc) if exc else "closed")

    def ended(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        # This callback cannot wait: record the key, refuse, ask a person, and dial again when pinned.
        trust = self._entry.judge(key)
        if self._logged_in:
            return trust is Trust.TRUSTED  # it is shown at each new key exchange
        self._trace.enter(Stage.HOST_KEY)
        self._trace.note(f"{key.get_algorithm()} {key.get_fingerprint()}")
        if trust is Trust.TRUSTED:
            return True
        cause = {
            Trust.UNKNOWN: Cause.HOST_KEY_UNKNOWN,
            Trust.CHANGED: Cause.HOST_KEY_CHANGED,
            Trust.REVOKED: Cause.HOST_KEY_REVOKED,
        }[trust]
        offer = self._entry.offer(key)
        self.refusal = Failed(
            cause,
            stage=Stage.HOST_KEY,
            detail=f"it shows {offer.key_type} {offer.fingerprint}",
            host_key=None if trust is Trust.REVOKED else offer,
            facts={
                "offered": f"{offer.key_type} {offer.fingerprint}",
                "known": ", ".join(f"{k.key_type} {k.fingerprint}" for k in offer.known),
                "known_hosts_path": self._file,
            },
        )
        return False

    def begin_auth(self, username: str) -> None:
        self._trace.enter(Stage.HOST_KEY)
        self._trace.enter(Stage.AUTH)

    def auth_completed(self) -> None:
        self._logged_in = True

    def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        self.key_requests += 1
        key, self._key = self._key, None
        return key


async def dial(
    ssh: SshServer,
    key: asyncssh.SSHKey | None,
    known_hosts: KnownHosts,
    trace: Trace,
    *,
    offered_agent: str = "",
) -> SshConnection:
    """Open an SSH connection and log in with ``key``; None: go as far as the login, with nothing to offer.

    ``offered_agent`` is the path of an agent's socket whose forwarding each session asks for; only the
    audit does, to see whether it is refused.

    Goes through the stages ``resolve`` to ``auth``; the caller limits the time by cancelling.
    Raises Failed (``settings_invalid`` for a known-hosts file that is wrong, before anything is opened);
    nothing is left open then.
    """
    entry = known_hosts.entry(ssh.host, ssh.port)
    target = _Target(ssh, key, entry, str(known_hosts.path), offered_agent)
    sock = await open_socket(ssh.host, ssh.port, trace, (Stage.HANDSHAKE, Cause.SSH_CLOSED_EARLY))
    try:
        trace.enter(Stage.HANDSHAKE)
        peer = _peer(sock)
        if not await greeted(sock, trace):
            # It waits for its client to speak, and has been spoken to: begin again on a new socket.
            sock.close()
            sock = await _connect_again(peer)
        try:
            return await _log_in(sock, target, trace, certificates=bool(entry.authorities))
        except _CertificateRefused:
            # As ssh(1): a certificate that proves nothing leaves the plain key to be judged.
            sock.close()
            sock = await _connect_again(peer)
            return await _log_in(sock, target, trace, certificates=False)
    except BaseException:
        sock.close()
        raise


class _CertificateRefused(Exception):
    """The host certificate is not from a trusted authority, has expired or names another host."""


@dataclass(frozen=True)
class _Target:
    """Where to log in, with what, and what is known of the host."""

    ssh: SshServer
    key: asyncssh.SSHKey | None
    entry: HostEntry
    known_hosts_path: str
    agent: str


async def _log_in(sock: socket.socket, target: _Target, trace: Trace, *, certificates: bool) -> SshConnection:
    ssh, entry = target.ssh, target.entry
    client = _Client(target, trace)
    set_kernel_timers(sock)
    try:
        await asyncssh.connect(
            ssh.host,
            ssh.port,
            sock=sock,
            client_factory=lambda: client,
            username=ssh.user,
            known_hosts=lambda _host, _addr, _port: ([], entry.authorities, entry.revoked, [], [], [], []),
            server_host_key_algs=_host_key_algorithms(entry, certificates=certificates),
            agent_forwarding=target.agent or False,
            **FIXED_OPTIONS,
        )
    except (asyncssh.Error, OSError, *NONSENSE) as error:
        if client.refusal is not None:
            raise client.refusal from None
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            # Asyncssh judges certificates, and what is revoked, before it asks the client.
            trace.enter(Stage.HOST_KEY)
            if certificates and not is_revoked(error):
                raise _CertificateRefused from None
        if trace.stage is Stage.HANDSHAKE and client.connection is not None:
            offer = offered_algorithms(client.connection)
            if lacking := nothing_in_common(offer, HOST_KEY_ALGORITHMS, CIPHERS):
                raise Failed(Cause.SSH_NO_COMMON_ALGORITHM, detail=lacking) from None
        heard = client.connection
        failed = login_failure(
            error,
            trace.stage,
            key_requests=client.key_requests,
            key_accepted=heard is not None and heard.key_accepted,
            methods=heard.methods if heard is not None else (),
        )
        failed.facts["known_hosts_path"] = target.known_hosts_path
        if trace.stage is Stage.AUTH and client.connection is not None:
            # Only behind a host key that is trusted: anybody can claim to be an old version.
            failed.facts["ssh_version"] = str(client.connection.get_extra_info("server_version", ""))
        raise failed from None
    except BaseException:
        if client.connection is not None:
            client.connection.abort()
        raise
    assert client.connection is not None  # noqa: S101 - it has logged in
    return SshConnection(client.connection, client.lost, sock)


def _host_key_algorithms(entry: HostEntry, *, certificates: bool) -> list[str]:
    """Ask for the types that are known first: a server with several then shows the one we trust."""
    wanted = list(dict.fromkeys([*entry.algorithms, *HOST_KEY_ALGORITHMS]))
    usable = [name for name in wanted if name in HOST_KEY_ALGORITHMS]
    signed = [f"{name}-cert-v01@openssh.com" for name in HOST_KEY_ALGORITHMS] if certificates else []
    return [*signed, *usable]


def _peer(sock: socket.socket) -> Address:
    try:
        address: Address = sock.getpeername()
    except OSError as error:  # it was reset already
        raise Failed(Cause.SSH_CLOSED_EARLY, detail=words_of(error)) from None
    return address


async def _connect_again(peer: Address) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in peer[0] else socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, peer)
    except OSError as error:
        sock.close()
        raise connect_failure(error) from None
    except BaseException:
        sock.close()
        raise
    return sock
