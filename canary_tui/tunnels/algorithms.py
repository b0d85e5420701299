"""Which algorithms are asked for, what follows from them, and what is said when none is in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asyncssh.constants import MSG_IGNORE
from asyncssh.kex import get_default_kex_algs
from asyncssh.mac import get_default_mac_algs
from asyncssh.packet import PacketDecodeError, SSHPacket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncssh import SSHClientConnection
    from asyncssh.packet import SSHPacketLogger

HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


def leave_out_ignores(connection: SSHClientConnection) -> None:
    """Have asyncssh send no empty packet before each one that it sends.

    Those guard ciphers in CBC mode, whose next initialisation vector an attacker sees (RFC 4251 §9.3.1).
    None of ours is one; each such packet costs a system call and wakes the SSH server, an eighth of what
    a query takes.
    """
    send = connection.send_packet

    def send_packet(pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        if pkttype != MSG_IGNORE:
            send(pkttype, *args, handler=handler)

    connection.send_packet = send_packet  # type: ignore[method-assign]


def nothing_in_common(offer: bytes, host_keys: Sequence[str], ciphers: Sequence[str]) -> str:
    """Say of which kind the server and we have no algorithm in common; empty when of none.

    ``offer`` is the server's SSH_MSG_KEXINIT (RFC 4253 §7.1). Both sides look for themselves and the one
    that finds nothing just closes: asyncssh leaves the host keys to the server, and may hear the close
    before it has said what it found itself.
    """
    packet = SSHPacket(offer[17:])  # the message's number and its cookie come first
    try:
        theirs = [[name.decode("ascii", "replace") for name in packet.get_namelist()] for _ in range(6)]
    except PacketDecodeError:
        return ""
    kex, keys, encryption, _, macs, _ = theirs
    wanted = [("key exchange", _names(get_default_kex_algs()), kex), ("host key", list(host_keys), keys)]
    wanted.append(("encryption", list(ciphers), encryption))
    chosen = next((name for name in ciphers if name in encryption), "")
    if chosen.endswith("-ctr"):  # the others check what they encrypt themselves
        wanted.append(("MAC", _names(get_default_mac_algs()), macs))
    for kind, ours, offered in wanted:
        if not set(ours) & set(offered):
            return (
                f"No matching {kind} algorithm found, sent {','.join(ours)} and received {','.join(offered)}"
            )
    return ""


def _names(algorithms: list[bytes]) -> list[str]:
    return [name.decode("ascii") for name in algorithms]


def _ciphers(has_aes: Callable[[], bool]) -> list[str]:
    """AES-GCM first where the processor has AES, ChaCha20 first elsewhere: both are safe, one is fast."""
    aes = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
    rest = ["aes128-ctr", "aes192-ctr", "aes256-ctr"]
    chacha = ["chacha20-poly1305@openssh.com"]
    return [*aes, *chacha, *rest] if has_aes() else [*chacha, *aes, *rest]


def _processor_has_aes() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return True  # other systems of today: Apple's processors have it
    return " aes" in flags


CIPHERS = _ciphers(_processor_has_aes)
