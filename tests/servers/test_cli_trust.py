"""``canary trust`` over real servers."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import HostKeyOffer
from tests.servers.cli import Canary, at_terminal
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


def fingerprint(sshd: Sshd) -> str:
    line = f"host {sshd.host_public_keys[0]}\n"
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", "-"],
        input=line.partition(" ")[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[1]


@pytest.fixture
def stranger(world: World, sshd: Sshd, postgres: Postgres) -> World:
    """A user who has never seen the sshd."""
    world.write(world.server(postgres, sshd))
    world.paths.known_hosts.unlink()
    return world


def test_without_a_terminal_trust_needs_the_fingerprint(canary: Canary, stranger: World, sshd: Sshd) -> None:
    outcome = canary("trust", "orders")
    assert outcome.status == 2
    assert "--fingerprint" in outcome.err
    assert fingerprint(sshd) in outcome.out
    assert not stranger.paths.known_hosts.exists()


def test_trust_pins_the_key_with_that_fingerprint_only(canary: Canary, stranger: World, sshd: Sshd) -> None:
    outcome = canary("trust", "orders", "--fingerprint", "SHA256:" + "x" * 43)
    assert outcome.status == 1
    assert "Not trusted" in outcome.err
    assert not stranger.paths.known_hosts.exists()
    assert canary("probe").status == 1
    assert canary("trust", "orders", "--fingerprint", fingerprint(sshd)).status == 0
    assert canary("probe").status == 0
    assert "trusted already" in canary("trust", "orders").err


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1)])
def test_at_a_terminal_trust_asks(stranger: World, sshd: Sshd, answer: str, status: int) -> None:
    outcome = at_terminal(stranger, ["trust", "orders"], {"Trust this key? [y/N]:": f"{answer}\n"})
    assert outcome.status == status, outcome.out
    assert fingerprint(sshd) in outcome.out
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in outcome.out
    assert stranger.paths.known_hosts.exists() is (status == 0)


def test_a_changed_key_needs_replace_and_both_are_shown(canary: Canary, stranger: World, sshd: Sshd) -> None:
    old = stranger.key("another")
    line = " ".join(old.line.split()[:2])
    stranger.paths.known_hosts.write_text(f"[{sshd.host}]:{sshd.port} {line}\nelsewhere {line}\n")
    before = stranger.paths.known_hosts.read_bytes()
    outcome = canary("trust", "orders", "--fingerprint", fingerprint(sshd))
    assert outcome.status == 2
    assert "--replace" in outcome.err
    assert old.fingerprint in outcome.err
    assert stranger.paths.known_hosts.read_bytes() == before
    assert canary("trust", "orders", "--fingerprint", fingerprint(sshd), "--replace").status == 0
    assert f"\nelsewhere {line}\n" in stranger.paths.known_hosts.read_text()
    assert canary("probe").status == 0


def test_a_revoked_key_cannot_be_trusted(canary: Canary, stranger: World, sshd: Sshd) -> None:
    stranger.paths.known_hosts.write_text(f"@revoked * {sshd.host_public_keys[0]}\n")
    before = stranger.paths.known_hosts.read_bytes()
    outcome = canary("trust", "orders", "--fingerprint", fingerprint(sshd), "--replace")
    assert (outcome.status, outcome.out) == (1, "")
    assert "revoked" in outcome.err
    assert stranger.paths.known_hosts.read_bytes() == before


def test_a_host_key_is_asked_about_even_when_the_login_fails(
    canary: Canary, stranger: World, sshd: Sshd
) -> None:
    sshd.deauthorize()
    assert canary("trust", "orders", "--fingerprint", fingerprint(sshd)).status == 0
    assert canary("trust", "orders").status == 0


def test_trust_needs_no_client_key_and_makes_none(canary: Canary, stranger: World, sshd: Sshd) -> None:
    shutil.rmtree(stranger.paths.keys)
    for _ in range(2):
        outcome = canary("trust", "orders", "--fingerprint", fingerprint(sshd))
        assert outcome.status == 0, outcome.err
    assert "trusted already" in outcome.err
    assert not stranger.paths.keys.exists()


def test_trust_names_the_file_of_the_host_keys_type(
    canary: Canary, stranger: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = HostKeyOffer(
        host="old", port=22, key_type="ssh-dss", fingerprint="SHA256:x", public_line="ssh-dss AAAA"
    )

    async def look(*_: object) -> HostKeyOffer:
        return offer

    monkeypatch.setattr("canary_tui.cli.trust_command.look", look)
    outcome = canary("trust", "orders", "--fingerprint", "SHA256:y")
    assert "  ssh-keygen -lf /etc/ssh/ssh_host_dsa_key.pub\n" in outcome.err


def test_trust_of_what_cannot_be_reached_fails_in_words(canary: Canary, world: World, sshd: Sshd,
                                                        postgres: Postgres) -> None:  # fmt: skip
    world.write(with_ssh(world.server(postgres, sshd), port=1), world.server(postgres, name="direct"))
    outcome = canary("trust", "orders")
    assert (outcome.status, outcome.out) == (1, "")
    assert "refused" in outcome.err
    assert canary("trust", "direct").status == 2
