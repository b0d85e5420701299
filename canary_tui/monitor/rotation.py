"""A server's change of key: a new one is made beside the old one, and used once it was seen to work.

Each step is one edit of the servers file, made under its lock and only if the entry still says what the
step stands on; two processes that take the same step at once cannot undo each other's. Wherever this is
broken off, ``key`` names a key that works. ``key_trial`` tries the keys and says which step is due.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.catalogue import title
from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Failed
from canary_tui.keys.authorized import removal
from canary_tui.keys.rotation import OldKey, Rotation, account
from canary_tui.monitor.edits import set_aside_unused
from canary_tui.servers.file import BadFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date
    from pathlib import Path

    from canary_tui.keys.store import StoredKey
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server


class CannotRotate(Exception):
    """The step is not possible as things are. Its text is for a person; nothing was changed."""


async def state(tools: Tools, name: str, fleet: Fleet | None = None) -> Rotation:
    """Say how far the change of a server's key is, as ``fleet`` or else the file has it.

    Raises KeyError for an unknown server, and BadFile.
    """
    if fleet is None:
        fleet = await asyncio.to_thread(tools.file.load)
    return _shown(tools, fleet, fleet.need(name))


async def begin(tools: Tools, name: str, today: date | None = None) -> Rotation:
    """Make a new key beside the one in use; where one is being tried already, show that one again.

    Raises CannotRotate, KeyError, BadFile, OSError, or Failed where the server has no key yet and none
    can be made; nothing is changed then.
    """
    fleet = await asyncio.to_thread(tools.file.load)
    server = fleet.need(name)
    ssh = server.tunnel
    if ssh is None:
        raise CannotRotate(f"{name} is reached directly; it has no SSH key in use")
    if ssh.next_key:
        return _shown(tools, fleet, server)
    if ssh.old_key:
        raise CannotRotate(
            f"The last change of key is not finished: the line of {ssh.old_key} is still to be removed from "
            f"{server.through}. If it is to stay, take the entry `old_key:` of {name} out of servers.yaml."
        )
    if not ssh.key and not tools.keys.path(server.key_name).exists():
        await tools.key_of(server)  # made; one that stands need not be readable to be followed by another
    return await asyncio.to_thread(_make, tools, name, today or datetime.now(UTC).date())


async def give_up(tools: Tools, name: str) -> Path | None:
    """Give the new key up; return where its files are kept, None where they were left alone.

    Raises CannotRotate when no new key is being tried, KeyError, BadFile and OSError.
    """
    (await asyncio.to_thread(tools.file.load)).need(name)
    return await asyncio.to_thread(_give_up, tools, name)


# How it stands


def _shown(tools: Tools, fleet: Fleet, server: Server, *, made: bool = False) -> Rotation:
    ssh = server.tunnel
    if ssh is None:
        return Rotation(server=server.name)
    new, old, trouble = None, None, ""
    try:
        if ssh.next_key:
            new = tools.info_of(server, tools.keys.load(tools.keys.path(ssh.next_key)))
        if ssh.old_key:
            old = shown_old(tools, fleet, server, ssh.old_key)
    except Failed as failed:
        trouble = f"{title(failed.cause)}: {failed.detail}"
    return Rotation(
        server=server.name,
        next=new,
        old=old,
        trouble=trouble,
        pending=bool(ssh.next_key),
        leaving=bool(ssh.old_key),
        made=made,
    )


def shown_old(tools: Tools, fleet: Fleet, server: Server, entry: str) -> OldKey:
    """Return what may be shown of a key that is in use no more.

    Raises Failed when neither its file nor the ``.pub`` beside it can be read.
    """
    path = tools.keys.path(entry)
    line, fingerprint = tools.keys.public(path)
    return OldKey(
        line=line,
        fingerprint=fingerprint,
        path=Source.PATH.text(str(path)),
        account=server.through,
        script=removal(line),
        needed_by=_needed_by(tools, fleet.named, server, entry),
        lost=not path.exists(),
    )


def _needed_by(tools: Tools, servers: Iterable[Server], server: Server, entry: str) -> tuple[str, ...]:
    """Name the servers that log in to ``server``'s account with the key of ``entry``."""
    path = tools.keys.path(entry)
    return tuple(
        one.name
        for one in servers
        if one.ssh and account(one) == account(server) and tools.keys.path(one.key_name) == path
    )


def _place(server: Server) -> tuple[object, ...]:
    """Return where a key was tried: whose account, for which database."""
    return account(server), server.database.host, server.database.port


def with_ssh(server: Server, **changes: str) -> Server:
    """Return the server with entries of its SSH server replaced."""
    if server.ssh is None:
        return server
    return msgspec.structs.replace(server, ssh=msgspec.structs.replace(server.ssh, **changes))


# The steps, each one edit of the file


def _make(tools: Tools, name: str, today: date) -> Rotation:
    """Make the key's files, then the entry: a file that no entry names does no harm."""
    fleet = tools.file.load()
    named = [(s.name, s.ssh.key, s.ssh.next_key, s.ssh.old_key) for s in fleet.named if s.ssh]
    key = tools.keys.create_further(
        name, tools.key_comment, today, {entry for four in named for entry in four}
    )
    mine = key.path.name

    def change(now: Server, _fleet: Fleet) -> Server:
        if now.tunnel is None or now.tunnel.old_key:
            raise CannotRotate(f"The settings of {name} were changed meanwhile; no new key was made.")
        # Another process may have been first: then its key is the new one.
        return now if now.tunnel.next_key else with_ssh(now, next_key=mine)

    try:
        fleet = tools.file.update(name, change)
    except (BadFile, CannotRotate, LookupError, OSError):
        with suppress(BadFile):  # then it is left: no entry names it
            _discard_unnamed(tools, tools.file.load(), key)
        raise
    made = _discard_unnamed(tools, fleet, key)
    return _shown(tools, fleet, fleet.need(name), made=made)


def _discard_unnamed(tools: Tools, fleet: Fleet, key: StoredKey) -> bool:
    """Take a key back that the file does not name as a new one; return whether it does."""
    named = any(s.ssh is not None and s.ssh.next_key == key.path.name for s in fleet.named)
    if not named:
        tools.keys.discard(key)
    return named


def switch(tools: Tools, tried: Server) -> OldKey | None:
    """Use the new key of ``tried`` from now on; return the old one, None where no file shows it any more.

    Raises CannotRotate when the settings do not say any more what was tried.
    """
    name, entry, was = tried.name, tried.ssh.next_key if tried.ssh else "", tried.key_name

    def change(now: Server, fleet: Fleet) -> Server:
        nonlocal was
        if now.ssh is not None and now.ssh.key == entry and not now.ssh.next_key:
            was = now.ssh.old_key or tried.key_name
            return now  # another process has seen it too, and kept no old key where others need its line
        if now.ssh is None or now.ssh.next_key != entry or _place(now) != _place(tried):
            raise CannotRotate(f"The settings of {name} were changed while the new key was tried.")
        was = now.key_name
        new = with_ssh(now, key=entry, next_key="")
        servers = [new if one.name == name else one for one in fleet.named]
        # A line that others need is not to be removed, and of a key that is gone no refusal can be seen.
        removable = tools.keys.path(was).exists() and not _needed_by(tools, servers, new, was)
        return with_ssh(new, old_key=was if removable else "")

    fleet = tools.file.update(name, change)
    try:
        return shown_old(tools, fleet, fleet.need(name), was)
    except Failed:
        return None


def finish(tools: Tools, tried: Server) -> Path | None:
    """Forget the old key of ``tried``; return where its files are kept, None where they were left alone.

    Raises CannotRotate when the settings do not say any more what was tried.
    """
    name, entry, ours = tried.name, tried.ssh.old_key if tried.ssh else "", False

    def change(now: Server, _fleet: Fleet) -> Server:
        nonlocal ours
        ours = now.ssh is not None and now.ssh.old_key == entry
        if ours and _place(now) != _place(tried):
            raise CannotRotate(f"The settings of {name} were changed while the old key was tried.")
        return with_ssh(now, old_key="") if ours else now  # another process has seen it too

    fleet = tools.file.update(name, change)
    return _set_aside(tools, fleet, entry) if ours else None


def _give_up(tools: Tools, name: str) -> Path | None:
    entry = ""

    def change(now: Server, _fleet: Fleet) -> Server:
        nonlocal entry
        entry = now.ssh.next_key if now.ssh else ""
        if not entry:
            used = now.ssh is not None and now.ssh.old_key
            raise CannotRotate(
                f"The new key of {name} is in use already and cannot be given up."
                if used
                else f"No new key of {name} is being tried."
            )
        return with_ssh(now, next_key="")

    return _set_aside(tools, tools.file.update(name, change), entry)


def _set_aside(tools: Tools, fleet: Fleet, entry: str) -> Path | None:
    """Move the files away that no entry names any more. Where that is refused they do no harm."""
    try:
        return set_aside_unused(tools, fleet, entry)
    except OSError:
        return None
