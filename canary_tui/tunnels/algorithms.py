"""Which algorithms are asked for, what follows from them, and what is said when none is in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asyncssh.kex import get_default_kex_algs
from asyncssh.mac import get_default_mac_algs
from asyncssh.packet import PacketDecodeError, SSHPacket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


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
    wanted = [("key exchange", KEY_EXCHANGES, kex), ("host key", list(host_keys), keys)]
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


def _key_exchanges() -> list[str]:
    """All that asyncssh knows, but for those in which the server chooses the group.

    The prime that it sends is tested with great care, on the event loop: 1 s for one of 2048 bits, a
    minute and more for one of 8192. The fixed groups take 20 ms at most.
    """
    names = _names(get_default_kex_algs())
    return [name for name in names if "group-exchange" not in name and not name.startswith("gss-")]


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
KEY_EXCHANGES = _key_exchanges()
