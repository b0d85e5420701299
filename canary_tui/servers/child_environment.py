"""What of our own environment a child process is given: no database's password but its own server's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from canary_tui.servers.model import Engine, PasswordEnv

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from canary_tui.servers.model import Server

OF_CLIENTS = re.compile("|".join(engine.facts.variables for engine in Engine))
KEPT = frozenset(name for engine in Engine for name in engine.facts.kept_variables)


def without_other_passwords(
    environ: Mapping[str, str], server: Server, servers: Iterable[Server]
) -> dict[str, str]:
    """Return the environment without the variables that hold the passwords of the other ``servers``."""
    others = {_variable(one) for one in servers} - {_variable(server)}
    return {name: value for name, value in environ.items() if name not in others}


def without_client_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would lead a database client somewhere, or in as somebody."""
    return {name: value for name, value in environ.items() if name in KEPT or not OF_CLIENTS.fullmatch(name)}


def _variable(server: Server) -> str:
    source = server.database.password
    return source.env if isinstance(source, PasswordEnv) else ""
