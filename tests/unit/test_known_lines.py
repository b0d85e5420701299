"""A line of known_hosts that is not understood is named, and harms the host that it names alone."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import asyncssh
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.stages import Cause, Failed, HostKeyOffer, Stage
from canary_tui.tunnels import host_keys
from canary_tui.tunnels.host_keys import HostEntry, KnownHosts, Trust, public_text
from canary_tui.tunnels.known_lines import LONGEST, OddLine, entries, odd_lines

if TYPE_CHECKING:
    from pathlib import Path

ED, OTHER = (asyncssh.generate_private_key("ssh-ed25519").convert_to_public() for _ in range(2))
EC = asyncssh.generate_private_key("ecdsa-sha2-nistp256").convert_to_public()
KEY = public_text(ED)
OFF_CURVE = public_text(EC)[:-6] + "AAAAA="

ODD = {
    "too_short": b"%s",
    "no_key": b"%s ssh-ed25519",
    "bad_base64": b"%s ssh-ed25519 AAAAC3NzaC1lZDI1NTE5!!!!",
    "cut_base64": b"%s " + KEY[:-5].encode(),
    "not_ascii": b"%s ssh-ed25519 \xc3\xa4\xc3\xb6\xc3\xbc",
    "other_type": b"%s ecdsa-sha2-nistp256 " + KEY.split()[1].encode(),
    "misspelt_type": b"%s ssh-ed25591 " + KEY.split()[1].encode(),
    "no_type": b'%s "ssh-ed25519" ' + KEY.split()[1].encode(),
    "short_key": b"%s ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
    "off_curve": b"%s " + OFF_CURVE.encode(),
    "unknown_marker": b"@nonsense %s " + KEY.encode(),
    "misspelt_marker": b"@revokd %s " + KEY.encode(),
    "marker_alone": b"@revoked %s",
    "authority_without_key": b"@cert-authority %s ssh-rsa",
    "nul": b"%s ssh-ed25519 AA\x00AA",
    "escape": b"%s ssh-ed25519 \x1b]0;x\x07",
    "too_long": b"%s ssh-rsa " + b"A" * (LONGEST + 1),
    "key_twice_as_long": b"%s " + KEY.encode() + b"AAAA",
}
"""Lines that name a host and make no sense."""
NAMELESS = {
    "binary": bytes(range(128, 256)) + b"\x00\x01\x02",
    "damaged_hash": b"|1|c2FsdA==|x " + KEY.encode(),
    "hash_of_a_new_kind": b"|2|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + KEY.encode(),
    "marker_only": b"@",
    "json": b'{"bastion": "ssh-ed25519 AAAA"}',
}


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownHosts:
    monkeypatch.setattr(host_keys, "EVIDENCE_FILES", ())
    return KnownHosts(tmp_path / "known_hosts")


def around(line: bytes) -> bytes:
    """A file of which the third line is odd."""
    return (
        f"# mine\nfirst {KEY}\n".encode()
        + line
        + f"\nlast {KEY} caf\xe9\n[last]:2222 {KEY}\n".encode("latin-1")
    )


def offer(host: str = "new", key: asyncssh.SSHKey = OTHER) -> HostKeyOffer:
    return HostEntry("", host, 22).offer(key)


@pytest.mark.parametrize("line", [*ODD.values()], ids=ODD)
def test_it_is_named_for_its_own_host_and_others_work(known: KnownHosts, line: bytes) -> None:
    said: list[str] = []
    known.warn = said.append
    data = around(line.replace(b"%s", b"bastion"))
    known.path.write_bytes(data)
    for host, port in (("first", 22), ("last", 22), ("last", 2222)):
        assert known.entry(host, port).judge(ED) is Trust.TRUSTED
    assert known.entry("unknown", 22).judge(ED) is Trust.UNKNOWN
    for attempt in (lambda: known.entry("Bastion", 22), lambda: known.pin(offer("bastion"), replace=True)):
        with pytest.raises(Failed) as caught:
            attempt()
        failed = caught.value
        assert (failed.cause, failed.stage) == (Cause.SETTINGS_INVALID, Stage.SETTINGS)
        assert failed.detail.startswith(f"{known.path}:3: ")
        assert failed.detail.isprintable()
        assert "Line 3 of" in explain(failed, Stage.SETTINGS, failed.facts).summary
    assert known.path.read_bytes() == data
    known.pin(offer())
    after = known.path.read_bytes()
    assert after.startswith(data)
    assert known.entry("new", 22).judge(OTHER) is Trust.TRUSTED
    assert all(text.startswith(f"{known.path}:3: passed over: ") and text.isprintable() for text in said)


@pytest.mark.parametrize("line", [*NAMELESS.values()], ids=NAMELESS)
def test_a_line_whose_host_cannot_be_known_harms_nobody(known: KnownHosts, line: bytes) -> None:
    said: list[str] = []
    known.warn = said.append
    data = around(line)
    known.path.write_bytes(data)
    for host in ("first", "last"):
        assert known.entry(host, 22).judge(ED) is Trust.TRUSTED
    assert known.entry("bastion", 22).judge(ED) is Trust.UNKNOWN
    assert len(said) == 1
    known.pin(offer(), replace=True)
    assert known.path.read_bytes().startswith(data)


def test_a_line_is_told_once_as_long_as_the_file_stays_as_it_is(known: KnownHosts) -> None:
    said: list[str] = []
    known.warn = said.append
    known.path.write_bytes(b"odd\nodder\n" + f"bastion {KEY}\n".encode())
    for _ in range(5):
        known.entry("bastion", 22)
    assert len(said) == 2
    known.path.write_bytes(b"odd\n" * 50)
    known.entry("bastion", 22)
    assert len(said) == 2 + host_keys.TOLD + 1
    assert "45 more lines" in said[-1]


def test_a_key_that_was_revoked_for_somebody_who_cannot_be_known_is_trusted_nowhere(
    known: KnownHosts,
) -> None:
    known.path.write_text(f"@revoked |1|damaged|hash {KEY}\nbastion {public_text(OTHER)}\n")
    with pytest.raises(Failed, match=":1: its hashed name"):
        known.entry("bastion", 22)


@pytest.mark.parametrize(
    ("file", "trust"),
    [
        (f"\ufeffbastion {KEY}\n", Trust.TRUSTED),
        (f"bastion {KEY}\r\nother {KEY}\r\n", Trust.TRUSTED),
        (f"\tbastion\t{KEY.replace(' ', chr(9))}\tcomment\n", Trust.TRUSTED),
        (f"BASTION,10.0.0.1 {KEY}\n", Trust.TRUSTED),
        (f"b?st*,!bastion {KEY}\n", Trust.UNKNOWN),
        (f"*.example.com,bast* {KEY}\n", Trust.TRUSTED),
        (f"bastion 1024 35 1234567890\nbastion {KEY}\n", Trust.TRUSTED),
        (f"bastion ssh-mldsa-65 AAAAB\nbastion {KEY}\n", Trust.TRUSTED),
        (f"bastion {KEY}", Trust.TRUSTED),
        (f"# bastion garbage\n\n \n#\n bastion {KEY} a \x0c comment \x85 \u2028 here\n", Trust.TRUSTED),
        (f"bastion2 {KEY}\n[bastion]:22 {KEY}\n", Trust.UNKNOWN),
    ],
    ids=lambda value: str(value).split(KEY.split()[1])[0],
)
def test_what_is_only_unusual_is_understood(known: KnownHosts, file: str, trust: Trust) -> None:
    said: list[str] = []
    known.warn = said.append
    known.path.write_text(file, newline="")
    assert known.entry("bastion", 22).judge(ED) is trust
    assert said == []


def test_a_key_of_a_type_that_is_not_known_is_told_to_who_is_asked(known: KnownHosts) -> None:
    known.path.write_text("other ssh-mldsa-65 AAAAB\nbastion ssh-mldsa-87 AAAAB\n")
    entry = known.entry("bastion", 22)
    assert entry.judge(ED) is Trust.UNKNOWN
    assert entry.offer(ED).evidence == (
        "line 2 of our own file has a key of a type that we do not know: ssh-mldsa-87",
    )


def test_ssh_keygen_and_we_read_the_same(known: KnownHosts, tmp_path: Path) -> None:
    """Patterns, negations, several names, hashed names, ports."""
    known.path.write_text(
        f"a,b,*.example.com,!x.example.com {KEY}\n[c]:2222,d {KEY}\n10.0.?.1 {KEY}\nhashed {KEY}\n"
    )
    hashed = tmp_path / "hashed"
    hashed.write_text(f"hashed {KEY}\n[hashed]:2222 {KEY}\n")
    subprocess.run(["ssh-keygen", "-H", "-f", hashed], capture_output=True, check=True)
    known.path.write_bytes(known.path.read_bytes() + hashed.read_bytes())
    names = ["a", "b", "c", "[c]:2222", "d", "y.example.com", "x.example.com", "example.com", "10.0.7.1"]
    for name in [*names, "hashed", "[hashed]:2222", "[hashed]:2223", "10.0.77.1", "A"]:
        found = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", known.path], capture_output=True, text=True, check=False
        )
        ours = any(line.names(name.lower()) for line in entries(known.path.read_text()))
        assert ours == bool(found.stdout), name


def test_ten_megabytes_are_read_once_and_every_host_of_them_works(known: KnownHosts) -> None:
    known.path.write_text("".join(f"host-{n}.example.com {KEY}\n" for n in range(105_000)))
    assert known.path.stat().st_size > 10_000_000
    began = time.monotonic()
    assert known.entry("host-104999.example.com", 22).judge(ED) is Trust.TRUSTED
    assert known.entry("host-1.example.com", 22).judge(OTHER) is Trust.CHANGED
    assert time.monotonic() - began < 30


names = st.sampled_from(
    ["bastion", "other", "*", "[bastion]:2222", "|1|x|y", "!bastion", "@revoked", "#", ""]
)
pieces = st.one_of(
    st.binary(max_size=40),
    names.map(str.encode),
    st.sampled_from(
        [KEY.encode(), *ODD.values(), *NAMELESS.values(), b" ", b"\t", b"\r", b"\n", b"\n", b"\xef\xbb\xbf"]
    ),
)
files = st.lists(pieces, max_size=12).map(b"".join)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(data=files)
@example(data=b"@")
@example(data=b"|")
@example(data=b"\x0b")
@example(data=b"*" * 5000 + b" ssh-ed25519 AAAA")
@example(data=b"\xff\xfeb\x00a\x00")
def test_any_file_gives_an_answer_or_names_a_line(data: bytes) -> None:
    fuzz(data)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None, database=None)
@given(data=files)
def test_any_file_gives_an_answer_or_names_a_line_for_long(data: bytes) -> None:
    fuzz(data)


def fuzz(data: bytes) -> None:
    text = host_keys._text(data)
    assert host_keys._bytes(text) == data
    lines = list(entries(text))
    for line in odd_lines(lines):
        assert line.odd.isprintable()
        assert 1 <= line.number <= data.count(b"\n") + 1
    for port in (22, 2222):
        try:
            trust = HostEntry(lines, "bastion", port).judge(ED)
        except OddLine as odd:
            named = odd
        else:
            assert trust is not Trust.TRUSTED or KEY.split()[1].encode() in data
            continue
        assert named.why.isprintable()
        assert 1 <= named.number <= data.count(b"\n") + 1
