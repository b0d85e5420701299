"""Whether a client may use the way to a server: who listens at the local end, and what the last probe met."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from canary_tui.databases.ways import LocalPort, way_to
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.tunnels.holder import holder_of, listens, uid_on
from canary_tui.tunnels.peer import LINUX, name_of

if TYPE_CHECKING:
    from canary_tui.databases.ways import Way
    from canary_tui.diagnosis.stages import Failure
    from canary_tui.monitor.watcher import Watcher
    from canary_tui.servers.model import Server


async def way_at(server: Server, local: str, why: Failed, monitor: int | None = None) -> Way:
    """Return ``way_to`` once it is seen who listens there (``check_listener``). Raises Failed."""
    way = way_to(server, local, why)
    await asyncio.to_thread(check_listener, way, monitor)
    return way


def check_safe(failure: Failure | None) -> None:
    """Raise Failed where the last probe did not log in because it was not safe: a client would.

    Neither MariaDB's clients before 11.4 nor psql before 16 can be told to insist on TLS without checking the
    host's name, and on a password that is not in clear, respectively. They go on without a word.
    """
    if failure is not None and ROWS[failure.cause].unsafe:
        raise Failed(failure.cause, stage=failure.stage, detail=failure.summary)


async def own_way(server: Server, watcher: Watcher | None) -> Way:
    """Return how clients reach a server that this process watches; None: it does not.

    Raises Failed, with what keeps the tunnel down, where its local end is not bound.
    """
    from canary_tui.monitor.watcher import same_tunnel

    if watcher is None:
        return await way_at(server, "", _down(server, "is closed"))
    if not same_tunnel(watcher.server, server):
        return await way_at(server, "", _down(server, "still leads to where it led before"))
    local, failure = watcher.supervisor.local, watcher.supervisor.failure
    why = Failed(failure.cause, detail=failure.summary) if failure else _down(server, "is being opened")
    return await way_at(server, local, why)


def _down(server: Server, state: str) -> Failed:
    return Failed(Cause.TUNNEL_LOST, detail=f"the tunnel of {server.name} {state}")


def check_listener(way: Way, monitor: int | None) -> None:
    """See that it is our own user that listens where a password is about to go, and process ``monitor``.

    ``monitor`` is None where this process has bound it itself. The kernel tells the user (Linux; elsewhere
    nobody does). Of a process that hides its files the user is enough: whoever runs as that could read our
    passwords anyway. A socket stands in a folder that nobody else enters. Raises Failed. Reads files.
    """
    if not isinstance(way, LocalPort) or not LINUX:
        return
    uid = uid_on(way.port)
    if uid is None and monitor is None:
        return  # no /proc, but it is bound here
    if uid is None:
        raise Failed(Cause.TUNNEL_LOST, detail=f"nobody is known to listen on {way.host}:{way.port}")
    if uid != os.geteuid():
        who = f"another user ({name_of(uid)}, uid {uid})"
    elif monitor is not None and listens(monitor, way.port) is False:
        owner = holder_of(way.port)
        who = f"{owner.program} (process {owner.pid})" if owner is not None else "another process"
    else:
        return
    raise Failed(Cause.LOCAL_PORT_TAKEN, detail=f"{who} listens on port {way.port}, not canary-tui")
