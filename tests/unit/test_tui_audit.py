"""What an audit says of each of its checks."""

from __future__ import annotations

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.tui.presenters import audit
from canary_tui.tui.presenters.lines import plain
from tests.screens import samples


def test_an_audit_says_of_each_check_what_was_found() -> None:
    lines = [plain(spans) for spans in audit.checks(samples.audit_report("shell"), 100)]
    assert "✓ allowed  the database 10.0.3.12:5432  a whole probe in 3.2 ms" in lines
    assert "✓ refused  another host" in lines
    assert "✕ allowed  a shell  a word came back" in lines


def test_a_long_detail_of_an_audit_stands_below_its_check() -> None:
    lines = [plain(spans) for spans in audit.checks(samples.audit_report("shell"), 30)]
    assert "✕ allowed  a shell" in lines
    assert "           a word came back" in lines


def test_a_limited_key_has_nothing_to_install() -> None:
    report = samples.audit_report()
    assert ["".join(plain(s) for s in audit.findings(report, 80))] == [
        "✓ The key reaches its database and nothing else."
    ]
    assert audit.remedy(report, 80) == []


def test_findings_are_said_in_words_with_the_line_to_install() -> None:
    report = samples.audit_report("shell", "other_port")
    text = "\n".join(map(plain, audit.findings(report, 100)))
    assert "2 findings" in text
    assert "opens a shell" in text
    assert "other ports" in text
    assert "Install this line" in plain(audit.remedy(report, 100)[0])


def test_no_line_is_promised_to_mend_a_root_login() -> None:
    said = plain(audit.remedy(samples.audit_report("root_login", "reverse_forward_port_1"), 200)[0])
    assert "account without privileges" in said


def test_a_login_that_fails_is_no_audit_but_a_failure_with_remedies() -> None:
    failed = Failed(Cause.KEY_NOT_ACCEPTED, detail="Permission denied")
    text = "\n".join(map(plain, audit.not_audited(failed, samples.server(), 80)))
    assert "SSH login: key not accepted" in text
    assert "1. " in text
    assert "t tests" in text
