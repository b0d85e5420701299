"""``canary audit``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import ServerName, find_server, open_tools

if TYPE_CHECKING:
    from canary_tui.paths import Paths
    from canary_tui.tunnels.audit import AuditReport


@click.command("audit")
@click.argument("name", type=ServerName())
@click.option("--json", "as_json", is_flag=True, help="One JSON object (docs/reference.md).")
@click.pass_obj
def command(paths: Paths, name: str, as_json: bool) -> int:
    """Prove what a server's key can and cannot do on its SSH server, by trying.

    It must reach its database and nothing else. Nothing is changed on the SSH server. Exit status 0 when
    the key is limited, 1 when it can do more (or less).
    """
    from canary_tui.monitor.audit import audit
    from canary_tui.monitor.json_records import audit_json, json_line

    server = find_server(paths, name)
    if server.tunnel is None:
        raise click.UsageError(f"{name} is reached directly; it has no SSH key to audit")
    report = asyncio.run(audit(server, open_tools(paths)))
    if as_json:
        click.echo(json_line(audit_json(report)))
    else:
        _print(report)
    return 0 if report.ok else 1


def _print(report: AuditReport) -> None:
    from canary_tui.diagnosis.findings import CLEAN

    for check in report.checks:
        sign = click.style("✓", fg="green") if check.ok else click.style("✕", fg="red")
        detail = f"  ({check.detail})" if check.detail else ""
        click.echo(f"{sign} {check.found.value:<8} {check.title}{detail}")
    if report.ok:
        click.echo(CLEAN)
    else:
        click.echo(report.advice, err=True)
        click.echo(report.line)
