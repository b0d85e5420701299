"""The catalogue: every cause has a name, a summary and remedies, whatever the words."""

from __future__ import annotations

import re
import shlex
import subprocess
from itertools import product
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.diagnosis.catalogue import explain, stage_title, title
from canary_tui.diagnosis.manual import troubleshooting
from canary_tui.diagnosis.stages import SSH_STAGES, Cause, Failed, Failure, Stage
from canary_tui.diagnosis.words import PLACEHOLDER, QUOTING, STAND_INS
from canary_tui.servers.model import Database, Engine, Server, SshServer, TlsMode
from tests.unit.catalogue_samples import SERVERS, SSH, TUNNELLED_MYSQL, every_line, failure, text_of

MANUAL = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
FACTS = {
    "key_path": "/home/me/keys/orders-prod",
    "known_hosts_path": "/home/me/known_hosts",
    "ca_file": "/home/me/ca.pem",
    "variable": "ORDERS_PASSWORD",
    "offered": "SHA256:new",
    "known": "SHA256:old",
    "program": "ssh",
    "pid": "4711",
    "free_port": "15433",
}


def every_failure() -> list[Failure]:
    """Each cause at each stage, with and without facts, for each kind of server."""
    return [
        failure(cause, server, stage, facts)
        for cause, server, stage, facts in product(
            Cause, SERVERS, Stage, ({}, FACTS, {"ssh_software": "dropbear"})
        )
    ]


def test_every_placeholder_is_a_known_word_quoted_in_a_known_way() -> None:
    used = {found for line in every_line() for found in PLACEHOLDER.findall(line.text)}
    assert {word for word, _ in used} <= set(STAND_INS)
    assert {how for _, how in used} <= set(QUOTING) | {""}


def test_every_tag_is_one_that_a_failure_can_have() -> None:
    tags = {tag for line in every_line() for tag in line.tags}
    facts = {f"{fact}:{word}" for word in STAND_INS for fact in ("has", "lacks")}
    assert tags <= {"tunnel", "direct", "openssh", "dropbear"} | set(Stage) | facts


def test_a_value_inside_a_command_is_always_quoted() -> None:
    for line in every_line():
        for command in re.findall(r"`[^`]*`", line.text):
            assert all(how for _, how in PLACEHOLDER.findall(command)), command


def test_backticks_pair_up_so_that_commands_can_be_told_from_prose() -> None:
    assert not [line.text for line in every_line() if line.text.count("`") % 2]


def test_every_cause_has_one_to_four_different_remedies_for_every_server() -> None:
    for told in every_failure():
        assert 1 <= len(told.remedies) <= 4, told
        assert len(set(told.remedies)) == len(told.remedies), told


@pytest.mark.parametrize("mode", TlsMode)
@pytest.mark.parametrize("query", ["select 1", "SELECT 1;", "select count(*) from orders"])
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_no_remedy_proposes_what_is_so_already(server: Server, query: str, mode: TlsMode) -> None:
    changed = msgspec.structs.replace(
        server,
        database=msgspec.structs.replace(server.database, tls=mode),
        probe=msgspec.structs.replace(server.probe, query=query),
    )
    asked = {Cause.TLS_REQUIRED, Cause.DATABASE_HOST_NOT_ALLOWED, Cause.PASSWORD_REJECTED}
    for cause in Cause:
        told = failure(cause, changed)
        assert 1 <= len(told.remedies) <= 4, told
        if "count" not in query:
            assert not any("probe.query: select 1" in said for said in told.remedies), cause
        if cause in asked and mode is not TlsMode.DISABLE:
            assert not any("database.tls: require" in said for said in told.remedies), cause


def test_every_sentence_is_calm_and_short_enough_to_read() -> None:
    for told in every_failure():
        for sentence in (told.summary, *told.remedies):
            prose = re.sub(r"`[^`]*`", "", sentence)
            assert sentence.endswith((".", "`."))
            assert "!" not in prose
            assert not re.search(r"\b(please|sorry|oops|you must|you forgot)\b", prose, re.IGNORECASE)
            assert len(sentence) <= 450, sentence


LOGIN_WORDS = re.compile(r"PostgreSQL|postgresql|MySQL|mysql|my\.cnf|pg_hba|password|DB_USER|ALTER|GRANT")


@pytest.mark.parametrize("ssh", [SSH, None], ids=["tunnel", "direct"])
@pytest.mark.parametrize(
    "cause",
    [
        Cause.CONNECTION_REFUSED,
        Cause.CONNECT_TIMED_OUT,
        Cause.DATABASE_REFUSED,
        Cause.DATABASE_TIMED_OUT,
        Cause.DATABASE_UNREACHABLE,
        Cause.DATABASE_NAME_NOT_FOUND,
        Cause.DATABASE_CLOSED_EARLY,
    ],
)
def test_a_tcp_service_is_never_told_about_databases_that_it_is_not(
    cause: Cause, ssh: SshServer | None
) -> None:
    server = Server(
        name="cache", engine=Engine.TCP, database=Database(host="10.0.3.20", port=6379), ssh=ssh
    ).fitting()
    told = failure(cause, server)
    assert told.remedies
    assert not LOGIN_WORDS.search(text_of(told))


def test_an_unknown_error_is_said_to_be_ours_and_keeps_the_library_s_words() -> None:
    told = explain(Failed(Cause.INTERNAL_ERROR, detail="weird: 42"), Stage.TLS, TUNNELLED_MYSQL.words)
    assert "defect" in told.summary
    assert told.detail == "weird: 42"
    assert told.stage is Stage.TLS


def test_the_detail_is_one_line_without_control_characters_and_limited() -> None:
    told = explain(Failed(Cause.QUERY_FAILED, detail="a\n\x1b[31mb\u202e\0" + "c" * 900), Stage.QUERY, {})
    assert told.detail.startswith("a b c")
    assert len(told.detail) == 500
    assert told.detail.isprintable()


def test_stages_are_called_by_what_they_reach() -> None:
    assert stage_title(Stage.AUTH, direct=False) == "SSH login"
    assert stage_title(Stage.RESOLVE, direct=False) == "name look-up"
    assert stage_title(Stage.CONNECT, direct=False) == "SSH connect"
    assert stage_title(Stage.CONNECT, direct=True) == "database connect"
    for direct in (True, False):
        assert len({stage_title(stage, direct=direct) for stage in Stage}) == len(Stage)


@pytest.mark.parametrize("stage", sorted(set(Stage) - SSH_STAGES))
def test_no_stage_of_a_direct_server_is_called_after_ssh(stage: Stage) -> None:
    assert "SSH" not in stage_title(stage, direct=True)


def test_shell_commands_of_the_remedies_are_valid_shell() -> None:
    starts = (
        "sudo ",
        "chmod ",
        "ssh-keygen ",
        "getent ",
        "openssl ",
        "nc ",
        "for ",
        "canary ",
        "ip ",
        "time ",
        "read ",
    )
    commands = {
        command
        for told in every_failure()
        for remedy in told.remedies
        for command in re.findall(r"`([^`]*)`", remedy)
        if command.startswith(starts)
    }
    assert len(commands) > 40
    for command in commands:
        checked = subprocess.run(["sh", "-n", "-c", command], capture_output=True, check=False)
        assert checked.returncode == 0, command


def test_the_manual_s_page_is_the_catalogue_s() -> None:
    assert MANUAL.read_text() == troubleshooting(), (
        "python -m canary_tui.diagnosis.manual > docs/troubleshooting.md"
    )


def test_the_manual_begins_with_the_common_issues_and_has_every_cause() -> None:
    page = troubleshooting()
    headings = re.findall(r"^#{2,3} (.*)$", page, re.MULTILINE)
    assert headings[0] == "Common issues"
    assert [f"### `{cause}`: {title(cause)}" in page for cause in Cause].count(False) == 0
    anchors = re.findall(r'<a id="(\w+)">', page)
    assert sorted(anchors) == sorted(Cause)
    assert set(re.findall(r"\(#(\w+)\)", page)) <= set(anchors)


WORDS = st.dictionaries(st.sampled_from(sorted(STAND_INS)) | st.text(max_size=8), st.text(max_size=40))


@given(cause=st.sampled_from(Cause), stage=st.sampled_from(Stage), words=WORDS, facts=WORDS, detail=st.text())
def test_whatever_the_words_a_failure_is_told_on_clean_lines(
    cause: Cause, stage: Stage, words: dict[str, str], facts: dict[str, str], detail: str
) -> None:
    told = explain(Failed(cause, detail=detail, facts=facts), stage, words)
    assert 1 <= len(told.remedies) <= 4
    assert len(told.detail) <= 500
    for line in (told.summary, *told.remedies, told.detail):
        assert "\n" not in line
        assert "\x1b" not in line
    if not any(mark in value for value in (*words.values(), *facts.values()) for mark in "{}"):
        assert not PLACEHOLDER.search(text_of(told))


@given(value=st.text(min_size=1, max_size=30))
def test_a_path_cannot_break_out_of_its_shell_command(value: str) -> None:
    told = failure(Cause.KEY_PERMISSIONS, facts={"key_path": f"/{value}"})
    command = told.remedies[0].removeprefix("Make it private: `").removesuffix("`.")
    assert shlex.split(command)[:2] == ["chmod", "600"]
    assert len(shlex.split(command)) == 3
