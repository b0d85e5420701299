"""Known hosts in OpenSSH's format: what is trusted, changed, revoked; a person's decisions are never lost."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncssh
import pytest

from canary_tui.diagnosis.stages import Failed, HostKeyOffer
from canary_tui.tunnels import host_keys
from canary_tui.tunnels.host_keys import HostEntry, KnownHosts, Trust, public_text

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

RSA, ED, OTHER, CA = (
    asyncssh.generate_private_key(kind).convert_to_public()
    for kind in ("ssh-rsa", "ssh-ed25519", "ssh-ed25519", "ssh-ed25519")
)


@pytest.fixture
def known(tmp_path: Path) -> KnownHosts:
    return KnownHosts(tmp_path / "data" / "known_hosts")


@pytest.fixture(autouse=True)
def no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_keys, "EVIDENCE_FILES", ())


def write(known: KnownHosts, text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    known.path.parent.mkdir(parents=True, exist_ok=True)
    known.path.write_bytes(data)
    return data


def offer(key: asyncssh.SSHKey, host: str = "bastion", port: int = 22) -> HostKeyOffer:
    return HostEntry("", host, port).offer(key)


def judge(known: KnownHosts, key: asyncssh.SSHKey, host: str = "bastion", port: int = 22) -> Trust:
    return known.entry(host, port).judge(key)


def test_nothing_is_trusted_without_a_file(known: KnownHosts) -> None:
    assert judge(known, ED) is Trust.UNKNOWN
    assert not known.path.exists()


def test_what_a_person_pinned_is_trusted_and_another_key_is_a_change(known: KnownHosts) -> None:
    known.pin(offer(ED))
    assert judge(known, ED) is Trust.TRUSTED
    assert judge(known, OTHER) is Trust.CHANGED
    assert judge(known, ED, host="elsewhere") is Trust.UNKNOWN
    assert known.path.stat().st_mode & 0o777 == 0o600


def test_ssh_keygen_finds_what_was_pinned(known: KnownHosts) -> None:
    known.pin(offer(ED, "bastion", 2222))
    found = subprocess.run(
        ["ssh-keygen", "-F", "[bastion]:2222", "-f", known.path], capture_output=True, text=True, check=True
    )
    assert public_text(ED) in found.stdout


def test_an_entry_is_for_its_port_alone(known: KnownHosts) -> None:
    known.pin(offer(ED, port=2222))
    assert judge(known, ED, port=2222) is Trust.TRUSTED
    assert judge(known, ED, port=22) is Trust.UNKNOWN
    known.pin(offer(OTHER, port=22))
    assert judge(known, OTHER, port=2222) is Trust.CHANGED


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::1", "Bastion.Example.COM", "host_1"])
@pytest.mark.parametrize("port", [22, 2222])
def test_each_spelling_of_a_host_is_found_again(known: KnownHosts, host: str, port: int) -> None:
    known.pin(offer(ED, host, port))
    assert judge(known, ED, host, port) is Trust.TRUSTED
    assert judge(known, ED, host.lower(), port) is Trust.TRUSTED


def test_a_host_may_have_several_keys(known: KnownHosts) -> None:
    known.pin(offer(ED))
    known.pin(offer(RSA))
    assert judge(known, ED) is judge(known, RSA) is Trust.TRUSTED
    assert known.entry("bastion", 22).algorithms[0] == "ssh-ed25519"
    assert "rsa-sha2-512" in known.entry("bastion", 22).algorithms


def test_hashed_entries_are_understood(known: KnownHosts) -> None:
    write(known, f"bastion {public_text(ED)}\n[bastion]:2222 {public_text(OTHER)}\n")
    subprocess.run(["ssh-keygen", "-H", "-f", known.path], capture_output=True, check=True)
    assert b"bastion" not in known.path.read_bytes()
    assert judge(known, ED) is Trust.TRUSTED
    assert judge(known, OTHER, port=2222) is Trust.TRUSTED
    assert judge(known, ED, port=2222) is Trust.CHANGED


def test_a_revoked_key_is_never_trusted_not_even_when_it_is_pinned(known: KnownHosts) -> None:
    write(known, f"@revoked * {public_text(ED)}\n")
    assert judge(known, ED) is Trust.REVOKED
    known.pin(offer(ED))
    assert judge(known, ED) is Trust.REVOKED


def test_a_certificate_authority_is_no_host_key(known: KnownHosts) -> None:
    write(known, f"@cert-authority *.example.com {public_text(CA)}\n")
    entry = known.entry("db.example.com", 22)
    assert [public_text(key) for key in entry.authorities] == [public_text(CA)]
    assert entry.judge(CA) is Trust.UNKNOWN
    assert known.entry("db.example.org", 22).authorities == []


def test_comments_blank_lines_and_unknown_key_types_are_passed_over(known: KnownHosts) -> None:
    write(known, f"# mine\n\nbastion ssh-quantum AAAA\nbastion {public_text(ED)} a comment\n")
    assert judge(known, ED) is Trust.TRUSTED


def test_a_folder_or_a_pipe_or_too_much_in_the_files_place_is_named(known: KnownHosts) -> None:
    known.path.parent.mkdir(parents=True)
    os.mkfifo(known.path)
    with pytest.raises(Failed, match="not a file"):
        known.entry("bastion", 22)
    known.path.unlink()
    with known.path.open("wb") as file:
        file.truncate(host_keys.LARGEST + 1)
    with pytest.raises(Failed, match="larger than 16 MB"):
        known.entry("bastion", 22)


def test_a_folder_in_the_files_place_is_named(known: KnownHosts) -> None:
    known.path.mkdir(parents=True)
    with pytest.raises(Failed, match="Is a directory"):
        known.entry("bastion", 22)


OTHERS = b"# caf\xe9, not UTF-8\r\n\n  other ssh-rsa AAAA \x85\r\nhost2 ssh-dss AAAA  "


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_pinning_keeps_every_other_line_byte_for_byte(known: KnownHosts, replace: bool, end: bytes) -> None:
    before = write(known, b"\n" + OTHERS + end)
    known.pin(offer(ED), replace=replace)
    after = known.path.read_bytes()
    ours = after.removeprefix(before.removesuffix(b"\n") + b"\n")
    assert ours.startswith(f"bastion {public_text(ED)} trusted=".encode())
    assert (ours.count(b"\n"), after[-1:]) == (1, b"\n")


def test_a_key_that_two_servers_ask_about_is_written_down_once_and_takes_no_other_away(
    known: KnownHosts,
) -> None:
    for key in (ED, OTHER, ED):
        known.pin(offer(key))
    assert len(known.path.read_text().splitlines()) == 2
    assert {judge(known, ED), judge(known, OTHER)} == {Trust.TRUSTED}


def test_replacing_a_key_keeps_the_old_line_as_a_comment_and_others_as_they_are(known: KnownHosts) -> None:
    kept = [
        f"[bastion]:2222 {public_text(OTHER)}",
        f"elsewhere {public_text(OTHER)}",
        f"@revoked bastion {public_text(RSA)}",
    ]
    write(known, f"bastion {public_text(OTHER)} old\n" + "\n".join(kept) + "\n")
    known.pin(offer(ED), replace=True)
    lines = known.path.read_text().splitlines()
    assert lines[0].startswith("# replaced ")
    assert lines[0].endswith(f": bastion {public_text(OTHER)} old")
    assert lines[1:4] == kept
    assert judge(known, ED) is Trust.TRUSTED
    assert judge(known, OTHER) is Trust.CHANGED
    assert judge(known, OTHER, port=2222) is Trust.TRUSTED


def test_replacing_retires_a_hashed_line_too(known: KnownHosts) -> None:
    write(known, f"bastion {public_text(OTHER)}\n")
    subprocess.run(["ssh-keygen", "-H", "-f", known.path], capture_output=True, check=True)
    known.pin(offer(ED), replace=True)
    assert judge(known, OTHER) is Trust.CHANGED


def test_a_question_shows_what_was_trusted_before_and_since_when(known: KnownHosts) -> None:
    known.pin(offer(OTHER, host="elsewhere"))
    write(known, known.path.read_bytes().replace(b"trusted=2", b"trusted=1"))
    known.pin(offer(OTHER))
    asked = known.entry("bastion", 22).offer(ED)
    assert (asked.key_type, asked.fingerprint) == ("ssh-ed25519", ED.get_fingerprint())
    assert asked.public_line == public_text(ED)
    (before,) = asked.known
    assert before.fingerprint == OTHER.get_fingerprint()
    since = datetime.strptime(before.since, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert since.year >= 2026, "it is this host's line that counts"


def test_a_line_of_another_program_does_not_say_since_when(known: KnownHosts) -> None:
    write(known, f"bastion {public_text(OTHER)} me@laptop\n")
    (before,) = known.entry("bastion", 22).offer(ED).known
    assert before.since == ""


def test_a_file_that_cannot_be_written_is_as_it_was(
    known: KnownHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(known, f"elsewhere {public_text(OTHER)}\n")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("canary_tui.paths.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        known.pin(offer(ED))
    assert known.path.read_bytes() == before
    assert sorted(p.name for p in known.path.parent.iterdir()) == [".known_hosts.lock", "known_hosts"]


def test_other_files_are_evidence_and_are_never_taken_over(
    known: KnownHosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "same": f"bastion {public_text(ED)}\n",
        "differs": f"bastion {public_text(OTHER)}\n",
        "revoked": f"@revoked bastion {public_text(ED)}\n",
        "silent": f"elsewhere {public_text(ED)}\n",
        "garbage": "garbage\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = {name: str(tmp_path / name) for name in [*files, "absent"]}
    monkeypatch.setattr(host_keys, "EVIDENCE_FILES", tuple(paths.values()))
    assert known.entry("bastion", 22).offer(ED).evidence == (
        f"{paths['same']} trusts this very key for this host",
        f"{paths['differs']} has another key for this host",
        f"{paths['revoked']} has this key marked as revoked",
    )
    assert judge(known, ED) is Trust.UNKNOWN


def _pin_many(path: Path, name: str, count: int, together: Barrier) -> None:
    together.wait(60)
    for number in range(count):
        KnownHosts(path).pin(offer(ED, f"{name}-{number}"))


def test_two_processes_that_pin_at_once_lose_nothing(known: KnownHosts) -> None:
    before = write(known, f"# mine\nelsewhere {public_text(OTHER)}\n")
    spawn, count = multiprocessing.get_context("spawn"), 20
    together = spawn.Barrier(2)
    writers = [
        spawn.Process(target=_pin_many, args=(known.path, name, count, together)) for name in ("a", "b")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    data = known.path.read_bytes()
    assert data.startswith(before)
    hosts = {line.split()[0] for line in data.removeprefix(before).decode().splitlines()}
    assert hosts == {f"{name}-{number}" for name in "ab" for number in range(count)}
