"""A failure on the screen: what to do, the report for somebody else, and the question about a host key."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.diagnosis.catalogue import look_at
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, KnownKey, Stage
from canary_tui.keys.ssh_software import Family
from canary_tui.servers.model import Engine
from canary_tui.tui.presenters import advice
from canary_tui.tui.presenters.host_key import host_key_lines
from canary_tui.tui.presenters.lines import Tone, plain, width_of
from canary_tui.tui.presenters.report import report
from tests.screens import samples


def test_each_trouble_names_the_key_to_press() -> None:
    said = {row.server.name: " ".join(map(plain, advice.advice(row, samples.NOW))) for row in samples.fleet()}
    assert "p shows the key" in said["legacy"]
    assert "Next try in 48 s; r tries now." in said["legacy"]
    assert "h shows it" in said["new-jump"]
    assert "o opens it" in said["archive"]
    assert "psql -h 127.0.0.1 -p 15432 -U canary_reader orders" in said["orders-prod"]
    assert "mysql -h 127.0.0.1 -P 15433" in said["billing"]


def test_trouble_with_the_local_port_stands_beside_how_to_use_it() -> None:
    row = msgspec.structs.replace(samples.fleet()[0], local_trouble="[::1]:15432 belongs to another program")
    first, second = map(plain, advice.advice(row, samples.NOW))
    assert "[::1]:15432 belongs to another program" in first
    assert "127.0.0.1" in second


def test_report_has_no_secret_and_names_what_to_look_at() -> None:
    text = report(samples.server(), samples.refused(), samples.key())
    for words in (
        "auth",
        "key_not_accepted",
        "ssh_user@bastion-1 port 22 (192.0.2.7)",
        samples.key().fingerprint,
        "~ssh_user/.ssh/authorized_keys",
        "10.0.3.12 port 5432",
        "canary_reader on orders",
        f"Line:      {samples.key().restricted}",
        "2026-09-21 14:13:20 UTC",
    ):
        assert words in text
    assert samples.key().path not in text


def test_the_report_for_who_runs_dropbear_names_nothing_of_openssh_s() -> None:
    key = msgspec.structs.replace(samples.key(), ssh_family=Family.DROPBEAR)
    text = report(samples.server(), samples.refused(), key)
    assert "the options -w and -G of dropbear" in text
    assert "sshd" not in text


def test_report_about_a_host_key_has_both_and_the_file_to_compare() -> None:
    offer = samples.offer(changed=True)
    text = report(samples.server(), samples.refused(offer=offer))
    assert offer.fingerprint in text
    assert offer.known[0].fingerprint in text
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in text


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("tunnel", [True, False])
@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_setting_to_look_at_with_its_names_filled_in(
    cause: Cause, tunnel: bool, engine: Engine
) -> None:
    stage = ROWS[cause].stage or Stage.QUERY
    said = look_at(cause, stage, samples.server(engine=engine, tunnel=tunnel).words)
    assert bool(said) is (stage is not Stage.SETTINGS)
    assert "{" not in said
    if not tunnel and stage in {Stage.RESOLVE, Stage.CONNECT}:
        assert "sshd" not in said
        assert "SSH server" not in said


@pytest.mark.parametrize(
    ("key_type", "file"),
    [
        ("ssh-ed25519", "ed25519"),
        ("ssh-rsa", "rsa"),
        ("rsa-sha2-512", "rsa"),
        ("ssh-dss", "dsa"),
        ("ecdsa-sha2-nistp256", "ecdsa"),
        ("ecdsa-sha2-nistp521", "ecdsa"),
        ("ssh-ed25519-cert-v01@openssh.com", "ed25519"),
    ],
)
def test_a_host_key_is_compared_with_the_file_of_its_type(key_type: str, file: str) -> None:
    offered = msgspec.structs.replace(samples.offer(), key_type=key_type)
    text = "\n".join(map(plain, host_key_lines(offered, 72)))
    assert f"ssh-keygen -lf /etc/ssh/ssh_host_{file}_key.pub" in text


def test_a_changed_key_stands_beside_the_trusted_one_and_since_when() -> None:
    offer = samples.offer(changed=True)
    wide = [plain(spans) for spans in host_key_lines(offer, 106)]
    (both,) = [text for text in wide if offer.fingerprint in text]
    assert offer.known[0].fingerprint in both
    narrow = [plain(spans) for spans in host_key_lines(offer, 70)]
    (old,) = [text.index("SHA256:0ld") for text in narrow if "SHA256:0ld" in text]
    (new,) = [text.index("SHA256:n3w") for text in narrow if "SHA256:n3w" in text]
    assert old == new
    for lines in (wide, narrow):
        assert "since 2026-03-01 09:00 UTC" in "\n".join(lines)


@given(st.integers(20, 120), st.integers(0, 3), st.booleans())
def test_the_host_key_question_shows_whole_fingerprints_and_fits(
    width: int, known: int, evidence: bool
) -> None:
    old = KnownKey(key_type="ssh-rsa", fingerprint="SHA256:" + "x" * 43, since="")
    offer = msgspec.structs.replace(
        samples.offer(), known=(old,) * known, evidence=("~/.ssh/known_hosts has another key",) * evidence
    )
    lines = host_key_lines(offer, width)
    assert sum(plain(spans).count(old.fingerprint) for spans in lines) == known
    assert any(offer.fingerprint in plain(spans) for spans in lines)
    whole = {old.fingerprint, offer.fingerprint}
    for spans in lines:
        commands = any(tone is Tone.ACCENT for _, tone in spans)
        assert commands or whole & {text for text, _ in spans} or width_of(spans) <= max(width, 56)


@pytest.mark.parametrize("height", [2, 3, 5])
def test_advice_always_keeps_room_for_the_next_step(height: int) -> None:
    row = samples.fleet()[3]
    said = advice.fitted(advice.advice(row, samples.NOW), 60, height)
    assert len(said) <= height
    assert any("p shows the key" in plain(spans) for spans in said)


def test_the_first_remedy_is_whole_where_there_is_room() -> None:
    row = samples.fleet()[3]
    text = " ".join(plain(spans) for spans in advice.fitted(advice.advice(row, samples.NOW), 94, 5))
    assert row.failure is not None
    assert row.failure.remedies[0] in text
