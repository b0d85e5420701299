"""``canary key``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import ServerName, find_server, open_tools

if TYPE_CHECKING:
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.monitor.tools import Tools
    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server


@click.command("key")
@click.argument("name", type=ServerName())
@click.option(
    "--format",
    "form",
    type=click.Choice(["restricted", "line", "script", "fingerprint"]),
    default="restricted",
    show_default=True,
    help="The line to install; the bare key; one command that installs it; its SHA256 fingerprint.",
)
@click.pass_obj
def command(paths: Paths, name: str, form: str) -> None:
    """Print a server's public key, one item on stdout. The key is made if the server has none yet."""
    server = find_server(paths, name)
    if server.ssh is None:
        raise click.UsageError(f"{name} is reached directly; it has no SSH key")
    info = asyncio.run(_info(server, open_tools(paths), look=form in {"restricted", "script"}))
    click.echo(
        {"line": info.line, "script": info.script, "fingerprint": info.fingerprint}.get(form, info.restricted)
    )
    if form == "restricted" and info.limits_note:
        click.echo(info.limits_note, err=True)


async def _info(server: Server, tools: Tools, *, look: bool) -> KeyInfo:
    """Return what may be shown of the key; with ``look`` the line is for the SSH server that is there."""
    from canary_tui.monitor.key_trial import learn_version
    from canary_tui.monitor.quiet import to_the_log

    await tools.key_of(server)
    if look:
        asyncio.get_running_loop().set_exception_handler(to_the_log)
        await learn_version(tools, server)
    return await tools.key_info(server)
