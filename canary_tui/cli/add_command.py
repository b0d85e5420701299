"""``canary add``."""

from __future__ import annotations

import asyncio
import getpass
from typing import TYPE_CHECKING, Any

import click
import msgspec

from canary_tui.cli.common import Field, load_fleet, open_tools, path_words
from canary_tui.servers import fields
from canary_tui.servers.model import (
    Database,
    Engine,
    PasswordCommand,
    PasswordEnv,
    PasswordKeyring,
    PasswordSource,
    Server,
    SshServer,
    TlsMode,
)
from canary_tui.surroundings import NO_NAME

if TYPE_CHECKING:
    from canary_tui.paths import Paths

NAME, HOST, PORT = Field("name", fields.name), Field("host", fields.host), Field("port", fields.port)
FILE, VARIABLE = Field("file", fields.words), Field("variable", fields.variable)
EVERY, TIMEOUT = Field("time", fields.every), Field("time", fields.timeout)
COMMAND, TAG = Field("command", fields.command_line), Field("tag", fields.some_words)
USER = Field("user", fields.some_words)
PORTS = ", ".join(f"{engine.facts.default_port or 'none'} for {engine.value}" for engine in Engine)
ENGINES, TLS = [engine.value for engine in Engine], [mode.value for mode in TlsMode]


@click.command("add")
@click.argument("name", type=NAME)
@click.option("--engine", type=click.Choice(ENGINES), required=True)
@click.option("--db-host", type=HOST, required=True, help="As the SSH server sees it.")
@click.option("--db-port", type=PORT, help=f"Default: {PORTS}.")
@click.option("--db-name", type=Field("name", fields.words), default="")
@click.option("--db-user", type=Field("user", fields.words), default="")
@click.option("--tls", type=click.Choice(TLS), default="prefer", show_default=True)
@click.option("--ca-file", type=FILE, default="", help="PEM file of authorities. Default: the system's.")
@click.option("--password-env", type=VARIABLE, help="The password is in this environment variable.")
@click.option("--password-command", type=COMMAND, help="The password is the first line of its output.")
@click.option("--password-keyring", is_flag=True, help="The password is in the keyring (canary password).")
@click.option("--ssh-host", type=HOST, help="The SSH server; left out: a direct connection.")
@click.option("--ssh-port", type=PORT, default=22, show_default=True)
@click.option("--ssh-user", type=USER, help="Default: your own user name.")
@click.option("--local-port", type=PORT, help="Default: one is chosen once.")
@click.option("--every", type=EVERY, help="How often it is probed, such as 10s.")
@click.option("--timeout", type=TIMEOUT, help="How long a probe may take, such as 5s.")
@click.option("--tag", "tags", type=TAG, multiple=True, help="May be given more than once.")
@click.pass_obj
def command(paths: Paths, /, **options: Any) -> None:
    """Add a server, make its key, and print the line to install on the SSH server."""
    from canary_tui.monitor import edits

    fleet = load_fleet(paths)
    if fleet.find(options["name"]) is not None:
        raise click.UsageError(
            f"there is a server {options['name']!r} already in {path_words(paths.servers)}"
        )
    server = _server(options, fleet.defaults.probe)
    tools = open_tools(paths)
    saved = asyncio.run(edits.save(tools, server, None))
    click.echo(f"Added {saved.name} to {path_words(paths.servers)}.", err=True)
    if saved.tunnel is None:
        return
    info = asyncio.run(tools.key_info(saved))
    click.echo(f"Install this line in ~/.ssh/authorized_keys of {saved.through}:", err=True)
    click.echo(info.restricted)
    click.echo(f"Then: canary trust {saved.name}, and canary probe {saved.name}.", err=True)
    click.echo(f"Its local port is {saved.tunnel.local_port}.", err=True)


def _server(options: dict[str, Any], probe: Any) -> Server:
    """Return the server that the options mean. Raises UsageError."""
    engine = Engine(options["engine"])
    port = options["db_port"] or engine.facts.default_port
    if port is None:
        raise click.UsageError(f"--db-port is needed: --engine {engine.value} has no usual one")
    for option, setting in fields.SETTINGS.items():
        given = options.get(option) not in {None, "", False, TlsMode.PREFER.value}
        if given and setting in engine.facts.unused:
            raise click.UsageError(f"--{option.replace('_', '-')} does not go with --engine {engine.value}")
    changes = {key: options[key] for key in ("every", "timeout") if options[key] is not None}
    return Server(
        name=options["name"],
        tags=options["tags"],
        engine=engine,
        database=Database(
            host=options["db_host"],
            port=port,
            name=options["db_name"],
            user=options["db_user"],
            password=_password(options),
            tls=TlsMode(options["tls"]),
            ca_file=options["ca_file"],
        ),
        ssh=_ssh(options),
        probe=msgspec.structs.replace(probe, **changes),
    ).fitting()


def _ssh(options: dict[str, Any]) -> SshServer | None:
    host = options["ssh_host"]
    if host is None:
        return None
    return SshServer(
        host=host,
        port=options["ssh_port"],
        user=options["ssh_user"] or _login_name(),
        local_port=options["local_port"],
    )


def _login_name() -> str:
    name = getpass.getuser()
    if name == NO_NAME:
        raise click.UsageError("--ssh-user is needed: this user has no account on this machine")
    return name


def _password(options: dict[str, Any]) -> PasswordSource | None:
    given = [key for key in ("password_env", "password_command", "password_keyring") if options[key]]
    if len(given) > 1:
        raise click.UsageError("give one of --password-env, --password-command and --password-keyring")
    if options["password_env"]:
        return PasswordEnv(env=options["password_env"])
    if options["password_command"]:
        return PasswordCommand(command=options["password_command"])
    return PasswordKeyring() if options["password_keyring"] else None
