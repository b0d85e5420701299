"""``canary trust``."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import click

from canary_tui.cli import no_tls as no_tls_at_database
from canary_tui.cli.common import ServerName, find_server, open_tools

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.monitor.tools import Tools
    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server


@click.command("trust")
@click.argument("name", type=ServerName())
@click.option("--fingerprint", metavar="SHA256:…", help="Trust the host key only if it has this fingerprint.")
@click.option("--replace", is_flag=True, help="Take it instead of a key that was trusted before.")
@click.option("--add", is_flag=True, help="Trust it beside those: several machines answer at one address.")
@click.option("--no-tls", is_flag=True, help="Let the database, which had TLS, be without from now on.")
@click.option("--yes", is_flag=True, help="With --no-tls: do not ask.")
@click.pass_obj
def command(
    paths: Paths, name: str, *, fingerprint: str | None, replace: bool, add: bool, no_tls: bool, yes: bool
) -> int:
    """Show an SSH server's host key and ask whether to trust it.

    Without a terminal nobody is asked: --fingerprint is needed then, and it trusts only that key.
    """
    server = find_server(paths, name)
    if add and replace:
        raise click.UsageError("--add keeps the keys that are trusted, --replace does not; give one of them")
    if no_tls:
        if fingerprint is not None or replace or add:
            raise click.UsageError("--no-tls is about the database; give it without options for a host key")
        return no_tls_at_database.accept(server, open_tools(paths), yes=yes)
    if yes:
        raise click.UsageError("--yes goes with --no-tls; a host key is trusted by its --fingerprint")
    if server.tunnel is None:
        raise click.UsageError(f"{name} is reached directly; there is no SSH server to trust")
    tools = open_tools(paths)
    offer = asyncio.run(look(server, tools))
    if offer is None:
        click.echo(f"The host key of {server.tunnel.host} is trusted already.", err=True)
        return 0
    _show(offer)
    if offer.known and not (replace or add):
        raise click.UsageError(
            "another key is trusted for this host; compare both, then give --replace, or --add where several "
            "machines answer at this address"
        )
    if fingerprint is not None:
        if fingerprint != offer.fingerprint:
            click.echo(f"Not trusted: the server shows {offer.fingerprint}, not {fingerprint}.", err=True)
            return 1
    elif not sys.stdin.isatty():
        raise click.UsageError("without a terminal --fingerprint SHA256:… is needed")
    elif not click.confirm("Trust this key?", err=True):
        click.echo("Not trusted.", err=True)
        return 1
    tools.known_hosts.pin(offer, replace=replace)
    click.echo(f"Trusted: {offer.key_type} {offer.fingerprint}", err=True)
    return 0


async def look(server: Server, tools: Tools) -> HostKeyOffer | None:
    """Return the host key that is not trusted yet, or None when it is. Raises Failed.

    No client key is offered: the login ends where it would begin.
    """
    from canary_tui.diagnosis.stages import Failed, Stage
    from canary_tui.diagnosis.trace import Trace

    assert server.tunnel is not None  # noqa: S101 - the caller has looked
    trace = Trace(time.perf_counter)
    try:
        async with tools.logins.connection(server.tunnel, None, trace):
            return None
    except Failed as failed:
        if failed.host_key is not None:
            return failed.host_key
        if trace.stage is Stage.AUTH:
            return None  # the host key was fine; the login is another matter
        raise


def _show(offer: HostKeyOffer) -> None:
    from canary_tui.diagnosis.words import host_key_file

    click.echo(f"{offer.host} port {offer.port} shows this host key:", err=True)
    click.echo(f"  {offer.key_type} {offer.fingerprint}")
    for known in offer.known:
        since = f", trusted since {known.since}" if known.since else ""
        click.echo(f"Trusted before: {known.key_type} {known.fingerprint}{since}", err=True)
    for line in offer.evidence:
        click.echo(f"  {line}", err=True)
    click.echo("Compare it on the SSH server itself:", err=True)
    click.echo(f"  ssh-keygen -lf {host_key_file(offer.key_type)}", err=True)
