"""Every mistake in ``servers.yaml`` is named with its place, and no secret is repeated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from canary_tui.servers.file import BadFile, read
from canary_tui.servers.reading import MAX_SERVERS, parse
from tests.unit.servers_texts import ENTRY, in_database, mistakes


@pytest.mark.parametrize(
    "found", ["0", "65536", "'22 '", "0x16", "1_000", "022", "-1", "22.0", "1e3", "ssh", "²", "99999999"]
)
def test_a_port_is_plain_decimal_digits(found: str) -> None:
    (message,) = mistakes(in_database(f"port: {found}"))
    assert message.startswith("servers.yaml:6: servers[0].database.port: ")
    assert message.endswith(" is not a port (1–65535)")


def test_a_mistake_is_said_in_the_contracts_words() -> None:
    text = ENTRY + "- name: b\n  engine: mysql\n  database: {host: h}\n"
    text += "  ssh:\n    host: j\n    user: u\n    port: 99999\n"
    assert mistakes(text) == ["servers.yaml:11: servers[1].ssh.port: 99999 is not a port (1–65535)"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("version: two\n", 1, "version: two is no version; 1 is the one known here"),
        ("version: 0\n", 1, "version: 0 is no version"),
        ("version: [1]\n", 1, "version: a list is no version"),
        ("servers: {a: b}\n", 1, "where a list (- name: …) belongs"),
        ("- a\n", 1, "is a list, where version: and servers: belong"),
        ("just words\n", 1, "is a single value, where version: and servers: belong"),
        ("servers:\n-\n", 2, "servers[0]: is empty"),
        ("servers:\n- x\n", 2, "servers[0]: is a single value"),
        ("servers:\n- {}\n", 2, "servers[0].name: is missing"),
        ("servers:\n- name: a\n  database: {host: h}\n", 2, "engine: is missing (postgresql, mysql or tcp)"),
        ("servers:\n- name: a\n  engine: oracle\n  database: {host: h}\n", 3, "oracle is not one of"),
        ("servers:\n- name: a\n  engine: mysql\n", 2, "servers[0].database: is missing; its host is needed"),
        ("servers:\n- name: a\n  engine: mysql\n  database: {}\n", 4, "database.host: is missing"),
        (ENTRY.replace("name: a", "name: ../a"), 2, "../a is no server name"),
        (ENTRY.replace("name: a", "name: " + "n" * 300), 2, "n… is no server name"),
        (ENTRY.replace("name: a", 'name: "a\\nb"'), 2, "'a\\nb' is no server name"),
        (ENTRY.replace("host: h", "host: u@h:22"), 4, "u@h:22 has a user in it"),
        (ENTRY.replace("host: h", "host: '[::1]'"), 4, "has brackets"),
        (ENTRY.replace("host: h", "host: [h]"), 4, "host: is a list, where a single value belongs"),
        (ENTRY + "  tags: eu\n", 5, "tags: is a single value, where a list [a, b] belongs"),
        (ENTRY + "  ssh:\n", 5, "ssh: is empty; it needs host and user, or is left out"),
        (ENTRY + "  ssh: {host: j}\n", 5, "ssh.user: is missing"),
        (ENTRY + "  ssh: {user: j}\n", 5, "ssh.host: is missing"),
        (ENTRY + "  ssh: jump\n", 5, "ssh: is a single value, where settings"),
        (ENTRY + "  ssh: {host: j, user: u, connect_wait: 6m}\n", 5, "6m is out of range (0s – 5m)"),
        (ENTRY + "  probe: {every: 500ms}\n", 5, "500ms is out of range (1s – 1d)"),
        (ENTRY + "  probe: {timeout: 61}\n", 5, "61 is out of range (1s – 1m)"),
        (ENTRY + "  probe: {slow_after: 0}\n", 5, "0 is out of range (more than 0s – 1m)"),
        (ENTRY + "  probe: {every: soon}\n", 5, "soon is no duration"),
        (ENTRY + "  probe: {query: ''}\n", 5, "is empty; one statement is needed"),
        (ENTRY + "  enabled: maybe\n", 5, "maybe is neither true nor false"),
        (ENTRY + "  ? [a]\n  : b\n", 5, "has a list where a setting's name belongs"),
        (ENTRY + "  engine: mysql\n", 5, "engine: stands there twice (line 3 too)"),
        (ENTRY + "history: {max_size: 2XB}\n", 5, "history.max_size: 2XB is no size"),
        (ENTRY + "history: {max_size: 1}\n", 5, "1 is too small (1MB or more)"),
        (ENTRY + "history: {raw: 0s}\n", 5, "0s is out of range (more than 0s or longer)"),
        ("servers:\n\t- name: a\n", 2, "is indented with a tab; YAML is indented with spaces only"),
        ("a: 'x\n", 2, "is no YAML: "),
        ("a: 1\n---\nb: 2\n", 2, "begins a second document"),
        ("a: !secret x\n", 1, "has the tag !secret"),
        ("a: &a [*a]\n", 1, "*a refers to itself"),
        ("a: *b\n", 1, "*b refers to no anchor before it"),
        ("a: 1\nb: \x00\n", 2, "has the control character '\\x00'"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_line(text: str, line: int, words: str) -> None:
    said = mistakes(text)
    assert any(message.startswith(f"servers.yaml:{line}: ") and words in message for message in said), said


def test_every_mistake_is_reported_at_once() -> None:
    text = (
        ENTRY.replace("host: h", "host: 'a b', port: 0")
        + "- name: b\n  engine: db2\n  database: {host: h, tls: maybe}\n"
    )
    assert len(mistakes(text)) == 4


def test_two_servers_with_one_name_name_both_lines() -> None:
    (message,) = mistakes(ENTRY + ENTRY.removeprefix("servers:\n"))
    assert message == "servers.yaml:5: servers[1].name: a is the name of another server too (line 2)"


def test_one_local_port_twice_names_both_lines() -> None:
    text = ENTRY + "  ssh: {host: j, user: u, local_port: 15432}\n"
    (message,) = mistakes(text + text.removeprefix("servers:\n").replace("name: a", "name: b"))
    assert message == "servers.yaml:9: servers[1].ssh.local_port: 15432 is the local port of a too (line 5)"


def test_unknown_settings_are_left_to_whom_they_belong() -> None:
    text = "x-team: [a]\n" + ENTRY + "  owner: {mail: x}\n  notes: |\n    long\n"
    assert parse(text, "f").fleet.servers[0].name == "a"


@pytest.mark.parametrize(
    "literal",
    [
        "hunter2",
        "[hunter2]",
        "{hunter2}",
        "{hunter2: x}",
        "{env: 'hunter2=3'}",
        "{env: [hunter2]}",
        "{env: X, command: [hunter2]}",
        "{command: hunter2}",
        "{command: []}",
        "{command: [[hunter2]]}",
        "{command: ['']}",
        "{keyring: hunter2}",
    ],
)
def test_a_literal_password_is_refused_and_never_repeated(literal: str) -> None:
    (message,) = mistakes(in_database(f"password: {literal}"))
    assert "{env: VARIABLE}, {command: [program, argument, …]} or {keyring: true}" in message
    assert "hunter2" not in message


def test_a_yaml_error_does_not_quote_the_file() -> None:
    assert "hunter2" not in mistakes(in_database("password: hunter2: x"))[0]


@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 2_000_000,
        "{a: " * 1_000_000,
        "- " * 2_000_000,
        "? " * 2_000_000,
        "\n".join(f"{' ' * n}a:" for n in range(1000)),
        "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10) if n else 'x'}]" for n in range(40)),
        "x: &a [" + "1, " * 2000 + "]\ny: [" + "*a, " * 2000 + "]",
    ],
)
def test_bombs_are_refused_and_not_built(bomb: str) -> None:
    (message,) = mistakes(bomb)
    assert "deeper than 20 levels" in message or "aliases stand for more than" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: \xff\xfe", "servers.yaml:1: has the byte 0xff in it; the file must be UTF-8 text"),
        ("name: é\n".encode("utf-16"), "servers.yaml:1: has the byte 0xff"),
        (b"\x7fELF\x00\x01", "servers.yaml:1: has the control character"),
        (b"# \n" * 3_400_000, "servers.yaml: is larger than 8 MB"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "servers.yaml"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=words):
        read(path)


def test_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="is a folder"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadFile, match="pipe: is not a regular file"):
        read(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadFile, match="loop: cannot be read: "):
        read(tmp_path / "loop")


def test_more_servers_than_the_limit_are_refused_in_one_sentence() -> None:
    entries = [f"- {{name: s{number}, engine: nonsense}}\n" for number in range(MAX_SERVERS + 1)]
    assert mistakes("servers:\n" + "".join(entries)) == [
        f"servers.yaml:{MAX_SERVERS + 2}: servers: has 10001 servers; 10000 is the most"
    ]
    good = [f"- {{name: s{number}, engine: mysql, database: {{host: h}}}}\n" for number in range(MAX_SERVERS)]
    assert len(parse("servers:\n" + "".join(good), "servers.yaml").fleet.servers) == MAX_SERVERS
