"""Whatever stands in ``servers.yaml``: servers, or every reason why not; and edits that leave the rest."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from canary_tui.monitor.board import Board, Health
from canary_tui.monitor.events import FleetLoaded
from canary_tui.servers.editing import changed, removed
from canary_tui.servers.file import BadFile, read
from canary_tui.servers.fleet import BrokenServer, Fleet
from canary_tui.servers.nodes import BOM
from canary_tui.servers.problems import Problem
from canary_tui.servers.reading import parse
from canary_tui.servers.vocabulary import KEYS

SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
EXAMPLE = (Path(__file__).parents[2] / "servers.example.yaml").read_text()
SMALL = """\
version: 1
x-jump: &jump {host: bastion, user: me}
servers:
- name: a
  engine: postgresql
  database: {host: h, sslmode: require, password: {env: X}}
  ssh: {<<: *jump, local_port: 15001}
- name: b
  engine: mysql
  database:
    host: "h\\x2e example"
  probe: {every: 10s}
history: {raw: 3d}
"""
TOKENS = st.sampled_from([
    "servers:", "- ", "name: ", "a", "b", "\n", "\n  ", "\n    ", "engine: mysql", "database: ", "host: h",
    "{", "}", "[", "]", ", ", ": ", "? ", "&x ", "*x", "<<: *x", "!t ", "!!str ", "'", '"', "|\n", ">\n",
    "# c\n", "\t", "\r\n", "---\n", "...\n", "%YAML 1.2\n", "\x00", "\x1b]0;x\x07", "\u202e", "\u2028",
    BOM, "\ud800", "é", "~", "null", "ssh: ", "user: u", "password: ", "hunter2", "env: X", "command: [x]",
    "port: ", "99999", "1e3", "yes", "-1", "version: ", "2", "sslmode: verify-full", "ProxyJump: j", "x-y: 1",
    "local_port: 15001", "probe: ", "every: 9", "defaults: ", "history: ", "raw: ", "3d", "enabled: no",
    "key: ~nobody/x",
])  # fmt: skip
SOUP = st.lists(TOKENS, max_size=60).map("".join)


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """A good file with pieces of it taken out, put in, or doubled."""
    text = draw(st.sampled_from([EXAMPLE, SMALL, SMALL.replace("\n", "\r\n"), BOM + SMALL]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        text = (
            text[:start]
            + draw(st.one_of(TOKENS, SOUP, st.just(text[start:end] * 2), st.just("")))
            + text[end:]
        )
    return text


FILES = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode(errors="surrogatepass")),
    SOUP.map(lambda text: text.encode(errors="surrogatepass")),
    spoilt().map(lambda text: text.encode(errors="surrogatepass")),
)


def fleet_or_reasons(path: Path, data: bytes) -> Fleet | None:
    """Read a file; what is said about it is one printable line each, and never a password."""
    path.write_bytes(data)
    path.chmod(0o600)
    fleet: Fleet | None = None
    said: tuple[Problem, ...] = ()
    try:
        fleet = read(path)
    except BadFile as bad:
        said = bad.problems
    if fleet is not None:
        said = (*fleet.warnings, *(problem for entry in fleet.broken for problem in entry.problems))
        assert all(entry.problems for entry in fleet.broken)
        names = [entry.name for entry in fleet.entries]
        assert len(names) == len(set(names))
        assert len(fleet.named) == len(fleet.servers) + len(fleet.broken)
    assert said or fleet is not None
    assert all(str(problem).isprintable() for problem in said)
    return fleet


def edits_leave_the_rest(text: str) -> None:
    """Switch each server off, take each entry out: done with all else as it was, or refused."""
    before = parse(text, "f").fleet
    for index, entry in enumerate(before.entries[:3]):
        others = before.named[:index] + before.named[index + 1 :]
        try:
            _, after = removed(text, "f", entry.name)
        except BadFile:
            pass
        else:
            assert after.named == others
        if isinstance(entry, BrokenServer):
            continue
        wanted = msgspec.structs.replace(entry, enabled=not entry.enabled)
        try:
            _, after = changed(text, "f", entry.name, wanted)
        except BadFile:
            continue
        assert after.named == (*before.named[:index], wanted, *before.named[index + 1 :])
        assert after.get(entry.name) == wanted


def try_file(path: Path, data: bytes) -> None:
    fleet = fleet_or_reasons(path, data)
    if fleet is None:
        return
    edits_leave_the_rest(data.decode().removeprefix(BOM))
    board = Board()
    for at, listed in enumerate((fleet, fleet.keeping(parse(SMALL, "f").fleet))):
        board.apply(FleetLoaded(at=float(at), fleet=listed))
        rows = board.publish().rows
        assert [row.server.name for row in rows] == [entry.name for entry in listed.entries]
        assert {row.server.name for row in rows if row.health is Health.BROKEN} == {
            entry.name for entry in listed.entries if isinstance(entry, BrokenServer)
        }


@SETTINGS
@given(data=FILES)
def test_anything_is_a_list_of_servers_or_every_reason_why_not(tmp_path: Path, data: bytes) -> None:
    try_file(tmp_path / "servers.yaml", data)


@pytest.mark.soak
@settings(SETTINGS, max_examples=6_000)
@given(data=FILES)
def test_anything_at_length(tmp_path: Path, data: bytes) -> None:
    try_file(tmp_path / "servers.yaml", data)


PLACES = {
    "servers:": "{key}: 1\nservers:",
    "- name: a": "- {key}: 1\n  name: a",
    "{host: h,": "{{{key}: 1, host: h,",
    "<<: *jump,": "{key}: 1, <<: *jump,",
    "every: 10s": "{key}: 1, every: 10s",
    "raw: 3d": "{key}: 1, raw: 3d",
}
"""Where a key is put into the small file: one place in each kind of block."""


@pytest.mark.parametrize("place", PLACES)
@settings(SETTINGS, max_examples=100)
@given(key=st.text(st.characters(exclude_categories=["Cs", "Cc"], max_codepoint=0xFFFD), max_size=30))
def test_any_key_that_is_no_setting_is_warned_of(place: str, key: str) -> None:
    assume(key not in {"<<", *(name for known in KEYS.values() for name in known)})
    good = SMALL.replace("sslmode: require, ", "").replace("h\\x2e example", "b")
    quoted = msgspec.json.encode(key).decode()
    fleet = parse(good.replace(place, PLACES[place].format(key=quoted)), "f").fleet
    assert not fleet.broken
    assert len(fleet.warnings) == (0 if key[:2].lower() in {"x-", "x_"} else 1)


@pytest.mark.parametrize(
    "text",
    [
        "servers:\n" + "".join(f"- {{name: s{n}, engine: x, database: {{hosts: h}}}}\n" for n in range(9000)),
        "servers:\n- name: a\n" + "".join(f"  k{n}: 1\n" for n in range(200_000)),
        "servers:\n- name: a\n  database: {host: " + "h" * 7_000_000 + "}\n",
        "servers:\n- name: a\n  " + "k" * 1000 + ": 1\n",
        "x: &a {" + ", ".join(f"k{n}: 1" for n in range(1_000)) + "}\nservers:\n"
        + "".join(f"- {{name: s{n}, <<: *a}}\n" for n in range(190)),
        "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 400))
        + "servers:\n- {<<: *a399, name: a}\n",
        "servers:\n- name: a\n  database: {host: h, password: {"
        + ", ".join(f"p{n}: 1" for n in range(90_000)) + "}}",
    ],
    ids=["broken", "unknown", "long", "longkey", "merged", "chained", "beside"],
)  # fmt: skip
def test_much_of_one_thing_takes_seconds_and_not_minutes(tmp_path: Path, text: str) -> None:
    began = time.monotonic()
    fleet_or_reasons(tmp_path / "servers.yaml", text.encode())
    assert time.monotonic() - began < 60
