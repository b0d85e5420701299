"""Tries the keys of a change of key: the new one over the whole way, the old one at the login only."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failed, Failure, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.keys.rotation import Step, Tried
from canary_tui.monitor.audit import without_secrets
from canary_tui.monitor.probe import probe
from canary_tui.monitor.rotation import CannotRotate, finish, shown_old, switch, with_ssh
from canary_tui.servers.editing import good
from canary_tui.servers.file import BadFile, NotListed
from canary_tui.tunnels.ssh_logins import LOGIN_SECONDS

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.keys.store import StoredKey
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server

BEFORE_LOGIN = frozenset({Stage.RESOLVE, Stage.CONNECT, Stage.HANDSHAKE, Stage.HOST_KEY})
"""Where a failure has nothing to do with the key: another key gets no further."""


async def attempt(tools: Tools, name: str, tested: ProbeResult | None = None) -> Tried:
    """Try the new key, and use it from now on when it opens the way; or see whether the old one is refused.

    ``tested`` is how a test of the key in use has just ended, where
    there was one. A server that is not listed, or not any more, is a failure too.
    """
    try:
        return await _attempt(tools, name, tested)
    except (BadFile, CannotRotate, NotListed, OSError) as error:
        # Their own words say it: the catalogue knows a wrong file, but not one that cannot be written.
        failure = Failure(stage=Stage.SETTINGS, cause=Cause.SETTINGS_INVALID, summary=str(error), remedies=())
    except Failed as failed:  # the key in use cannot be read
        failure = explain(failed, Stage.SETTINGS, {"server": name})
    return Tried(server=name, step=Step.FAILED, failure=failure)


async def _attempt(tools: Tools, name: str, tested: ProbeResult | None) -> Tried:
    fleet = await asyncio.to_thread(tools.file.load)
    server = good(fleet, name, tools.file.path.name)
    ssh = server.tunnel
    if ssh is None or not (ssh.next_key or ssh.old_key):
        return Tried(server=name, step=Step.NOTHING)
    failure = tested.failure if tested is not None else None
    if failure is not None and failure.stage in BEFORE_LOGIN:
        return Tried(server=name, step=Step.FAILED, failure=failure)
    tried = Tried(server=name, step=Step.NOTHING)
    if ssh.old_key:
        tried = await _try_old(tools, fleet, server)
    if ssh.next_key and tried.step in {Step.NOTHING, Step.FINISHED}:
        tried = await _try_new(tools, server)
    return tried


async def _try_new(tools: Tools, server: Server) -> Tried:
    """Probe the whole way with the new key, over a login of its own."""
    entry = server.ssh.next_key if server.ssh else ""
    new = with_ssh(server, key=entry)
    try:
        key = tools.keys.load(tools.keys.path(entry))
    except Failed as failed:
        remedy = f"Put the file right, or give the new key up: `canary rotate {server.name} --cancel`."
        return _unreadable(server, failed, remedy)
    # It is a login and more, so it has a login's time at least: a probe's may be for a tunnel that stands.
    seconds = max(server.probe.timeout, LOGIN_SECONDS)
    result = await probe(new, tools, seconds=seconds)
    if result.failure is not None and result.failure.stage is Stage.SETTINGS:
        # No password, no authorities: the way is seen to be open by a database login that is refused.
        result = await probe(without_secrets(new), tools, seconds=seconds)
    tried = Tried(server=server.name, step=Step.SWITCHED, failure=result.failure, fingerprint=key.fingerprint)
    if _opened(result):
        old = await asyncio.to_thread(switch, tools, server)
        return msgspec.structs.replace(tried, failure=None, old=old)
    # Silence, or a database that the SSH server cannot reach, says nothing about the key.
    refused = result.failure is not None and (
        ROWS[result.failure.cause].refuses_key or result.failure.cause is Cause.FORWARDING_NOT_PERMITTED
    )
    return msgspec.structs.replace(tried, step=Step.NOT_ACCEPTED if refused else Step.FAILED)


def _opened(result: ProbeResult) -> bool:
    """Whether the way to the database was opened; what the database then says is not the key's business."""
    return any(stage.stage is Stage.FORWARD and stage.ok for stage in result.stages)


async def _try_old(tools: Tools, fleet: Fleet, server: Server) -> Tried:
    """Log in with the old key, and no more: it is to be refused."""
    entry = server.ssh.old_key if server.ssh else ""
    try:
        key = tools.keys.load(tools.keys.path(entry), any_mode=True)
    except Failed as failed:
        remedy = (
            f"Put the file right, or remove the key's line from {server.through} by hand and take the entry "
            f"`old_key:` of {server.name} out of servers.yaml."
        )
        return _unreadable(server, failed, remedy)
    tried = Tried(
        server=server.name,
        step=Step.STILL_ACCEPTED,
        fingerprint=key.fingerprint,
        old=shown_old(tools, fleet, server, entry),
    )
    failure = await _login(tools, server, key)
    if failure is None:
        return tried
    if ROWS[failure.cause].refuses_key:
        # An account that is locked refuses every key: only beside one that is accepted does it count.
        failure = await _login(tools, server, await tools.key_of(server))
    if failure is not None:
        return msgspec.structs.replace(tried, step=Step.FAILED, failure=failure)
    aside = await asyncio.to_thread(finish, tools, server)
    return msgspec.structs.replace(tried, step=Step.FINISHED, aside=str(aside or ""))


async def learn_version(tools: Tools, server: Server) -> None:
    """Learn which version the SSH server has, by a login, so that the line to install suits it.

    With the key in use; where that cannot be read, as far as the login. Whatever goes wrong leaves the
    version unknown, and no more: the line is then for the usual ones.
    """
    ssh = server.tunnel
    if ssh is None or tools.logins.version(ssh):
        return
    try:
        key: StoredKey | None = tools.keys.load(tools.keys.path(server.key_name))
    except Failed:
        key = None
    await _login(tools, server, key)


async def _login(tools: Tools, server: Server, key: StoredKey | None) -> Failure | None:
    """Log in and leave; return why that did not work. The SSH server's version is kept where it was seen."""
    ssh = server.tunnel
    assert ssh is not None  # noqa: S101 - a direct server has no keys to try
    trace = Trace(time.perf_counter)
    try:
        async with tools.logins.connection(ssh, key, trace):
            return None
    except Failed as failed:
        return explain(failed, trace.fail(failed), tools.words(server))


def _unreadable(server: Server, failed: Failed, remedy: str) -> Tried:
    """Return what comes of a key that cannot be read. The catalogue's remedies are for the key in use."""
    failure = explain(failed, Stage.SETTINGS, server.words)
    failure = msgspec.structs.replace(failure, remedies=(remedy,))
    return Tried(server=server.name, step=Step.FAILED, failure=failure)
