"""What a failure is told with: the right host, the right program, and every name quoted."""

from __future__ import annotations

import shlex
from itertools import product

import pytest

from canary_tui.diagnosis.catalogue import explain, look_at, title
from canary_tui.diagnosis.causes import CAUSES_BY_STAGE, ROWS
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.servers.model import Server
from tests.unit.catalogue_samples import (
    DIRECT_POSTGRESQL,
    SERVERS,
    TUNNELLED_MYSQL,
    TUNNELLED_POSTGRESQL,
    failure,
    text_of,
)

SSH_ONLY = {
    cause
    for stage in (Stage.HANDSHAKE, Stage.HOST_KEY, Stage.AUTH, Stage.FORWARD)
    for cause in CAUSES_BY_STAGE[stage]
}


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
