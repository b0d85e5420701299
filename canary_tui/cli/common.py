"""What the commands share: the list of servers, finding one by name, completion of names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from canary_tui.paths import Paths
from canary_tui.servers.file import BadFile, ServersFile

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Fleet, Server


def load_fleet(paths: Paths) -> Fleet:
    """Read the servers file. Raises BadFile (exit status 2)."""
    return ServersFile(paths.servers).load()


def find_server(paths: Paths, name: str) -> Server:
    """Return a server by name, or end with wrong usage and the names that there are."""
    fleet = load_fleet(paths)
    server = fleet.get(name)
    if server is None:
        raise click.UsageError(f"there is no server {name!r} in {paths.servers}{_names(fleet)}")
    return server


def open_tools(paths: Paths) -> Tools:
    """Return the user's keys, known hosts and passwords, with the key comment that the file asks for."""
    from canary_tui.monitor.tools import Tools

    tools = Tools(paths)
    tools.key_comment = load_fleet(paths).defaults.key_comment
    return tools


def _names(fleet: Fleet) -> str:
    if not fleet.servers:
        return "; it lists none yet (canary add)"
    return f"; it lists {', '.join(server.name for server in fleet.servers)}"


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
            fleet = load_fleet(Paths.of_user(config))
        except (BadFile, OSError):
            return []
        return [
            CompletionItem(s.name, help=s.through) for s in fleet.servers if s.name.startswith(incomplete)
        ]
