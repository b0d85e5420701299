"""``canary trust NAME --no-tls``: a database that had TLS may be without from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Server


def accept(server: Server, tools: Tools, *, yes: bool) -> int:
    """Ask whether the database may be without TLS, unless ``yes``, and return the exit status."""
    mode = server.database.tls
    if mode.required:
        raise click.UsageError(
            f"{server.name} has `tls: {mode.value}`, so a database without TLS is refused whatever is "
            "accepted here; set `tls: prefer` first"
        )
    database = f"{server.database.host} port {server.database.port} ({server.through})"
    seen = tools.known_tls.seen(server)
    if not seen:
        click.echo(f"{database} has never been seen with TLS; nothing stands against it without.", err=True)
        return 0
    click.echo(f"{database} has TLS, as it was first seen at {seen}.", err=True)
    click.echo("Without it, whoever is on the way reads and changes all that passes.", err=True)
    if not yes and not click.confirm("Let it be without TLS?", err=True):
        click.echo("Not accepted.", err=True)
        return 1
    tools.known_tls.forget(server)
    click.echo("Accepted, until it is seen with TLS again.", err=True)
    return 0
