"""An audit as text: what was tried, what the key can do that it should not, and the line that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.stages import USUAL_STAGE, Stage
from canary_tui.tui.presenters.lines import Line, Tone, bullet, fill, line, wrap
from canary_tui.tui.presenters.trail import SPINNER, failure_words
from canary_tui.tui.presenters.words import span_words

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Failed
    from canary_tui.servers.model import Server
    from canary_tui.tunnels.audit import AuditReport

FINDINGS: dict[str, str] = {
    "database": "The database is not reached with this key: nothing works until it is.",
    "other_port": "The key reaches other ports of the database's host.",
    "other_host": "The key reaches other hosts through the SSH server.",
    "unix_socket": "The key reaches unix sockets of the SSH server, such as Docker's.",
    "shell": "The key opens a shell on the SSH server.",
    "command": "The key runs commands on the SSH server.",
    "agent": "The key may take an SSH agent along to the SSH server.",
    "reverse_forward": "The key opens ports on the SSH server that lead back to this machine.",
    "reverse_forward_port_1": "The key opens port 1 on the SSH server's loopback; only root may.",
    "root_login": "The login is root: an account without privileges limits what no line can.",
}
"""What it means when a check is not as it should be."""

NEEDS_ANOTHER_ACCOUNT = frozenset({"root_login", "reverse_forward_port_1"})
"""Findings that no line of authorized_keys mends (sshd lets root open any port)."""


def running(server: Server, seconds: float, turn: int, width: int) -> list[Line]:
    """Return what stands there while the audit runs; ``turn`` moves its sign."""
    host = server.tunnel.host if server.tunnel is not None else "the SSH server"
    said = (
        f"Logging in to {host} with this server's key and trying what it should not be able to do: other "
        "ports and hosts, a shell, commands, reverse forwards. Nothing is changed there."
    )
    head = line((f"{SPINNER[turn % len(SPINNER)]} ", Tone.ACCENT), f"Auditing, {span_words(seconds)}")
    return [head, line(), *(line((text, Tone.MUTED)) for text in wrap(said, width))]


def checks(report: AuditReport, width: int) -> list[Line]:
    """Return each check: sign, allowed or refused, what was tried, and what was seen below it."""
    lines: list[Line] = []
    for check in report.checks:
        tone = Tone.GOOD if check.ok else Tone.BAD
        found = (fill(check.found.value, 9), Tone.MUTED if check.ok else Tone.BAD)
        sign = ("✓ " if check.ok else "✕ ", tone)
        detail = f"  {check.detail}" if check.detail else ""
        head = line(sign, found, check.title)
        if len(check.title) + len(detail) + 11 <= width:
            lines.append((*head, *line((detail, Tone.MUTED))))
            continue
        lines.append(head)
        lines += [line(" " * 11, (text, Tone.MUTED)) for text in wrap(check.detail, max(10, width - 11))]
    return lines


def findings(report: AuditReport, width: int) -> list[Line]:
    """Return what the checks add up to, in words."""
    wrong = [check.check for check in report.checks if not check.ok]
    if not wrong:
        said = "The key reaches its database and nothing else."
        return [line(("✓ ", Tone.GOOD), (text, Tone.GOOD)) for text in wrap(said, width - 2)]
    count = f"{len(wrong)} finding{'' if len(wrong) == 1 else 's'}"
    lines = [line(("✕ ", Tone.BAD), (count, Tone.BAD))]
    for check in wrong:
        lines += bullet(FINDINGS.get(check, check), width)
    return lines


def remedy(report: AuditReport, width: int) -> list[Line]:
    """Return what to do about the findings; nothing where there are none. The line itself follows it."""
    wrong = {check.check for check in report.checks if not check.ok}
    if not wrong:
        return []
    if wrong <= NEEDS_ANOTHER_ACCOUNT:
        said = (
            "No line closes this. Install the line for an account without privileges, and put that account "
            "into this server's settings."
        )
    else:
        said = "Install this line on the SSH server in the place of the one that has the same key, then r."
    return [line((text, Tone.STRONG)) for text in wrap(said, width)]


def not_audited(failed: Failed, server: Server, width: int) -> list[Line]:
    """Return why there was nothing to audit: the login itself failed."""
    stage = failed.stage or USUAL_STAGE.get(failed.cause, Stage.SETTINGS)
    lines = failure_words(explain(failed, stage, server.words), width)
    return [*lines, line(), line(("t", Tone.ACCENT), " tests the way there, stage by stage.")]
