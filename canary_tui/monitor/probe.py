"""One probe of one server, through all its stages."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from canary_tui.databases.client import client_for
from canary_tui.databases.tls import check_authorities
from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.stages import Cause, Failed, ProbeResult, RouteKind, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.tunnels.dial import dial
from canary_tui.tunnels.link import ProbeLink
from canary_tui.tunnels.open_files import unexpected
from canary_tui.tunnels.route import DirectRoute, SshRoute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from canary_tui.diagnosis.stages import StageResult
    from canary_tui.keys.store import StoredKey
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Server
    from canary_tui.tunnels.route import Route

    Watch = Callable[[Stage | None, tuple[StageResult, ...]], None]

log = logging.getLogger(__name__)

CUT_OFF = frozenset({Cause.DATABASE_CLOSED_EARLY, Cause.TLS_FAILED, Cause.CONNECTION_LOST})
"""What the end of a connection looks like to a database's client."""


async def probe(
    server: Server,
    tools: Tools,
    *,
    route: Route | None = None,
    watch: Watch | None = None,
    seconds: float | None = None,
) -> ProbeResult:
    """Probe a server once and return the result; a failure is a result too.

    Over ``route`` where a tunnel stands already, else over an SSH connection (or a direct one) of the
    probe's own. Opens exactly one connection to the database and completes it: on MySQL, ones that are
    dropped count against everybody behind the jumpbox. ``seconds``, or else the server's ``timeout``,
    limits the stages from ``resolve`` (or ``forward``) to ``query``; what gives the password has a limit
    of its own.
    """
    trace = Trace(time.perf_counter, watch)
    kind = route.kind if route else RouteKind.FRESH if server.tunnel else RouteKind.DIRECT
    started_at, began = time.time(), time.perf_counter()
    failed: Failed | None = None
    try:
        await _all_stages(server, tools, trace, route, seconds or server.probe.timeout)
        trace.finish()
    except Failed as error:
        failed = error
    except Exception as error:
        log.debug("probe of %s", server.name, exc_info=True)
        failed = unexpected(error)
    failure = None
    if failed is not None:
        failure = explain(failed, trace.fail(failed), server.words | failed.facts)
    return ProbeResult(
        server=server.name,
        ok=failure is None,
        route=kind,
        started_at=started_at,
        total_ms=round((time.perf_counter() - began) * 1000, 3),
        stages=trace.results,
        failure=failure,
        host_key=failed.host_key if failed else None,
    )


async def _all_stages(
    server: Server, tools: Tools, trace: Trace, route: Route | None, seconds: float
) -> None:
    trace.enter(Stage.SETTINGS)
    client = client_for(server.engine)
    # Before anything is dialled: MySQL counts a connection that is given up in its handshake.
    check_authorities(server.database)
    password = await tools.passwords.find(server)
    key = await tools.key_of(server) if server.tunnel and route is None else None
    limit = asyncio.timeout(seconds)
    try:
        async with (
            limit,
            _way(server, tools, trace, route, key) as way,
            await ProbeLink.through(way, trace) as link,
        ):
            try:
                await client.run(link, server, password, trace)
            except Failed as failed:
                raise _lost_on_the_way(failed, way) or failed from None
    except TimeoutError:
        if not limit.expired():
            raise
        raise _tunnel_is_silent(route) or trace.timed_out() from None
    except Failed as failed:
        if failed.cause is Cause.PASSWORD_REJECTED:
            tools.passwords.rejected(server)
        raise


def _lost_on_the_way(failed: Failed, way: Route) -> Failed | None:
    """Return ``tunnel_lost`` where a connection ended because the SSH connection under it did."""
    reason = way.lost() if failed.cause in CUT_OFF else ""
    return Failed(Cause.TUNNEL_LOST, detail=reason) if reason else None


def _tunnel_is_silent(route: Route | None) -> Failed | None:
    """Return ``tunnel_lost`` where the silence is the SSH server's, and not the database's."""
    reason = route.lost() if route else ""
    return Failed(Cause.TUNNEL_LOST, detail=reason) if reason else None


@asynccontextmanager
async def _way(
    server: Server, tools: Tools, trace: Trace, route: Route | None, key: StoredKey | None
) -> AsyncIterator[Route]:
    database = server.database
    if route is not None:
        yield route
    elif server.tunnel is None or key is None:
        yield DirectRoute(database.host, database.port)
    else:
        ssh = await dial(server.tunnel, key.private, tools.known_hosts, trace)
        tools.versions[server.tunnel.host, server.tunnel.port] = ssh.server_version
        try:
            yield SshRoute(ssh, database.host, database.port, kind=RouteKind.FRESH)
        except BaseException:
            ssh.abort()
            raise
        await ssh.close()
