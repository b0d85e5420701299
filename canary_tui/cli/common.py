"""What the commands share: the list of servers, finding one by name, completion of names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from canary_tui.diagnosis.printable import Source
from canary_tui.paths import Paths
from canary_tui.servers.fields import masked
from canary_tui.servers.file import BadFile, ServersFile
from canary_tui.servers.fleet import BrokenServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server


def path_words(path: object) -> str:
    """Return the name of a file or folder for a person: a name may hold a line break, and colours."""
    return Source.PATH.text(str(path))


def load_fleet(paths: Paths) -> Fleet:
    """Read the servers file, and say on stderr, once in a process, what of it has no effect.

    Raises BadFile (exit status 2) where the file as a whole is wrong.
    """
    fleet = ServersFile(paths.servers).load()
    said = click.get_current_context().find_root().meta.setdefault("canary.warnings", set())
    for warning in fleet.warnings:
        if warning not in said:
            said.add(warning)
            click.echo(f"warning: {warning}", err=True)
    return fleet


def find_entry(paths: Paths, name: str) -> Server | BrokenServer:
    """Return an entry by its server's name, or end with wrong usage and the names that there are."""
    fleet = load_fleet(paths)
    entry = fleet.find(name)
    if entry is None:
        raise click.UsageError(
            f"there is no server {masked(name)!r} in {path_words(paths.servers)}{_names(fleet)}"
        )
    return entry


def find_server(paths: Paths, name: str) -> Server:
    """Return a server by name, as ``find_entry`` does. Raises BadFile where its entry has mistakes."""
    entry = find_entry(paths, name)
    if isinstance(entry, BrokenServer):
        raise BadFile(entry.problems)
    return entry


def open_tools(paths: Paths) -> Tools:
    """Return the user's keys, known hosts and passwords, with the key comment that the file asks for.

    Lines of known_hosts that are not understood are said on stderr.
    """
    from canary_tui.monitor.tools import Tools

    tools = Tools(paths)
    tools.known_hosts.warn = lambda text: click.echo(f"warning: {text}", err=True)
    tools.key_comment = load_fleet(paths).defaults.key_comment
    return tools


def _names(fleet: Fleet) -> str:
    if not fleet.entries:
        return "; it lists none yet (canary add)"
    return f"; it lists {', '.join(entry.name for entry in fleet.entries)}"


class Field(click.ParamType[Any]):
    """An option's value, read as the same setting of servers.yaml is. ``read`` raises ValueError."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value, or end with what is allowed."""
        if not isinstance(value, str):  # a default is a value already
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(f"{masked(value)!r} {error}", param, ctx)


class ServerName(click.ParamType[str]):
    """A server's name, completed from the servers file."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the names that begin so."""
        from click.shell_completion import CompletionItem

        config: Path | None = (ctx.find_root().params or {}).get("config")
        try:
            fleet = ServersFile(Paths.of_user(config).servers).load()
        except (BadFile, OSError):
            return []
        return [
            CompletionItem(e.name, help=e.through) for e in fleet.entries if e.name.startswith(incomplete)
        ]
