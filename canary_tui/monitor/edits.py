"""The changes to the list of servers that a person makes: each one whole, or not made at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from canary_tui.servers.file import BadFile

if TYPE_CHECKING:
    from canary_tui.keys.store import StoredKey
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret


async def save(
    tools: Tools, server: Server, replaces: str | None, keyring_password: Secret | None = None
) -> Server:
    """Add a server, or change the one called ``replaces``; return what was saved.

    A server with a tunnel gets its local port and its key. Raises BadFile, OSError or Failed; the file
    is then as it was.
    """
    from canary_tui.monitor.tools import with_local_port

    if keyring_password is not None:
        from canary_tui.servers.secrets import keyring_set

        await asyncio.to_thread(keyring_set, server.name, keyring_password)
    made: StoredKey | None = None
    if server.tunnel is not None:
        fleet = await asyncio.to_thread(tools.file.load)
        server = _with_old_port(server, fleet.get(replaces) if replaces else None)
        taken = {s.ssh.local_port for s in fleet.servers if s.ssh and s.ssh.local_port and s.name != replaces}
        server = with_local_port(server, taken)
        stood = tools.keys.path(server.key_name).exists()
        key, chosen = tools.keys.of_server(server, tools.key_comment)
        made = None if stood else key
        if chosen and server.ssh is not None:
            server = msgspec.structs.replace(
                server, ssh=msgspec.structs.replace(server.ssh, key=key.path.name)
            )
    try:
        if replaces is None:
            await asyncio.to_thread(tools.file.add, server)
        else:
            await asyncio.to_thread(tools.file.change, replaces, server)
    except (BadFile, LookupError, OSError):
        if made is not None:
            tools.keys.discard(made)
        raise
    return server


def _with_old_port(server: Server, old: Server | None) -> Server:
    """A local port that was chosen once stays, whatever else of the entry changes."""
    port = old.ssh.local_port if old is not None and old.ssh is not None else None
    if server.ssh is None or server.ssh.local_port is not None or port is None:
        return server
    return msgspec.structs.replace(server, ssh=msgspec.structs.replace(server.ssh, local_port=port))


async def remove(tools: Tools, name: str) -> None:
    """Take a server out of the file and move its key aside; a key of another place is left alone."""
    fleet = await asyncio.to_thread(tools.file.load)
    server = fleet.get(name)
    if server is None:
        raise KeyError(name)
    await asyncio.to_thread(tools.file.remove, name)
    shared = any(s.ssh and s.key_name == server.key_name for s in fleet.servers if s.name != name)
    if server.ssh is not None and "/" not in server.key_name and not shared:
        aside = tools.keys.set_aside(server.key_name)
        if aside is not None:
            tools.removed_keys[name] = aside


async def restore(tools: Tools, server: Server) -> None:
    """Undo ``remove``."""
    await asyncio.to_thread(tools.file.add, server)
    aside = tools.removed_keys.pop(server.name, None)
    if aside is not None:
        tools.keys.bring_back(aside, server.key_name)


async def set_enabled(tools: Tools, name: str, enabled: bool) -> None:
    """Switch a server on or off in the file."""
    await asyncio.to_thread(tools.file.set_value, name, ("enabled",), enabled)
