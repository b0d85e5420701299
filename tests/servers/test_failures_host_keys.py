"""The matrix: the SSH server shows a host key, and nobody here trusts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from tests.harness.process import run as run_program
from tests.servers.matrix import Case
from tests.servers.stand import command

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.servers.model import Server
    from tests.harness.sshd import Sshd
    from tests.servers.stand import Stand

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHtDyXRy0bJ1zkG8T4KnlHy7Y6E6bLDS5oDsbBUJ1m2S"


def known_hosts(stand: Stand) -> Path:
    return stand.world.paths.known_hosts


def place(ssh: Sshd) -> str:
    return f"[{ssh.host}]:{ssh.port}"


async def never_seen(stand: Stand) -> None:
    server = stand.server()
    known_hosts(stand).unlink()
    offer = await stand.asks(server)
    assert offer.public_line in stand.sshd.host_public_keys
    stand.trust(offer)
    await stand.works(server)


async def known_on_another_port(stand: Stand) -> None:
    """An entry without a port is for port 22 alone."""
    server = stand.server()
    known_hosts(stand).write_text(f"{stand.sshd.host} {stand.sshd.host_public_keys[0]}\n")
    stand.trust(await stand.asks(server))
    await stand.works(server)


async def replaced_key(stand: Stand) -> None:
    ssh = stand.own_sshd()
    server = stand.server(ssh)
    old = ssh.host_public_keys[0]
    ssh.replace_host_keys()
    offer = await stand.asks(server)
    assert offer.public_line in ssh.host_public_keys
    assert [known.since for known in offer.known] != [""], "when the old one was trusted"
    stand.trust(offer, replace=True)
    await stand.works(server)
    kept = [line for line in known_hosts(stand).read_text().splitlines() if old in line]
    assert all(line.startswith("# replaced") for line in kept)


async def dropped_key_type(stand: Stand) -> None:
    """The server has no key of the type that we know any more, and shows one of another type."""
    ssh = stand.own_sshd(host_key_types=("ed25519", "rsa"))
    server = stand.server(ssh)
    known_hosts(stand).write_text(f"{place(ssh)} {ssh.host_public_keys[0]}\n")
    await stand.works(server)
    ssh.replace_host_keys(("ecdsa",))
    offer = await stand.asks(server)
    assert offer.key_type.startswith("ecdsa-")
    assert [known.key_type for known in offer.known] == ["ssh-ed25519"]
    stand.trust(offer, replace=True)
    await stand.works(server)


async def hashed_entry(stand: Stand) -> None:
    """``ssh-keygen -H`` hashes the names: the entry is found all the same, and replaced."""
    ssh = stand.own_sshd()
    server = stand.server(ssh)
    file = known_hosts(stand)
    file.write_text(f"{place(ssh)} {ssh.host_public_keys[0]}\n")
    run_program(["ssh-keygen", "-H", "-f", str(file)])
    assert place(ssh) not in file.read_text()
    await stand.works(server)
    ssh.replace_host_keys()
    stand.trust(await stand.asks(server), replace=True)
    await stand.works(server)
    assert file.read_text().count("# replaced") == 1


async def none_of_several_keys(stand: Stand) -> None:
    ssh = stand.own_sshd()
    server = stand.server(ssh)
    another = stand.own_sshd(host_key_types=("ecdsa",))
    lines = [f"{place(ssh)} {key}" for key in (OTHER_KEY, another.host_public_keys[0])]
    known_hosts(stand).write_text("\n".join(lines) + "\n")
    offer = await stand.asks(server)
    assert {known.key_type for known in offer.known} == {"ssh-ed25519", "ecdsa-sha2-nistp256"}
    stand.trust(offer, replace=True)
    await stand.works(server)


async def _revoke(stand: Stand, ssh: Sshd, who: str) -> Server:
    server = stand.server(ssh)
    with known_hosts(stand).open("a") as file:
        file.write(f"@revoked {who} {ssh.host_public_keys[0]}\n")
    return server


async def revoked_key(stand: Stand) -> None:
    """The first remedy: new keys there, trusted in the place of the old ones."""
    ssh = stand.own_sshd()
    server = await _revoke(stand, ssh, place(ssh))
    assert (await stand.probe(server)).host_key is None, "there is nothing to ask about a revoked key"
    ssh.replace_host_keys()
    offer = (await stand.world.probe(server)).host_key
    assert offer is not None
    stand.trust(offer, replace=True)
    await stand.works(server)


async def revoked_everywhere(stand: Stand) -> None:
    """The second remedy: the revocation was a mistake, and its line is taken out."""
    server = await _revoke(stand, stand.sshd, "*")
    failure = await stand.fails(server)
    file = known_hosts(stand)
    assert str(file) in " ".join(failure.remedies)
    assert command(failure, "@revoked") == "@revoked"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("@revoked")]
    file.write_text("\n".join(kept) + "\n")
    await stand.works(server)


class Authority:
    """A certificate authority for host keys, made and used with ssh-keygen(1)."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / name
        run_program(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.file)])
        self.public = " ".join(self.file.with_name(f"{name}.pub").read_text().split()[:2])

    def line(self, ssh: Sshd) -> str:
        """The known-hosts line that trusts it for an sshd."""
        return f"@cert-authority {place(ssh)} {self.public}\n"

    def sign(self, ssh: Sshd, *, principal: str = "127.0.0.1", validity: str = "-1d:+1d") -> None:
        """Give an sshd a certificate for its host key, and start it anew with it."""
        key = ssh.folder / "host_ed25519.pub"
        signing = ["ssh-keygen", "-q", "-s", str(self.file), "-I", "jumpbox", "-h", "-n", principal]
        run_program([*signing, "-V", validity, str(key)])
        ssh.options = [f"HostCertificate {ssh.folder}/host_ed25519-cert.pub"]
        ssh.restart()


def signed(stand: Stand, **how: str) -> tuple[Server, Sshd, Authority]:
    """Return a server whose sshd has a certificate, its authority, and a file that trusts nobody."""
    ssh = stand.own_sshd()
    authority = Authority(stand.world.folder, "authority")
    authority.sign(ssh, **how)
    server = stand.server(ssh)
    known_hosts(stand).write_text("")
    return server, ssh, authority


async def certificate_while_no_authority_is_known(stand: Stand) -> None:
    server, ssh, authority = signed(stand)
    await stand.asks(server)
    known_hosts(stand).write_text(authority.line(ssh))
    await stand.works(server)


async def certificate_of_another_authority(stand: Stand) -> None:
    """As with ssh(1), the plain key is judged then; a person can trust it."""
    server, ssh, _ = signed(stand)
    other = Authority(stand.world.folder, "other")
    known_hosts(stand).write_text(other.line(ssh))
    offer = await stand.asks(server)
    assert offer.public_line in ssh.host_public_keys
    stand.trust(offer)
    await stand.works(server)


async def certificate_expired(stand: Stand) -> None:
    server, ssh, authority = signed(stand, validity="-2d:-1d")
    known_hosts(stand).write_text(authority.line(ssh))
    await stand.asks(server)
    authority.sign(ssh)
    await stand.works(server)


async def certificate_for_another_host(stand: Stand) -> None:
    server, ssh, authority = signed(stand, principal="other.test")
    known_hosts(stand).write_text(authority.line(ssh))
    await stand.asks(server)
    authority.sign(ssh)
    await stand.works(server)


async def certificate_gone_and_another_key(stand: Stand) -> None:
    """Trusted is the authority and an old key; the server has neither a certificate nor that key."""
    server, ssh, authority = signed(stand)
    known_hosts(stand).write_text(authority.line(ssh) + f"{place(ssh)} {OTHER_KEY}\n")
    await stand.works(server)
    ssh.options = []
    ssh.restart()
    stand.trust(await stand.asks(server), replace=True)
    await stand.works(server)
    assert authority.line(ssh) in known_hosts(stand).read_text()


async def revoked_authority(stand: Stand) -> None:
    server, ssh, authority = signed(stand)
    known_hosts(stand).write_text(authority.line(ssh) + f"@revoked * {authority.public}\n")
    await stand.fails(server)
    known_hosts(stand).write_text(authority.line(ssh))
    await stand.works(server)


CASES = tuple(
    Case(run.__name__, cause, Stage.HOST_KEY, run)
    for cause, runs in {
        Cause.HOST_KEY_UNKNOWN: (
            never_seen,
            known_on_another_port,
            certificate_while_no_authority_is_known,
            certificate_of_another_authority,
            certificate_expired,
            certificate_for_another_host,
        ),
        Cause.HOST_KEY_CHANGED: (
            replaced_key,
            dropped_key_type,
            hashed_entry,
            none_of_several_keys,
            certificate_gone_and_another_key,
        ),
        Cause.HOST_KEY_REVOKED: (revoked_key, revoked_everywhere, revoked_authority),
    }.items()
    for run in runs
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_host_key_that_nobody_trusts_is_named(case: Case, stand: Stand) -> None:
    async with stand.of(case):
        await case.run(stand)


async def test_any_of_several_trusted_keys_will_do(stand: Stand) -> None:
    """Two machines behind one name: each of their keys is trusted."""
    server = stand.server()
    lines = [f"{place(stand.sshd)} {key}" for key in (OTHER_KEY, stand.sshd.host_public_keys[0])]
    known_hosts(stand).write_text("\n".join(lines) + "\n")
    await stand.works(server)
