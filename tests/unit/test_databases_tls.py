"""What is made of certificates, authorities and the errors of TLS."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from canary_tui.databases.errors import broken, redacted
from canary_tui.databases.tls import cause_of, check_authorities, context_for
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.servers.model import Database, TlsMode
from canary_tui.servers.secrets import Secret


def database(tls: TlsMode, ca_file: str = "", host: str = "db.internal") -> Database:
    return Database(host=host, port=5432, tls=tls, ca_file=ca_file)


def test_authorities_that_cannot_be_used_are_named_before_anything_is_opened(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.pem", tmp_path / "text.pem"
    empty.touch()
    text.write_text("no certificate")
    for path in (tmp_path, tmp_path / "missing.pem", empty, text):
        with pytest.raises(Failed) as caught:
            check_authorities(database(TlsMode.VERIFY_CA, str(path)))
        assert (caught.value.cause, caught.value.stage) == (Cause.CA_FILE_UNREADABLE, Stage.SETTINGS)
        assert caught.value.facts == {"ca_file": str(path)}
        assert caught.value.detail


def test_authorities_that_are_not_used_need_not_be_there(tmp_path: Path) -> None:
    check_authorities(database(TlsMode.REQUIRE, str(tmp_path / "missing.pem")))


@pytest.mark.parametrize(
    ("mode", "verify", "names"),
    [
        (TlsMode.PREFER, ssl.CERT_NONE, False),
        (TlsMode.REQUIRE, ssl.CERT_NONE, False),
        (TlsMode.VERIFY_CA, ssl.CERT_REQUIRED, False),
        (TlsMode.VERIFY_FULL, ssl.CERT_REQUIRED, True),
    ],
)
def test_each_mode_checks_what_it_says(mode: TlsMode, verify: ssl.VerifyMode, names: bool) -> None:
    rules = context_for(database(mode), Trace(time.perf_counter)).rules
    assert (rules.verify_mode, rules.check_hostname) == (verify, names)
    assert rules.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("host", "checked"),
    [("db.internal", "db.internal"), ("db.internal.", "db.internal"), ("fe80::1%eth0", "fe80::1")],
)
def test_a_session_is_with_the_real_host_and_not_with_the_tunnel(host: str, checked: str) -> None:
    context = context_for(database(TlsMode.VERIFY_FULL, host=host), Trace(time.perf_counter))
    session = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="127.0.0.1")
    assert session.server_hostname == checked


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (9, Cause.CERTIFICATE_EXPIRED),
        (10, Cause.CERTIFICATE_EXPIRED),
        (62, Cause.CERTIFICATE_NAME_MISMATCH),
        (64, Cause.CERTIFICATE_NAME_MISMATCH),
        (18, Cause.CERTIFICATE_UNTRUSTED),
        (20, Cause.CERTIFICATE_UNTRUSTED),
    ],
)
def test_a_certificate_is_refused_for_a_named_reason(code: int, cause: Cause) -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code = code
    assert cause_of(error) is cause


def test_an_end_during_tls_is_told_from_a_failure_of_tls() -> None:
    assert cause_of(ssl.SSLEOFError()) is None
    assert cause_of(ssl.SSLError(1, "bad record")) is Cause.TLS_FAILED
    asked = ssl.SSLError(1, "alert")
    asked.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert cause_of(asked) is Cause.CLIENT_CERTIFICATE_REQUIRED


@pytest.mark.parametrize(
    ("stage", "cause"),
    [
        (Stage.DATABASE, Cause.DATABASE_CLOSED_EARLY),
        (Stage.TLS, Cause.TLS_FAILED),
        (Stage.LOGIN, Cause.DATABASE_CLOSED_EARLY),
        (Stage.QUERY, Cause.CONNECTION_LOST),
    ],
)
def test_a_connection_that_breaks_is_named_by_where_it_was(stage: Stage, cause: Cause) -> None:
    trace = Trace(time.perf_counter)
    trace.enter(stage)
    failed = broken(ConnectionResetError(104, "Connection reset by peer"), trace)
    assert (failed.cause, failed.stage) == (cause, stage)
    assert failed.detail == "[Errno 104] Connection reset by peer"


def test_a_message_is_one_line_without_the_password() -> None:
    assert redacted("no\n 'hunter2-hunter2'\tat all", Secret("hunter2-hunter2")) == "no '•••' at all"
    assert redacted("ask e, never else", Secret("e")) == "ask •••, never else"
    assert redacted("a b", Secret("")) == "a b"
