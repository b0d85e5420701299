"""``canary remove``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import ServerName, find_server

if TYPE_CHECKING:
    from canary_tui.paths import Paths


@click.command("remove")
@click.argument("name", type=ServerName())
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(paths: Paths, name: str, yes: bool) -> None:
    """Remove a server from the list. Its key is moved aside, not destroyed."""
    from canary_tui.monitor import edits
    from canary_tui.monitor.tools import Tools

    server = find_server(paths, name)
    if not yes:
        click.confirm(f"Remove {server.name} ({server.through})?", abort=True, err=True)
    tools = Tools(paths)
    asyncio.run(edits.remove(tools, name))
    click.echo(f"Removed {name} from {paths.servers}.", err=True)
    if name in tools.removed_keys:
        click.echo(f"Its key is kept at {tools.removed_keys[name]}.", err=True)
