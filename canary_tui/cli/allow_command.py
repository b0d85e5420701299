"""``canary allow``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import load_fleet, path_words
from canary_tui.paths import Paths

if TYPE_CHECKING:
    from canary_tui.servers.allowed import AllowedCommands
    from canary_tui.servers.model import Server


@click.command("allow")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--forget", is_flag=True, help="Allow nothing of this file any more.")
def command(file: Path, yes: bool, forget: bool) -> int:
    """Allow the commands that a servers file from elsewhere names.

    A servers.yaml outside your own configuration folder may name servers, but it runs nothing until you have
    seen what it would run. Shows each command and where the password goes that it prints, and asks.
    What is allowed is exactly that: when the command or its server changes, it must be allowed anew.
    """
    from canary_tui.servers.allowed import AllowedCommands, with_commands

    paths = Paths.of_user(file)
    allowed = AllowedCommands(paths)
    if forget:
        allowed.allow([])
        click.echo(f"Nothing that {path_words(allowed.file)} names is allowed any more.", err=True)
        return 0
    if not allowed.file.is_file():
        raise click.UsageError(f"there is no file {path_words(file)}")
    servers = with_commands(load_fleet(paths))
    if not servers:
        click.echo(f"{path_words(allowed.file)} names no command; there is nothing to allow.", err=True)
        return 0
    for server in servers:
        click.echo(_shown(server, allowed))
    if not allowed.needed:
        click.echo(f"{path_words(allowed.file)} needs no permission: it is your own, or root's.", err=True)
        return 0
    return _decide(allowed, servers, yes=yes)


def _shown(server: Server, allowed: AllowedCommands) -> str:
    from canary_tui.diagnosis.words import shell_word
    from canary_tui.servers.model import PasswordCommand
    from canary_tui.servers.secrets import destination

    source = server.database.password
    words = source.command if isinstance(source, PasswordCommand) else ()
    state = "  (allowed already)" if allowed.needed and allowed.permits(server) else ""
    return f"{destination(server)}{state}\n  runs: {' '.join(map(shell_word, words))}"


def _decide(allowed: AllowedCommands, servers: list[Server], *, yes: bool) -> int:
    if all(allowed.permits(server) for server in servers):
        click.echo("All of it is allowed already.", err=True)
        return 0
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("without a terminal --yes is needed")
    if not yes and not click.confirm(f"Allow {path_words(allowed.file)} to run this as you?", err=True):
        click.echo("Nothing was allowed.", err=True)
        return 1
    allowed.allow(servers)
    click.echo(f"Allowed, until a command or its server changes: {path_words(allowed.file)}.", err=True)
    return 0
