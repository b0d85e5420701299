"""An audit as text: what was tried, what the key can do that it should not, and the line that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.findings import CLEAN, FINDINGS
from canary_tui.diagnosis.stages import Stage
from canary_tui.tui.presenters.lines import Line, Tone, bullet, fill, line, wrap
from canary_tui.tui.presenters.trail import SPINNER, failure_words
from canary_tui.tui.presenters.words import span_words

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Failed
    from canary_tui.servers.model import Server
    from canary_tui.tunnels.audit import AuditReport


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
    wrong = report.findings
    if not wrong:
        return [line(("✓ ", Tone.GOOD), (text, Tone.GOOD)) for text in wrap(CLEAN, width - 2)]
    count = f"{len(wrong)} finding{'' if len(wrong) == 1 else 's'}"
    lines = [line(("✕ ", Tone.BAD), (count, Tone.BAD))]
    for check in wrong:
        lines += bullet(FINDINGS.get(check, check), width)
    return lines


def remedy(report: AuditReport, width: int) -> list[Line]:
    """Return what to do about the findings; nothing where there are none. The line itself follows it."""
    said = f"{report.advice} Then r." if report.advice else ""
    return [line((text, Tone.STRONG)) for text in wrap(said, width) if said]


def not_audited(failed: Failed, server: Server, width: int) -> list[Line]:
    """Return why there was nothing to audit: the login itself failed."""
    stage = failed.stage or ROWS[failed.cause].stage or Stage.SETTINGS
    lines = failure_words(explain(failed, stage, server.words), width, direct=server.tunnel is None)
    return [*lines, line(), line(("t", Tone.ACCENT), " tests the way there, stage by stage.")]
