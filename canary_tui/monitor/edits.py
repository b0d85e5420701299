"""The changes to the list of servers that a person makes: each one whole, or not made at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from canary_tui.keys.rotation import account
from canary_tui.servers.file import BadFile
from canary_tui.servers.fleet import BrokenServer

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.keys.store import StoredKey
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret


async def save(
    tools: Tools, server: Server, replaces: str | None, keyring_password: Secret | None = None
) -> Server:
    """Add a server, or change the one called ``replaces``; return what was saved.

    A server with a tunnel gets its local port and its key. Raises BadFile, OSError or Failed; the file
    is then as it was.
    """
    from canary_tui.monitor.local_ports import with_local_port

    if keyring_password is not None:
        from canary_tui.servers.system_keyring import keyring_set

        await asyncio.to_thread(keyring_set, server, keyring_password)
    made: StoredKey | None = None
    fleet = await asyncio.to_thread(tools.file.load)
    server = _with_what_stays(server, fleet.get(replaces) if replaces else None)
    if server.tunnel is not None:
        taken = {s.ssh.local_port for s in fleet.named if s.ssh and s.ssh.local_port and s.name != replaces}
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
            wanted = server
            fleet = await asyncio.to_thread(
                tools.file.update, replaces, lambda now, _fleet: _with_what_stays(wanted, now)
            )
            server = fleet.get(server.name) or server
    except (BadFile, LookupError, OSError):
        if made is not None:
            tools.keys.discard(made)
        raise
    return server


def _with_what_stays(server: Server, old: Server | None) -> Server:
    """A local port that was chosen once stays; so do the keys, which only a change of key changes.

    Not so the old key where the SSH account becomes another one. That never had its line, so a refusal there
    shows nothing; ``changes_told`` says where the line still is.
    """
    if server.ssh is None or old is None or old.ssh is None:
        return server
    ssh = msgspec.structs.replace(
        server.ssh,
        local_port=server.ssh.local_port or old.ssh.local_port,
        key=old.ssh.key or server.ssh.key,
        next_key=old.ssh.next_key,
        old_key=old.ssh.old_key if account(server) == account(old) else "",
    )
    return msgspec.structs.replace(server, ssh=ssh)


async def remove(tools: Tools, name: str) -> None:
    """Take a server out of the file and move its keys aside; a key of another place is left alone."""
    fleet = await asyncio.to_thread(tools.file.load)
    entry = fleet.find(name)
    if entry is None:
        raise KeyError(name)
    server = entry.read if isinstance(entry, BrokenServer) else entry
    left = await asyncio.to_thread(tools.file.remove, name)
    if server.ssh is None:
        return
    for key in filter(None, (server.key_name, server.ssh.next_key, server.ssh.old_key)):
        aside = set_aside_unused(tools, left, key)
        if aside is not None:
            tools.removed_keys.setdefault(name, {})[key] = aside


def set_aside_unused(tools: Tools, fleet: Fleet, entry: str) -> Path | None:
    """Move a key's files aside, unless a server of ``fleet`` names it or it is a path of another place."""
    path = tools.keys.path(entry)
    named = (key for s in fleet.named if s.ssh for key in (s.key_name, s.ssh.next_key, s.ssh.old_key))
    if not tools.keys.is_ours(entry) or any(key and tools.keys.path(key) == path for key in named):
        return None
    return tools.keys.set_aside(entry)


async def restore(tools: Tools, server: Server) -> None:
    """Undo ``remove``."""
    await asyncio.to_thread(tools.file.add, server)
    for entry, aside in tools.removed_keys.pop(server.name, {}).items():
        tools.keys.bring_back(aside, entry)


async def set_enabled(tools: Tools, name: str, enabled: bool) -> None:
    """Switch a server on or off in the file."""
    await asyncio.to_thread(tools.file.set_value, name, ("enabled",), enabled)
