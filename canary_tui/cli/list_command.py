"""``canary list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import load_fleet, path_words
from canary_tui.servers.fleet import BrokenServer
from canary_tui.servers.model import Listen

if TYPE_CHECKING:
    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server, SshServer


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line (docs/reference.md).")
@click.pass_obj
def command(paths: Paths, as_json: bool) -> None:
    """List the servers and how they are reached; of an entry with mistakes, what they are."""
    from canary_tui.monitor.json_records import json_line, server_json

    entries = load_fleet(paths).entries
    if as_json:
        for entry in entries:
            click.echo(json_line(server_json(entry)))
        return
    if not entries:
        click.echo(
            f"No servers yet in {path_words(paths.servers)}. canary add NAME --help tells how to add one.",
            err=True,
        )
        return
    rows = [("NAME", "ENGINE", "DATABASE", "THROUGH", "LOCAL"), *map(_row, entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    mistakes = {entry.name: entry.problems for entry in entries if isinstance(entry, BrokenServer)}
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        for problem in mistakes.get(row[0], ()):
            click.echo(f"  ✕ {problem}")


def _row(server: Server | BrokenServer) -> tuple[str, str, str, str, str]:
    if isinstance(server, BrokenServer):
        return server.name, "–", "–", server.through, "–"
    database = server.database
    host = f"[{database.host}]" if ":" in database.host else database.host
    through = server.through if server.enabled else f"{server.through} (off)"
    local = _local(server.tunnel) if server.tunnel else "–"
    return server.name, server.engine.value, f"{host}:{database.port}", through, local


def _local(ssh: SshServer) -> str:
    if ssh.listen is Listen.SOCKET:
        return "socket"
    return f":{ssh.local_port}" if ssh.local_port else "–"
