"""``canary add``."""

from __future__ import annotations

import asyncio
import getpass
import shlex
from typing import TYPE_CHECKING, Any

import click
import msgspec

from canary_tui.cli.common import load_fleet, open_tools, path_words
from canary_tui.servers import fields
from canary_tui.servers.model import (
    Database,
    Engine,
    Interval,
    PasswordCommand,
    PasswordEnv,
    PasswordKeyring,
    PasswordSource,
    Server,
    SshServer,
    Timeout,
    TlsMode,
    host_problem,
    name_problem,
    parse_duration,
)
from canary_tui.surroundings import NO_NAME

if TYPE_CHECKING:
    from canary_tui.paths import Paths

SETTINGS = {
    "db_name": "database.name",
    "db_user": "database.user",
    "tls": "database.tls",
    "ca_file": "database.ca_file",
    "password_env": "database.password",
    "password_command": "database.password",
    "password_keyring": "database.password",
}
"""The settings of options that not every engine has a use for."""
LIMITS: dict[str, tuple[Any, str]] = {
    "every": (Interval, "between 1s and 1d"),
    "timeout": (Timeout, "between 1s and 60s"),
}
"""Durations with the model's limits, and how those are said."""


class PortType(click.ParamType[int]):
    """A TCP port, spelled as servers.yaml has it: decimal digits alone."""

    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the port, or end with what is allowed."""
        try:
            return fields.port(str(value))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


PORT = PortType()
PORTS = ", ".join(f"{engine.facts.default_port or 'none'} for {engine.value}" for engine in Engine)


@click.command("add")
@click.argument("name")
@click.option("--engine", type=click.Choice([e.value for e in Engine]), required=True)
@click.option("--db-host", required=True, metavar="HOST", help="As the SSH server sees it.")
@click.option("--db-port", type=PORT, help=f"Default: {PORTS}.")
@click.option("--db-name", default="", metavar="NAME")
@click.option("--db-user", default="", metavar="USER")
@click.option("--tls", type=click.Choice([m.value for m in TlsMode]), default="prefer", show_default=True)
@click.option("--ca-file", default="", metavar="FILE", help="PEM file of authorities. Default: the system's.")
@click.option("--password-env", metavar="VARIABLE", help="The password is in this environment variable.")
@click.option(
    "--password-command", metavar="COMMAND", help="The password is the first line that this command prints."
)
@click.option("--password-keyring", is_flag=True, help="The password is in the keyring (canary password).")
@click.option("--ssh-host", metavar="HOST", help="The SSH server; left out: a direct connection.")
@click.option("--ssh-port", type=PORT, default=22, show_default=True)
@click.option("--ssh-user", metavar="USER", help="Default: your own user name.")
@click.option("--local-port", type=PORT, help="Default: one is chosen once.")
@click.option("--every", metavar="TIME", help="How often it is probed, such as 10s.")
@click.option("--timeout", metavar="TIME", help="How long a probe may take, such as 5s.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given more than once.")
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
    _check("NAME", options["name"], name_problem(options["name"]))
    _check("--db-host", options["db_host"], host_problem(options["db_host"]))
    engine = Engine(options["engine"])
    port = options["db_port"] or engine.facts.default_port
    if port is None:
        raise click.UsageError(f"--db-port is needed: --engine {engine.value} has no usual one")
    for option, setting in SETTINGS.items():
        if setting in engine.facts.unused and options[option] not in {None, "", False, TlsMode.PREFER.value}:
            raise click.UsageError(f"--{option.replace('_', '-')} does not go with --engine {engine.value}")
    changes = {key: _seconds(key, options[key]) for key in LIMITS if options[key] is not None}
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
    _check("--ssh-host", host, host_problem(host))
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
        return PasswordCommand(command=_words(options["password_command"]))
    return PasswordKeyring() if options["password_keyring"] else None


def _words(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise click.UsageError(f"--password-command: {error}") from None
    if not words:
        raise click.UsageError("--password-command: is empty")
    return words


def _seconds(option: str, text: str) -> float:
    limits, words = LIMITS[option]
    try:
        seconds: float = msgspec.convert(parse_duration(text), limits)
    except msgspec.ValidationError:
        raise click.UsageError(f"--{option}: {text!r} is not {words}") from None
    except ValueError as error:
        raise click.UsageError(f"--{option}: {text!r} {error}") from None
    return seconds


def _check(option: str, value: str, problem: str) -> None:
    if problem:
        raise click.UsageError(f"{option}: {fields.masked(value)!r} {problem}")
