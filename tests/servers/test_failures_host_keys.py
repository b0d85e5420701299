"""The matrix: the SSH server shows a host key, and nobody here trusts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from tests.harness.process import run as run_program
from tests.servers.failure_case import Case

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.servers.model import Server
    from tests.harness.sshd import Sshd
    from tests.servers.failure_case import FailureCase

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHtDyXRy0bJ1zkG8T4KnlHy7Y6E6bLDS5oDsbBUJ1m2S"


def known_hosts(case: FailureCase) -> Path:
    return case.world.paths.known_hosts


def place(ssh: Sshd) -> str:
    return f"[{ssh.host}]:{ssh.port}"


async def never_seen(case: FailureCase) -> None:
    server = case.server()
    known_hosts(case).unlink()
    offer = await case.asks(server)
    assert offer.public_line in case.sshd.host_public_keys
    case.trust(offer)
    await case.works(server)


async def known_on_another_port(case: FailureCase) -> None:
    """An entry without a port is for port 22 alone."""
    server = case.server()
    known_hosts(case).write_text(f"{case.sshd.host} {case.sshd.host_public_keys[0]}\n")
    case.trust(await case.asks(server))
    await case.works(server)


async def replaced_key(case: FailureCase) -> None:
    ssh = case.own_sshd()
    server = case.server(ssh=ssh)
    old = ssh.host_public_keys[0]
    ssh.replace_host_keys()
    offer = await case.asks(server)
    assert offer.public_line in ssh.host_public_keys
    assert [known.since for known in offer.known] != [""], "when the old one was trusted"
    case.trust(offer, replace=True)
    await case.works(server)
    kept = [line for line in known_hosts(case).read_text().splitlines() if old in line]
    assert all(line.startswith("# replaced") for line in kept)


async def dropped_key_type(case: FailureCase) -> None:
    """The server has no key of the type that we know any more, and shows one of another type."""
    ssh = case.own_sshd(host_key_types=("ed25519", "rsa"))
    server = case.server(ssh=ssh)
    known_hosts(case).write_text(f"{place(ssh)} {ssh.host_public_keys[0]}\n")
    await case.works(server)
    ssh.replace_host_keys(("ecdsa",))
    offer = await case.asks(server)
    assert offer.key_type.startswith("ecdsa-")
    assert [known.key_type for known in offer.known] == ["ssh-ed25519"]
    case.trust(offer, replace=True)
    await case.works(server)


async def hashed_entry(case: FailureCase) -> None:
    """``ssh-keygen -H`` hashes the names: the entry is found all the same, and replaced."""
    ssh = case.own_sshd()
    server = case.server(ssh=ssh)
    file = known_hosts(case)
    file.write_text(f"{place(ssh)} {ssh.host_public_keys[0]}\n")
    run_program(["ssh-keygen", "-H", "-f", str(file)])
    assert place(ssh) not in file.read_text()
    await case.works(server)
    ssh.replace_host_keys()
    case.trust(await case.asks(server), replace=True)
    await case.works(server)
    assert file.read_text().count("# replaced") == 1


async def none_of_several_keys(case: FailureCase) -> None:
    ssh = case.own_sshd()
    server = case.server(ssh=ssh)
    another = case.own_sshd(host_key_types=("ecdsa",))
    lines = [f"{place(ssh)} {key}" for key in (OTHER_KEY, another.host_public_keys[0])]
    known_hosts(case).write_text("\n".join(lines) + "\n")
    offer = await case.asks(server)
    assert {known.key_type for known in offer.known} == {"ssh-ed25519", "ecdsa-sha2-nistp256"}
    case.trust(offer, replace=True)
    await case.works(server)


async def _revoke(case: FailureCase, ssh: Sshd, who: str) -> Server:
    server = case.server(ssh=ssh)
    with known_hosts(case).open("a") as file:
        file.write(f"@revoked {who} {ssh.host_public_keys[0]}\n")
    return server


async def revoked_key(case: FailureCase) -> None:
    """The first remedy: new keys there, trusted instead of the old ones."""
    ssh = case.own_sshd()
    server = await _revoke(case, ssh, place(ssh))
    assert (await case.probe(server)).host_key is None, "there is nothing to ask about a revoked key"
    ssh.replace_host_keys()
    offer = (await case.world.probe(server)).host_key
    assert offer is not None
    case.trust(offer, replace=True)
    await case.works(server)


async def revoked_everywhere(case: FailureCase) -> None:
    """The second remedy: the revocation was a mistake, and its line is taken out."""
    server = await _revoke(case, case.sshd, "*")
    failure = await case.fails(server)
    file = known_hosts(case)
    assert str(file) in " ".join(failure.remedies)
    assert case.advice("@revoked") == "@revoked"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("@revoked")]
    file.write_text("\n".join(kept) + "\n")
    await case.works(server)


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


def signed(case: FailureCase, **how: str) -> tuple[Server, Sshd, Authority]:
    """Return a server whose sshd has a certificate, its authority, and a file that trusts nobody."""
    ssh = case.own_sshd()
    authority = Authority(case.world.folder, "authority")
    authority.sign(ssh, **how)
    server = case.server(ssh=ssh)
    known_hosts(case).write_text("")
    return server, ssh, authority


async def certificate_while_no_authority_is_known(case: FailureCase) -> None:
    server, ssh, authority = signed(case)
    await case.asks(server)
    known_hosts(case).write_text(authority.line(ssh))
    await case.works(server)


async def certificate_of_another_authority(case: FailureCase) -> None:
    """As with ssh(1), the plain key is judged then; a person can trust it."""
    server, ssh, _ = signed(case)
    other = Authority(case.world.folder, "other")
    known_hosts(case).write_text(other.line(ssh))
    offer = await case.asks(server)
    assert offer.public_line in ssh.host_public_keys
    case.trust(offer)
    await case.works(server)


async def certificate_expired(case: FailureCase) -> None:
    server, ssh, authority = signed(case, validity="-2d:-1d")
    known_hosts(case).write_text(authority.line(ssh))
    await case.asks(server)
    authority.sign(ssh)
    await case.works(server)


async def certificate_for_another_host(case: FailureCase) -> None:
    server, ssh, authority = signed(case, principal="other.test")
    known_hosts(case).write_text(authority.line(ssh))
    await case.asks(server)
    authority.sign(ssh)
    await case.works(server)


async def certificate_gone_and_another_key(case: FailureCase) -> None:
    """Trusted is the authority and an old key; the server has neither a certificate nor that key."""
    server, ssh, authority = signed(case)
    known_hosts(case).write_text(authority.line(ssh) + f"{place(ssh)} {OTHER_KEY}\n")
    await case.works(server)
    ssh.options = []
    ssh.restart()
    case.trust(await case.asks(server), replace=True)
    await case.works(server)
    assert authority.line(ssh) in known_hosts(case).read_text()


async def revoked_authority(case: FailureCase) -> None:
    server, ssh, authority = signed(case)
    known_hosts(case).write_text(authority.line(ssh) + f"@revoked * {authority.public}\n")
    await case.fails(server)
    known_hosts(case).write_text(authority.line(ssh))
    await case.works(server)


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
async def test_a_host_key_that_nobody_trusts_is_named(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)


async def test_any_of_several_trusted_keys_will_do(failure_case: FailureCase) -> None:
    """Two machines behind one name: each of their keys is trusted."""
    server = failure_case.server()
    lines = [
        f"{place(failure_case.sshd)} {key}" for key in (OTHER_KEY, failure_case.sshd.host_public_keys[0])
    ]
    known_hosts(failure_case).write_text("\n".join(lines) + "\n")
    await failure_case.works(server)
