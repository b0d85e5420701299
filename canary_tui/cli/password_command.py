"""``canary password``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import ServerName, find_server

if TYPE_CHECKING:
    from canary_tui.paths import Paths


@click.command("password")
@click.argument("name", type=ServerName())
@click.option("--forget", is_flag=True, help="Take the password out of the keyring.")
@click.pass_obj
def command(paths: Paths, name: str, forget: bool) -> int:
    """Ask for a database password without showing it and keep it in the system's keyring.

    Without a terminal nobody is asked: the password is the first line of standard input then.
    """
    from canary_tui.servers.file import ServersFile
    from canary_tui.servers.model import PasswordKeyring
    from canary_tui.servers.secrets import Secret
    from canary_tui.servers.system_keyring import keyring_forget, keyring_has, keyring_set

    server = find_server(paths, name)
    if not server.engine.facts.has_login:
        raise click.UsageError(f"{name} has no password: engine: {server.engine.value} has no login")
    if forget:
        gone = keyring_forget(server)
        click.echo(f"Forgotten: {name}." if gone else f"The keyring has no password for {name}.", err=True)
        return 0 if gone else 1
    keyring_has(server)  # nobody is asked for what cannot be kept
    keyring_set(server, Secret(_asked(f"Password of {server.words['db_user']} on {name}")))
    if server.database.password is None:
        ServersFile(paths.servers).set_value(name, ("database", "password"), PasswordKeyring())
        click.echo("servers.yaml now says: password: {keyring: true}", err=True)
    elif not isinstance(server.database.password, PasswordKeyring):
        click.echo("Kept, but servers.yaml takes this server's password from elsewhere.", err=True)
    click.echo(f"Kept in the keyring: {name}.", err=True)
    return 0


def _asked(question: str) -> str:
    """Return what a person types, unseen, or the line that is piped in."""
    if sys.stdin.isatty():
        return str(click.prompt(question, hide_input=True, err=True))
    try:
        line = sys.stdin.readline().rstrip("\r\n")
        line.encode()  # some locales let bytes through that are no text
    except UnicodeError:  # its words would quote the password
        raise click.UsageError("what came on standard input is no text") from None
    if not line:
        raise click.UsageError("no password came on standard input, and there is no terminal to ask at")
    return line
