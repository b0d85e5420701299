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

from canary_tui.diagnosis.catalogue import explain, look_at, stage_title, title
from canary_tui.diagnosis.causes import CAUSES_BY_STAGE, ROWS
from canary_tui.diagnosis.manual import troubleshooting
from canary_tui.diagnosis.stages import SSH_STAGES, Cause, Failed, Failure, Stage
from canary_tui.diagnosis.words import PLACEHOLDER, QUOTING, STAND_INS
from canary_tui.servers.model import Database, Engine, Server, SshServer, TlsMode

MANUAL = Path(__file__).parents[2] / "docs" / "troubleshooting.md"

SSH = SshServer(host="bastion.example.com", port=2222, user="ssh_user", local_port=15432)
DIRECT_POSTGRESQL = Server(
    name="reports",
    engine=Engine.POSTGRESQL,
    database=Database(host="10.0.3.9", port=5433, name="reports", user="reader"),
)
TUNNELLED_POSTGRESQL = Server(
    name="orders-prod",
    engine=Engine.POSTGRESQL,
    database=Database(host="10.0.3.12", port=5432, name="orders", user="canary_reader"),
    ssh=SSH,
)
TUNNELLED_MYSQL = Server(
    name="billing",
    engine=Engine.MYSQL,
    database=Database(host="10.0.3.13", port=3306, name="billing", user="canary_reader"),
    ssh=SSH,
)
SERVERS = (DIRECT_POSTGRESQL, TUNNELLED_POSTGRESQL, TUNNELLED_MYSQL)
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
SSH_ONLY = {
    cause
    for stage in (Stage.HANDSHAKE, Stage.HOST_KEY, Stage.AUTH, Stage.FORWARD)
    for cause in CAUSES_BY_STAGE[stage]
}


def failure(
    cause: Cause,
    server: Server = TUNNELLED_POSTGRESQL,
    stage: Stage | None = None,
    facts: dict[str, str] | None = None,
) -> Failure:
    return explain(Failed(cause, facts=facts), stage or ROWS[cause].stage or Stage.QUERY, server.words)


def every_failure() -> list[Failure]:
    """Each cause at each stage, with and without facts, for each kind of server."""
    return [
        failure(cause, server, stage, facts)
        for cause, server, stage, facts in product(
            Cause, SERVERS, Stage, ({}, FACTS, {"ssh_software": "dropbear"})
        )
    ]


def text_of(failure: Failure) -> str:
    return "\n".join((failure.summary, *failure.remedies))


def test_every_placeholder_is_a_known_word_quoted_in_a_known_way() -> None:
    used = {
        found for row in ROWS.values() for line in row.lines() for found in PLACEHOLDER.findall(line.text)
    }
    assert {word for word, _ in used} <= set(STAND_INS)
    assert {how for _, how in used} <= set(QUOTING) | {""}


def test_every_tag_is_one_that_a_failure_can_have() -> None:
    tags = {tag for row in ROWS.values() for line in row.lines() for tag in line.tags}
    facts = {f"{fact}:{word}" for word in STAND_INS for fact in ("has", "lacks")}
    assert tags <= {"tunnel", "direct", "openssh", "dropbear"} | set(Engine) | set(Stage) | facts


def test_a_value_inside_a_command_is_always_quoted() -> None:
    for row in ROWS.values():
        for line in row.lines():
            for command in re.findall(r"`[^`]*`", line.text):
                assert all(how for _, how in PLACEHOLDER.findall(command)), command


def test_backticks_pair_up_so_that_commands_can_be_told_from_prose() -> None:
    assert not [line.text for row in ROWS.values() for line in row.lines() if line.text.count("`") % 2]


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


def test_every_title_fits_a_cell_and_names_one_cause_only() -> None:
    titles = [title(cause) for cause in Cause]
    assert len(set(titles)) == len(titles)
    assert all(2 <= len(name.split()) <= 4 for name in titles)
    assert max(map(len, titles)) <= 27


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_the_summary_of_an_unreached_host_has_its_address(server: Server) -> None:
    for cause in CAUSES_BY_STAGE[Stage.CONNECT]:
        address = "bastion.example.com:2222" if server.tunnel else "10.0.3.9:5433"
        assert address in failure(cause, server).summary


@pytest.mark.parametrize("cause", sorted(SSH_ONLY))
def test_the_summary_of_an_ssh_failure_names_the_ssh_server(cause: Cause) -> None:
    assert "bastion.example.com" in failure(cause).summary


@pytest.mark.parametrize("stage", [Stage.FORWARD, Stage.DATABASE, Stage.TLS, Stage.LOGIN, Stage.QUERY])
def test_the_summary_of_a_database_failure_names_the_database(stage: Stage) -> None:
    for cause, server in product(CAUSES_BY_STAGE[stage], SERVERS):
        assert server.database.host in failure(cause, server).summary


def test_a_server_is_never_given_remedies_for_the_other_engine() -> None:
    for cause in set(Cause) - {Cause.DATABASE_HOST_BLOCKED}:  # MySQL's alone
        assert "my.cnf" not in text_of(failure(cause, TUNNELLED_POSTGRESQL))
        assert "pg_hba" not in text_of(failure(cause, TUNNELLED_MYSQL))


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


def test_a_direct_server_is_never_told_to_mend_an_ssh_server() -> None:
    for cause in set(Cause) - SSH_ONLY - {Cause.TUNNEL_LOST, Cause.KEY_MISSING, Cause.KEY_PERMISSIONS}:
        told = text_of(failure(cause, DIRECT_POSTGRESQL))
        assert "sshd" not in told
        assert "the SSH server" not in told, cause


@pytest.mark.parametrize(
    "cause", [*CAUSES_BY_STAGE[Stage.AUTH], *CAUSES_BY_STAGE[Stage.FORWARD], Cause.TUNNEL_LOST]
)
def test_who_runs_dropbear_is_never_told_to_change_openssh_s_settings(cause: Cause) -> None:
    stage = ROWS[cause].stage or Stage.FORWARD
    facts = {"ssh_software": "dropbear"}
    told = text_of(failure(cause, stage=stage, facts=facts))
    told += look_at(cause, stage, TUNNELLED_POSTGRESQL.words | facts)
    assert "sshd" not in told
    assert "journalctl -u ssh" not in told


@pytest.mark.parametrize("software", ["", "openssh", "other"])
def test_any_other_ssh_server_is_taken_for_openssh(software: str) -> None:
    facts = {"ssh_software": software}
    assert failure(Cause.FORWARDING_NOT_PERMITTED, facts=facts) == failure(Cause.FORWARDING_NOT_PERMITTED)
    assert "sshd_config" in text_of(failure(Cause.FORWARDING_NOT_PERMITTED, facts=facts))


def test_a_refused_connection_is_the_ssh_port_with_a_tunnel_and_the_database_port_without() -> None:
    assert "systemctl start ssh`" in text_of(failure(Cause.CONNECTION_REFUSED, TUNNELLED_MYSQL))
    assert "systemctl start postgresql`" in text_of(failure(Cause.CONNECTION_REFUSED, DIRECT_POSTGRESQL))


def test_an_unknown_name_is_that_of_the_host_this_machine_looks_up() -> None:
    assert "bastion.example.com" in failure(Cause.NAME_NOT_FOUND, TUNNELLED_POSTGRESQL).summary
    assert "10.0.3.9" in failure(Cause.NAME_NOT_FOUND, DIRECT_POSTGRESQL).summary


def test_a_missing_password_at_the_login_is_told_as_the_database_asking() -> None:
    assert "asks for a password" in failure(Cause.PASSWORD_MISSING, stage=Stage.LOGIN).summary
    assert "nobody can be asked" in failure(Cause.PASSWORD_MISSING, stage=Stage.SETTINGS).summary
    told = failure(Cause.PASSWORD_MISSING, facts={"variable": "ORDERS_PASSWORD"})
    assert "ORDERS_PASSWORD is not set" in told.summary


def test_a_taken_port_names_who_has_it_where_the_system_tells() -> None:
    told = failure(Cause.LOCAL_PORT_TAKEN, facts={"program": "ssh", "pid": "4711", "local_port": "15999"})
    assert told.summary == "Local port 15999 of orders-prod is in use by ssh, process 4711."
    assert "by another program" in failure(Cause.LOCAL_PORT_TAKEN).summary


def test_a_taken_port_comes_with_one_that_is_free() -> None:
    told = failure(Cause.LOCAL_PORT_TAKEN, facts={"local_port": "15999", "free_port": "16000"})
    assert "`local_port: 16000`" in text_of(told)
    assert "local_port: " not in text_of(failure(Cause.LOCAL_PORT_TAKEN))


def test_a_refused_key_lists_each_possible_reason_likeliest_first() -> None:
    install, account, modes, log = failure(Cause.KEY_NOT_ACCEPTED).remedies
    assert "canary key orders-prod --format script" in install
    assert "~ssh_user/.ssh/authorized_keys" in account
    assert "chmod 600 ~/.ssh/authorized_keys" in modes
    assert "journalctl -u ssh" in log
    assert "AllowUsers" in log


def test_names_that_sql_or_a_shell_would_misread_are_quoted() -> None:
    hostile = {"db_name": "Orders; drop", "db_user": "o'brien", "key_path": "/k/my key"}
    pg = TUNNELLED_POSTGRESQL.words | hostile
    my = TUNNELLED_MYSQL.words | hostile
    access = explain(Failed(Cause.DATABASE_ACCESS_DENIED), Stage.LOGIN, pg).remedies[0]
    assert 'ON DATABASE "Orders; drop" TO "o\'brien"' in access
    access = explain(Failed(Cause.DATABASE_ACCESS_DENIED), Stage.LOGIN, my).remedies[0]
    assert "ON `Orders; drop`.* TO 'o''brien'@" in access
    mode = explain(Failed(Cause.KEY_PERMISSIONS), Stage.SETTINGS, pg).remedies[0]
    assert shlex.quote("/k/my key") in mode


def test_a_path_in_the_home_folder_still_expands_in_a_shell() -> None:
    told = failure(Cause.KEY_PERMISSIONS, facts={"key_path": "~/my keys/k"})
    assert "chmod 600 ~/'my keys/k'" in told.remedies[0]


def test_an_ipv6_address_has_brackets_where_a_port_follows() -> None:
    words = DIRECT_POSTGRESQL.words | {"db_host": "fd00::9"}
    assert "[fd00::9]:5433" in explain(Failed(Cause.CONNECTION_REFUSED), Stage.CONNECT, words).summary


def test_no_database_name_is_told_in_words_and_never_quoted_as_one() -> None:
    words = TUNNELLED_MYSQL.words | {"db_name": "the default database"}
    told = explain(Failed(Cause.DATABASE_ACCESS_DENIED), Stage.LOGIN, words)
    assert "the default database" in told.summary
    assert "GRANT SELECT ON DB_NAME.*" in told.remedies[0]


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
