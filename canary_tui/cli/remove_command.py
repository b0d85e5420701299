"""``canary remove``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import ServerName, find_entry, open_tools, path_words

if TYPE_CHECKING:
    from canary_tui.paths import Paths


@click.command("remove")
@click.argument("name", type=ServerName())
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(paths: Paths, name: str, yes: bool) -> int:
    """Remove a server from the list. Its key is moved aside, not destroyed."""
    from canary_tui.monitor import edits

    entry = find_entry(paths, name)
    if not yes and not click.confirm(f"Remove {entry.name} ({entry.through})?", err=True):
        click.echo("Not removed.", err=True)
        return 1
    tools = open_tools(paths)
    asyncio.run(edits.remove(tools, name))
    click.echo(f"Removed {name} from {path_words(paths.servers)}.", err=True)
    for aside in tools.removed_keys.get(name, {}).values():
        click.echo(f"Its key is kept at {path_words(aside)}.", err=True)
    return 0
